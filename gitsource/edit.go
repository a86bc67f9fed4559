package gitsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// editor makes new trees from old ones and adds those that are new to a pack.
//
// Sorted by their whole names, the changes come in the very order in which git
// sorts the entries of its trees, for a directory stands there as if its name
// ended in a slash. So one walk merges them with the old trees, and what it has
// in memory is the trees on the way to where it is.
type editor struct {
	ctx  context.Context
	st   *store
	pack *packWriter

	put    Files    // all, by name
	del    []string // all, in order
	puts   int      // how many of them are done
	dels   []string // those still to come
	buf    []byte   // trees being made, each behind the one it will stand in
	prefix []byte
}

func newEditor(ctx context.Context, st *store, pack *packWriter, c Commit) (*editor, error) {
	if c.Many != nil && len(c.Put) > 0 {
		return nil, errors.New("files of both kinds are put")
	}
	byName := func(a, b File) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(c.Put, byName) {
		c.Put = slices.SortedFunc(slices.Values(c.Put), byName)
	}
	e := &editor{ctx: ctx, st: st, pack: pack, put: c.files(), del: c.Delete}
	if !slices.IsSorted(e.del) {
		e.del = slices.Sorted(slices.Values(e.del))
	}
	before := ""
	for i := range e.put.Len() {
		name := e.put.At(i).Name
		if err := checkName(name); err != nil {
			return nil, err
		}
		if name <= before {
			return nil, fmt.Errorf("%q is put twice, or out of order", name)
		}
		before = name
	}
	for _, name := range e.del {
		if err := checkName(name); err != nil {
			return nil, err
		}
	}
	e.dels = e.del
	return e, nil
}

// checkName refuses what git would not check out.
func checkName(name string) error {
	depth := 0
	for rest, more := name, true; more; depth++ {
		var c string
		c, rest, more = strings.Cut(rest, "/")
		if c == "" || c == "." || c == ".." || strings.EqualFold(c, ".git") || strings.IndexByte(c, 0) >= 0 || depth > maxDepth {
			return fmt.Errorf("%q cannot be a name in git: component %q", name, c)
		}
	}
	return nil
}

// nextPut is the name of the next file to be put, "" if there is none.
func (e *editor) nextPut() string {
	if e.puts == e.put.Len() {
		return ""
	}
	return e.put.At(e.puts).Name
}

// next is the first change below a directory ("" or ending in a slash): the name
// there, and whether the change is further down.
func (e *editor) next(dir string) (name string, isDir, ok bool) {
	full := e.nextPut()
	if len(e.dels) > 0 && (full == "" || e.dels[0] < full) {
		full = e.dels[0]
	}
	rest, ok := strings.CutPrefix(full, dir)
	if !ok || full == "" {
		return "", false, false
	}
	name, _, isDir = strings.Cut(rest, "/")
	return name, isDir, true
}

// step is called before each tree and each file.
func (e *editor) step() error {
	e.st.beat()
	return e.ctx.Err()
}

// tree makes the tree that the changes turn base into; zero stands for an empty
// one, which git never stores below the root.
func (e *editor) tree(base hash, dir string) (hash, error) {
	if err := e.step(); err != nil {
		return hash{}, err
	}
	var old []treeEntry
	if !base.IsZero() {
		var err error
		if old, err = e.st.tree(base); err != nil {
			return hash{}, err
		}
	}
	start, left := len(e.buf), old
	for {
		name, isDir, more := e.next(dir)
		for len(left) > 0 && (!more || left[0].compare(name, isDir) < 0) {
			if left[0].isDir() && e.isPut(dir, left[0].name) {
				return hash{}, fmt.Errorf("%q is a directory and cannot become a file", dir+left[0].name)
			}
			e.buf = appendTreeEntry(e.buf, left[0])
			left = left[1:]
		}
		if !more {
			break
		}
		was := treeEntry{name: name}
		if len(left) > 0 && left[0].compare(name, isDir) == 0 {
			was, left = left[0], left[1:]
		}
		next, err := e.change(was, isDir, old, dir)
		if err != nil {
			return hash{}, err
		}
		if !next.id.IsZero() {
			e.buf = appendTreeEntry(e.buf, next)
		}
	}
	return e.keep(base, start)
}

// keep adds the tree that stands at the end of the buffer to the pack, unless it is
// what was there before.
func (e *editor) keep(base hash, start int) (hash, error) {
	data := e.buf[start:]
	e.buf = e.buf[:start]
	if len(data) == 0 {
		return hash{}, nil
	}
	id := objectID(plumbing.TreeObject, data)
	if id == base {
		return id, nil
	}
	return id, e.pack.add(id, plumbing.TreeObject, data)
}

// change makes the entry that stands at one name after the change; a zero id is none.
func (e *editor) change(was treeEntry, isDir bool, old []treeEntry, dir string) (treeEntry, error) {
	name := dir + was.name
	if !isDir {
		return e.file(was, name)
	}
	id, err := e.tree(was.id, name+"/")
	if err != nil || id.IsZero() {
		return treeEntry{}, err
	}
	if e.isPut(dir, was.name) {
		return treeEntry{}, fmt.Errorf("%q would be a file and a directory", name)
	}
	at, isFile := slices.BinarySearchFunc(old, was.name, func(o treeEntry, name string) int { return o.compare(name, false) })
	if _, deleted := slices.BinarySearch(e.del, name); isFile && !deleted && !old[at].isDir() {
		return treeEntry{}, fmt.Errorf("%q is a file and cannot become a directory", name)
	}
	return treeEntry{mode: modeDir, name: was.name, id: id}, nil
}

// file carries out what is to be done with one file. One that is put and deleted is put.
func (e *editor) file(was treeEntry, name string) (treeEntry, error) {
	if err := e.step(); err != nil {
		return treeEntry{}, err
	}
	deleted := false
	for len(e.dels) > 0 && e.dels[0] == name {
		deleted, e.dels = true, e.dels[1:]
	}
	if e.nextPut() != name {
		if deleted && was.id.IsZero() {
			return treeEntry{}, fmt.Errorf("%q is not there to be deleted", name)
		}
		return treeEntry{}, nil
	}
	f := e.put.At(e.puts)
	e.puts++
	id := hash(f.Blob)
	if !id.IsZero() {
		if !e.pack.index.has(id) {
			return treeEntry{}, fmt.Errorf("%q: blob %s was not given to this batch", name, id)
		}
		return treeEntry{mode: f.Mode.git(), name: was.name, id: id}, nil
	}
	id = objectID(plumbing.BlobObject, f.Data)
	return treeEntry{mode: f.Mode.git(), name: was.name, id: id}, e.pack.add(id, plumbing.BlobObject, f.Data)
}

// isPut reports whether a file of this name is put into a directory.
func (e *editor) isPut(dir, name string) bool {
	e.prefix = append(append(e.prefix[:0], dir...), name...)
	_, found := sort.Find(e.put.Len(), func(i int) int {
		switch name := e.put.At(i).Name; {
		case name > string(e.prefix):
			return -1
		case name < string(e.prefix):
			return 1
		}
		return 0
	})
	return found
}

// compare orders an entry and a name as git does: a directory as if its name ended
// in a slash.
func (e treeEntry) compare(name string, isDir bool) int {
	n := min(len(e.name), len(name))
	if c := strings.Compare(e.name[:n], name[:n]); c != 0 {
		return c
	}
	return int(endByte(e.name, n, e.isDir())) - int(endByte(name, n, isDir))
}

// endByte is the byte of a name behind its first n.
func endByte(name string, n int, isDir bool) byte {
	switch {
	case len(name) > n:
		return name[n]
	case isDir:
		return '/'
	}
	return 0
}

func appendTreeEntry(b []byte, e treeEntry) []byte {
	b = strconv.AppendUint(b, uint64(e.mode), 8)
	b = append(b, ' ')
	b = append(b, e.name...)
	b = append(b, 0)
	return append(b, e.id[:]...)
}
