package manifests

import (
	"strings"
	"unicode/utf8"
)

// dotFiles are the names beside .git that `git fsck`, and with it every
// careful server, refuses for a folder: it looks for the file's text in there.
// With them stands the prefix that NTFS falls back to for their short names.
var dotFiles = [...]struct{ name, short string }{
	{"gitmodules", "gi7eba"},
	{"gitattributes", "gi7d29"},
}

// gitRefuses reports whether git takes the component for one of its own names
// in any spelling that NTFS or HFS+ would fold to it. It mirrors git's
// is_ntfs_dotgit, is_ntfs_dot_generic and is_hfs_dot_generic. Backslashes,
// which NTFS takes for slashes, need no thought here: they are always escaped.
func gitRefuses(s string) bool {
	if !mayBeDotFile(s) {
		return false
	}
	if ntfsDotGit(s) || hfsDot(s, "git") {
		return true
	}
	for _, d := range dotFiles {
		if ntfsDot(s, d.name, d.short) || hfsDot(s, d.name) {
			return true
		}
	}
	return false
}

// mayBeDotFile is a cheap filter: every refused name begins with one of these
// bytes, or with a character outside ASCII that HFS+ ignores.
func mayBeDotFile(s string) bool {
	if s == "" {
		return false
	}
	switch s[0] {
	case '.', '~', 'g', 'G':
		return true
	}
	return s[0] >= utf8.RuneSelf
}

// ntfsDotGit recognises .git and its short name git~1, which NTFS also opens
// with dots, spaces or a stream name (":...") behind it.
func ntfsDotGit(s string) bool {
	rest, ok := cutFold(s, ".git")
	if !ok {
		rest, ok = cutFold(s, "git~1")
	}
	return ok && onlyDotsAndSpaces(rest)
}

// ntfsDot recognises .name, its short names (six letters, ~1 to ~4) and the
// fall-back short names: a prefix of short, "~", and digits, eight bytes in all.
func ntfsDot(s, name, short string) bool {
	if rest, ok := cutFold(s, "."+name); ok {
		return onlyDotsAndSpaces(rest)
	}
	if rest, ok := cutFold(s, name[:6]+"~"); ok && rest != "" && '1' <= rest[0] && rest[0] <= '4' {
		return onlyDotsAndSpaces(rest[1:])
	}
	if len(s) < 8 {
		return false
	}
	head, digits, ok := strings.Cut(s[:8], "~")
	if !ok || len(head) > 6 || !strings.EqualFold(head, short[:len(head)]) || digits == "" || digits[0] == '0' {
		return false
	}
	return strings.Trim(digits, "0123456789") == "" && onlyDotsAndSpaces(s[8:])
}

func cutFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// onlyDotsAndSpaces also stops at a colon, behind which NTFS sees a stream's name.
func onlyDotsAndSpaces(s string) bool {
	rest := strings.TrimLeft(s, ". ")
	return rest == "" || rest[0] == ':'
}

// hfsDot recognises .name as HFS+ does, which skips characters without a
// width of their own.
func hfsDot(s, name string) bool {
	c, s := nextHFS(s)
	if c != '.' {
		return false
	}
	for i := range len(name) {
		c, s = nextHFS(s)
		if c|0x20 != rune(name[i]) {
			return false
		}
	}
	c, _ = nextHFS(s)
	return c == 0
}

// nextHFS returns the next character that HFS+ would look at, 0 at the end.
// git takes the noncharacters U+xxFFFE and U+xxFFFF for the end as well.
func nextHFS(s string) (rune, string) {
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		switch {
		case r&0xfffe == 0xfffe, r == utf8.RuneError && n == 1:
			return 0, ""
		case 0x200c <= r && r <= 0x200f, 0x202a <= r && r <= 0x202e, 0x206a <= r && r <= 0x206f, r == 0xfeff:
			continue
		}
		return r, s
	}
	return 0, ""
}
