package manifests

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// CatalogDir is the folder of a catalog that holds the listing.
const CatalogDir = "torrents"

// suffix returns what stands behind a leaf's name in the catalog; it is how
// the catalog tells the kinds apart.
func (k Kind) suffix() string {
	switch k {
	case Empty:
		return ".empty"
	case Symlink:
		return ".symlink"
	case EmptyDir:
		return ".dir"
	}
	return ".torrent"
}

// suffixOf returns the catalog suffix that s ends in, "" if none.
func suffixOf(s string) string {
	for k := Regular; k <= EmptyDir; k++ {
		if strings.HasSuffix(s, k.suffix()) {
			return k.suffix()
		}
	}
	return ""
}

// EscapeDir writes a directory's name as the catalog's git tree holds it. The
// mapping is one to one and leaves nearly every name as it is: as %XX appear
// only '%', '\', bytes below 0x20, 0x7f, bytes that are not valid UTF-8, the
// dot of a name that ends in a catalog suffix, and the first ASCII byte of a
// name that git would take for one of its own (".git" in all its spellings).
func EscapeDir(component string) string {
	s := escapeBytes(component)
	if suffix := suffixOf(s); suffix != "" {
		dot := len(s) - len(suffix)
		s = s[:dot] + "%2E" + s[dot+1:]
	}
	return defuse(s)
}

// EscapeLeaf writes the last component of an entry's path as the catalog's
// git tree holds it: escaped as EscapeDir does, then the suffix of its kind.
func EscapeLeaf(component string, k Kind) string {
	return defuse(escapeBytes(component) + k.suffix())
}

// UnescapeDir is the inverse of EscapeDir. It refuses every name that
// EscapeDir does not make, so no two catalog names stand for one directory.
func UnescapeDir(name string) (string, error) {
	s, err := unescapeBytes(name)
	if err != nil {
		return "", err
	}
	if err := checkComponent(s); err != nil {
		return "", fmt.Errorf("catalog name %q: %w", clip(name), err)
	}
	if EscapeDir(s) != name {
		return "", notCanonical(name, EscapeDir(s))
	}
	return s, nil
}

// UnescapeLeaf is the inverse of EscapeLeaf.
func UnescapeLeaf(name string) (string, Kind, error) {
	for k := Regular; k <= EmptyDir; k++ {
		head, ok := strings.CutSuffix(name, k.suffix())
		if !ok {
			continue
		}
		s, err := unescapeBytes(head)
		if err != nil {
			return "", 0, err
		}
		if err := checkComponent(s); err != nil {
			return "", 0, fmt.Errorf("catalog name %q: %w", clip(name), err)
		}
		if EscapeLeaf(s, k) != name {
			return "", 0, notCanonical(name, EscapeLeaf(s, k))
		}
		return s, k, nil
	}
	return "", 0, fmt.Errorf("catalog name %q ends in none of .torrent, .empty, .symlink, .dir", clip(name))
}

// CatalogName returns where the catalog keeps an entry, such as
// "torrents/photos/2019/a.jpg.torrent".
func CatalogName(e Entry) string {
	var b strings.Builder
	b.Grow(len(CatalogDir) + len(e.Tree) + len(e.Path) + 16)
	b.WriteString(CatalogDir + "/")
	b.WriteString(e.Tree)
	for rest := string(e.Path); ; {
		b.WriteByte('/')
		c, tail, more := strings.Cut(rest, "/")
		if !more {
			b.WriteString(EscapeLeaf(c, e.Kind))
			return b.String()
		}
		b.WriteString(EscapeDir(c))
		rest = tail
	}
}

// ParseCatalogName is the exact inverse of CatalogName.
func ParseCatalogName(name string) (Key, Kind, error) {
	fail := func(err error) (Key, Kind, error) { return Key{}, 0, fmt.Errorf("%q: %w", clip(name), err) }
	rest, ok := strings.CutPrefix(name, CatalogDir+"/")
	if !ok {
		return fail(fmt.Errorf("not below %s/", CatalogDir))
	}
	tree, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return fail(fmt.Errorf("names a tree, not an entry"))
	}
	if err := ValidTreeName(tree); err != nil {
		return fail(err)
	}
	var room [256]byte // most paths need no more
	path := room[:0]
	for {
		c, tail, more := strings.Cut(rest, "/")
		if !more {
			leaf, kind, err := UnescapeLeaf(c)
			if err != nil {
				return fail(err)
			}
			p, err := ParsePath(string(append(path, leaf...)))
			if err != nil {
				return fail(err)
			}
			return Key{tree, p}, kind, nil
		}
		dir, err := UnescapeDir(c)
		if err != nil {
			return fail(err)
		}
		path = append(append(path, dir...), '/')
		rest = tail
	}
}

const upperHex = "0123456789ABCDEF"

// plain reports whether a byte of ASCII stands for itself.
func plain(c byte) bool { return c >= 0x20 && c != 0x7f && c != '%' && c != '\\' }

// escapeBytes escapes what can be judged byte by byte. Names that need
// nothing are returned as they are, without an allocation.
func escapeBytes(s string) string {
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf && plain(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	b := make([]byte, i, len(s)+16)
	copy(b, s)
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || n == 1 && !plain(s[i]) {
			b = append(b, '%', upperHex[s[i]>>4], upperHex[s[i]&15])
		} else {
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return string(b)
}

// defuse escapes the first ASCII byte of a name that git would refuse. Such a
// name always has one, and a name that then begins with '%' is nobody's.
func defuse(s string) string {
	if !gitRefuses(s) {
		return s
	}
	i := strings.IndexFunc(s, func(r rune) bool { return r < utf8.RuneSelf })
	return s[:i] + string([]byte{'%', upperHex[s[i]>>4], upperHex[s[i]&15]}) + s[i+1:]
}

func unescapeBytes(s string) (string, error) {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s, nil
	}
	b := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("catalog name %q: %%-escape is cut short", clip(s))
		}
		hi, lo := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("catalog name %q: %q is no %%-escape (two upper-case hexadecimal digits)", clip(s), s[i:i+3])
		}
		b = append(b, byte(hi<<4|lo))
		i += 2
	}
	return string(b), nil
}

func notCanonical(got, want string) error {
	return fmt.Errorf("catalog name %q is not canonical: it stands for %q", clip(got), clip(want))
}
