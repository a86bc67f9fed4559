package manifests

import (
	"cmp"
	"strings"
	"time"
)

// Kind says what an entry is in a source tree.
type Kind uint8

// The four kinds of entry a catalog can list.
const (
	Regular  Kind = iota // a regular, non-empty file: a .torrent
	Empty                // a regular file of length 0: BitTorrent cannot carry one
	Symlink              // a symbolic link; its target is data and never followed
	EmptyDir             // a directory with nothing in it
)

// String names the kind as messages and JSON documents do.
func (k Kind) String() string {
	switch k {
	case Regular:
		return "file"
	case Empty:
		return "empty file"
	case Symlink:
		return "symlink"
	case EmptyDir:
		return "empty directory"
	}
	return "unknown kind"
}

// Entry is one listed file, link or empty directory of one tree.
//
// Length, ModTime, InfoHash and Content are set for Regular entries only,
// Target for Symlink entries only; everything else is the zero value.
type Entry struct {
	Tree       string
	Path       Path
	Kind       Kind
	Length     int64     // bytes
	ModTime    time.Time // nanosecond precision, UTC
	Executable bool      // Regular and Empty
	InfoHash   InfoHash
	Content    Content
	Target     string // a symlink's target, verbatim
}

// Key identifies an entry's place: a tree and a path in it.
type Key struct {
	Tree string
	Path Path
}

// Key returns where the entry stands.
func (e Entry) Key() Key { return Key{e.Tree, e.Path} }

// Equal reports whether two entries ask for the same thing at the same place.
func (e Entry) Equal(o Entry) bool {
	return e.Tree == o.Tree && e.Path == o.Path && e.Kind == o.Kind && e.Length == o.Length &&
		e.ModTime.Equal(o.ModTime) && e.Executable == o.Executable &&
		e.InfoHash == o.InfoHash && e.Content == o.Content && e.Target == o.Target
}

// Compare orders keys by tree, then by path bytes.
func (k Key) Compare(o Key) int {
	if c := strings.Compare(k.Tree, o.Tree); c != 0 {
		return c
	}
	return cmp.Compare(k.Path, o.Path)
}

// String writes the key as people read it: tree/path.
func (k Key) String() string { return k.Tree + "/" + string(k.Path) }
