package builder

import "strings"

// ignoreFile holds rules for the directory it stands in and all below it.
const ignoreFile = ".seedtreeignore"

// maxIgnoreFile bounds what is read of one, in bytes.
const maxIgnoreFile = 1 << 20

// rules decides what is left out of the listing. The rules are those of
// gitignore(5): the last one that matches wins, deeper files before those
// above them, and nothing inside an ignored directory can be taken back.
// A nil *rules ignores nothing.
type rules struct {
	above *rules
	base  string // the directory of the file, "" or with a slash at its end
	item  int    // which of the manifest's rules this is, from 1; 0: of an ignore file
	list  []rule
}

// rule is one line of an ignore file.
type rule struct {
	text    string // as written
	line    int    // where, from 1
	pattern string
	literal int // leading bytes of pattern without a wildcard
	negated bool
	dirOnly bool
	// nameOnly: a pattern without a slash is compared with the last component
	// only, and its stars do not care for slashes.
	nameOnly bool
}

// ignored reports whether a path of the tree is left out.
func (r *rules) ignored(path string, isDir bool) bool {
	_, one := r.match(path, isDir)
	return one != nil && !one.negated
}

// match returns the rule that decides about a path, and where it stands.
func (r *rules) match(path string, isDir bool) (*rules, *rule) {
	for ; r != nil; r = r.above {
		rel := path[len(r.base):]
		name := rel[strings.LastIndexByte(rel, '/')+1:]
		for i := len(r.list) - 1; i >= 0; i-- {
			if one := &r.list[i]; (isDir || !one.dirOnly) && one.matches(rel, name) {
				return r, one
			}
		}
	}
	return nil, nil
}

func (r *rule) matches(rel, name string) bool {
	if r.nameOnly {
		if r.literal == len(r.pattern) {
			return name == r.pattern
		}
		return wildmatch(r.pattern, name, false)
	}
	// git compares the literal beginning first and then matches the rest as a
	// pattern of its own, so that "foo**/bar" finds "foo/x/bar".
	if !strings.HasPrefix(rel, r.pattern[:r.literal]) {
		return false
	}
	pattern, rest := r.pattern[r.literal:], rel[r.literal:]
	if pattern == "" {
		return rest == ""
	}
	return wildmatch(pattern, rest, true)
}

// below adds the rules in text, which apply below base ("" or ending in a slash).
func (r *rules) below(base, text string) *rules {
	next := &rules{above: r, base: base}
	text = strings.TrimPrefix(text, "\xef\xbb\xbf") // some editors begin files with a byte order mark
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		line, _, _ = strings.Cut(strings.TrimSuffix(line, "\r"), "\x00")
		if line == "" || line[0] == '#' {
			continue
		}
		if one, ok := parseRule(trimSpaces(line)); ok {
			one.line = number
			next.list = append(next.list, one)
		}
	}
	if len(next.list) == 0 {
		return r
	}
	return next
}

func parseRule(s string) (rule, bool) {
	r := rule{text: s}
	s, r.negated = strings.CutPrefix(s, "!")
	s, r.dirOnly = strings.CutSuffix(s, "/")
	r.nameOnly = !strings.Contains(s, "/")
	r.pattern = strings.TrimPrefix(s, "/")
	if r.pattern == "" {
		return r, false
	}
	if r.literal = strings.IndexAny(r.pattern, `*?[\`); r.literal < 0 {
		r.literal = len(r.pattern)
	}
	return r, true
}

// trimSpaces cuts spaces off the end, except those behind a backslash.
func trimSpaces(s string) string {
	end := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ' ':
			continue
		case '\\':
			i++
		}
		end = min(i+1, len(s))
	}
	return s[:end]
}
