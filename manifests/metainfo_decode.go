package manifests

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"strings"
	"time"
)

// DecodeMetainfo reads a catalog's .torrent. It accepts exactly what Encode
// writes and nothing else: whatever a catalog could say in two ways, or about
// two files, or with more or fewer keys, is an error that names the byte. The
// returned Pieces point into data.
func DecodeMetainfo(data []byte) (Metainfo, error) {
	m, _, err := decodeMetainfo(data)
	return m, err
}

// DecodeEntry reads one entry of a catalog: its name below the repository's
// root, git's executable bit, and the blob. It refuses a .torrent that speaks
// of another place than the one it stands at, and a blob with anything in it
// where the name alone says everything.
func DecodeEntry(name string, executable bool, data []byte) (Entry, error) {
	key, kind, err := ParseCatalogName(name)
	if err != nil {
		return Entry{}, err
	}
	e, err := decodeEntry(key, kind, executable, data)
	if err != nil {
		return Entry{}, fmt.Errorf("%q: %w", name, err)
	}
	return e, nil
}

// maxTarget is the longest symlink target Linux takes, in bytes.
const maxTarget = 4095

func decodeEntry(key Key, kind Kind, executable bool, data []byte) (Entry, error) {
	e := Entry{Tree: key.Tree, Path: key.Path, Kind: kind}
	switch kind {
	case Symlink:
		e.Target = string(data)
		return e, CheckTarget(e.Target)
	case Empty, EmptyDir:
		if len(data) != 0 {
			return Entry{}, fmt.Errorf("an entry for an %s holds %d bytes", kind, len(data))
		}
		e.Executable = executable && kind == Empty
		return e, nil
	}
	m, info, err := decodeMetainfo(data)
	if err != nil {
		return Entry{}, err
	}
	if m.Tree != key.Tree || m.Path != key.Path {
		return Entry{}, fmt.Errorf("torrent is for %q, not for where it stands", clip(Key{m.Tree, m.Path}.String()))
	}
	e.Length, e.ModTime, e.Executable = m.Length, m.ModTime, executable
	e.InfoHash, e.Content = sha1.Sum(info), m.Content()
	return e, nil
}

// CheckTarget says why s cannot be a symlink's target. A target is data, it is
// never followed, so where it points is nobody's business here.
func CheckTarget(s string) error {
	switch {
	case s == "":
		return errors.New("symlink target is empty")
	case len(s) > maxTarget:
		return fmt.Errorf("symlink target has %d bytes, more than %d", len(s), maxTarget)
	case strings.IndexByte(s, 0) >= 0:
		return errors.New("symlink target contains a NUL byte")
	}
	return nil
}

// decodeMetainfo also returns the bytes of the info dictionary.
func decodeMetainfo(data []byte) (m Metainfo, info []byte, err error) {
	if len(data) > MaxMetainfo {
		return Metainfo{}, nil, fmt.Errorf("torrent: %d bytes, at most %d are read", len(data), MaxMetainfo)
	}
	r := &reader{data: data}
	r.token('d', "a dictionary")
	r.key("created by")
	if by := r.bytes("created by"); r.err == nil && string(by) != "seedtree" {
		r.fail("created by %q, not by seedtree", clip(string(by)))
	}
	r.key("info")
	from := r.pos
	r.info(&m)
	info = data[from:r.pos]
	r.key("seedtree")
	r.token('d', "a dictionary")
	r.key("mtime")
	mtime := r.int("mtime")
	r.token('e', "the end of the seedtree dictionary")
	r.token('e', "the end of the torrent")
	if r.err == nil && r.pos != len(data) {
		r.fail("%d bytes follow the torrent", len(data)-r.pos)
	}
	if r.err != nil {
		return Metainfo{}, nil, fmt.Errorf("torrent: %w", r.err)
	}
	m.ModTime = time.Unix(0, mtime).UTC()
	return m, info, nil
}

// info reads the info dictionary.
func (r *reader) info(m *Metainfo) {
	r.token('d', "the info dictionary")
	r.key("files")
	r.token('l', "the list of files")
	r.token('d', "a file")
	r.key("length")
	m.Length = r.int("length")
	r.key("path")
	m.Path = r.path()
	r.token('e', "the end of the file")
	if r.peek('d') {
		r.fail("a second file: a catalog's torrents hold one each")
	}
	r.token('e', "the end of the list of files")
	r.key("name")
	name := r.bytes("name")
	r.key("piece length")
	m.PieceLength = r.int("piece length")
	r.key("pieces")
	m.Pieces = r.bytes("pieces")
	r.key("private")
	if private := r.int("private"); r.err == nil && private != 1 {
		r.fail("private is %d, not 1", private)
	}
	r.token('e', "the end of the info dictionary")
	if r.err != nil {
		return
	}
	m.Tree = string(name)
	if err := ValidTreeName(m.Tree); err != nil {
		r.fail("%v", err)
	} else if err := m.check(); err != nil {
		r.fail("%v", err)
	}
}

// path reads the list of a file's path components.
func (r *reader) path() Path {
	r.token('l', "the list of path components")
	var room [4096]byte
	b := room[:0]
	for r.err == nil && !r.peek('e') {
		c := r.bytes("a path component")
		switch {
		case r.err != nil:
		case len(c) == 0:
			r.fail("path has an empty component")
		case len(b)+1+len(c) > cap(b):
			r.fail("path is longer than %d bytes", cap(b))
		case bytes.IndexByte(c, '/') >= 0:
			r.fail("path component %q has a slash", clip(string(c)))
		}
		if r.err != nil {
			return ""
		}
		if len(b) > 0 {
			b = append(b, '/')
		}
		b = append(b, c...)
	}
	r.token('e', "the end of the path")
	if r.err != nil {
		return ""
	}
	p, err := ParsePath(string(b))
	if err != nil {
		r.fail("%v", err)
	}
	return p
}
