package builder

import "strings"

// verdict is what matching a pattern against the rest of a name came to.
// The two ways to give up keep a row of stars from trying every combination.
type verdict uint8

const (
	noMatch     verdict = iota
	match               // to the end of both
	giveUp              // the name is too short, however stars are stretched
	giveUpToTwo         // only a double star further left can help
)

// wildmatch reports whether name matches the pattern as git's ignore rules
// do. Names are bytes, not characters. With paths set, stars, question marks
// and sets do not match slashes, but a double star between slashes does.
func wildmatch(pattern, name string, paths bool) bool {
	m := matcher{pattern: pattern, paths: paths}
	if strings.Count(pattern, "*") > 4 {
		m.tried = map[[2]int]verdict{}
	}
	return m.at(0, name) == match
}

type matcher struct {
	pattern string
	paths   bool
	// tried remembers what each star came to for each rest of the name: without
	// it a row of double stars takes exponential time. nil when there are few.
	tried map[[2]int]verdict
}

// byteAt reads past the end as 0, which is in no name and no pattern.
func (m *matcher) byteAt(i int) byte {
	if i < 0 || i >= len(m.pattern) {
		return 0
	}
	return m.pattern[i]
}

// at matches pattern[p:] with the whole of name.
func (m *matcher) at(p int, name string) verdict {
	for ; p < len(m.pattern); p++ {
		c := m.pattern[p]
		if c == '*' {
			return m.star(p, name)
		}
		if name == "" {
			return giveUp
		}
		ch := name[0]
		name = name[1:]
		switch c {
		case '?':
			if m.paths && ch == '/' {
				return noMatch
			}
		case '[':
			end, in := m.set(p, ch)
			if end < 0 {
				return giveUp
			}
			if !in || m.paths && ch == '/' {
				return noMatch
			}
			p = end
		case '\\':
			p++
			fallthrough
		default:
			if ch != m.byteAt(p) {
				return noMatch
			}
		}
	}
	if name != "" {
		return noMatch
	}
	return match
}

// star matches from a star at p.
func (m *matcher) star(p int, name string) verdict {
	key := [2]int{p, len(name)}
	v, known := m.tried[key]
	if !known {
		v = m.expand(p, name)
		if m.tried != nil {
			m.tried[key] = v
		}
	}
	return v
}

func (m *matcher) expand(p int, name string) verdict {
	first := p
	for m.byteAt(p) == '*' {
		p++
	}
	slashes := !m.paths // may the star match slashes?
	if m.paths && p-first > 1 {
		next := m.byteAt(p)
		opened := first == 0 || m.pattern[first-1] == '/'
		slashes = opened && (next == 0 || next == '/' || next == '\\' && m.byteAt(p+1) == '/')
		// "a/**/b" is also "a/b".
		if slashes && next == '/' && m.at(p+1, name) == match {
			return match
		}
	}
	switch {
	case p == len(m.pattern): // a star at the end takes all there is
		if !slashes && strings.Contains(name, "/") {
			return giveUpToTwo
		}
		return match
	case !slashes && m.pattern[p] == '/': // "*/": on to the next slash, there is only one way
		slash := strings.IndexByte(name, '/')
		if slash < 0 {
			return noMatch
		}
		return m.at(p+1, name[slash+1:])
	}
	return m.stretch(p, name, slashes)
}

// stretch tries the rest of the pattern after ever more of the name.
func (m *matcher) stretch(p int, name string, slashes bool) verdict {
	for ; name != ""; name = name[1:] {
		switch v := m.at(p, name); {
		case v == noMatch:
			if !slashes && name[0] == '/' {
				return giveUpToTwo
			}
		case !slashes || v != giveUpToTwo:
			return v
		}
	}
	return giveUp
}

// set reports whether c is in the bracket expression that begins at p, and
// where that ends; -1 if it does not end or names an unknown class.
func (m *matcher) set(p int, c byte) (end int, in bool) {
	p++
	negated := m.byteAt(p) == '!' || m.byteAt(p) == '^'
	if negated {
		p++
	}
	var prev byte // what a range would begin with
	for first := true; first || m.byteAt(p) != ']'; p, first = p+1, false {
		ch := m.byteAt(p)
		switch {
		case ch == '\\':
			p++
			ch = m.byteAt(p)
			in = in || c == ch
		case ch == '-' && prev != 0 && m.byteAt(p+1) != 0 && m.byteAt(p+1) != ']':
			p++
			if m.byteAt(p) == '\\' {
				p++
			}
			in = in || prev <= c && c <= m.byteAt(p)
			ch = m.byteAt(p)
			if ch != 0 {
				prev = 0
				continue
			}
		case ch == '[' && m.byteAt(p+1) == ':':
			n, hit := class(m.pattern[p+2:], c)
			if n < 0 {
				return -1, false
			}
			in = in || hit
			if n > 0 {
				p += n + 1
				prev = 0
				continue
			}
			in = in || c == '['
		default:
			in = in || c == ch
		}
		if ch == 0 {
			return -1, false
		}
		prev = ch
	}
	return p, in != negated
}

// class reads a POSIX class such as "alpha:]" from the start of s and reports
// how long that was and whether c belongs to it. 0: it is no class, just a
// bracket in a set; -1: it is cut short or unknown.
func class(s string, c byte) (length int, in bool) {
	name, _, closed := strings.Cut(s, "]")
	if !closed {
		return -1, false
	}
	length = len(name) + 1
	name, isClass := strings.CutSuffix(name, ":")
	if !isClass {
		return 0, false
	}
	lower, upper, digit := 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9'
	graph := 0x20 < c && c < 0x7f
	switch name {
	case "alnum":
		in = lower || upper || digit
	case "alpha":
		in = lower || upper
	case "blank":
		in = c == ' ' || c == '\t'
	case "cntrl":
		in = c < 0x20 || c == 0x7f
	case "digit":
		in = digit
	case "graph":
		in = graph
	case "lower":
		in = lower
	case "print":
		in = graph || c == ' '
	case "punct":
		in = graph && !lower && !upper && !digit
	case "space":
		in = c == ' ' || '\t' <= c && c <= '\r'
	case "upper":
		in = upper
	case "xdigit":
		in = digit || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
	default:
		return -1, false
	}
	return length, in
}
