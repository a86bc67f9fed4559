package manifests

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of names, in bytes.
const (
	maxTreeName = 100
	maxSiteName = 63
)

// ValidTreeName says why s cannot name a tree, or nil. A tree's name is a
// folder name at every site, a git path component and the name inside every
// .torrent, so it has to be one that all of them take without escaping: it is
// printable UTF-8 of at most 100 bytes, does not begin with a dot, dash or
// space, does not end in a dot, space or catalog suffix, and has none of
// / \ : * ? " < > | %.
func ValidTreeName(s string) error {
	bad := func(why string) error { return fmt.Errorf("tree name %q %s", clip(s), why) }
	switch {
	case s == "":
		return fmt.Errorf("tree name is empty")
	case len(s) > maxTreeName:
		return bad(fmt.Sprintf("is longer than %d bytes", maxTreeName))
	case !utf8.ValidString(s):
		return bad("is not valid UTF-8")
	case strings.ContainsAny(s, `/\:*?"<>|%`):
		return bad(`has one of / \ : * ? " < > | %`)
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return bad("has a character that cannot be printed")
	case strings.ContainsRune(".- ", rune(s[0])):
		return bad("begins with a dot, dash or space")
	case strings.ContainsRune(". ", rune(s[len(s)-1])):
		return bad("ends in a dot or space")
	case suffixOf(s) != "":
		return bad("ends in " + suffixOf(s) + ", which marks files in a catalog")
	case gitRefuses(s):
		return bad("is a name that git refuses")
	}
	return nil
}

// ValidSiteName says why s cannot name a site, or nil. Site names are parts
// of git branch names and of certificates: 1 to 63 of a-z, 0-9 and dash, not
// beginning with a dash.
func ValidSiteName(s string) error {
	if s == "" {
		return fmt.Errorf("site name is empty")
	}
	if len(s) > maxSiteName {
		return fmt.Errorf("site name %q is longer than %d bytes", clip(s), maxSiteName)
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' && i > 0) {
			return fmt.Errorf("site name %q: only a-z, 0-9 and (not first) - are allowed", s)
		}
	}
	return nil
}

// clip shortens what a hostile input said, so that an error stays one line.
func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
