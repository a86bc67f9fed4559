package gitsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Mode is what kind of file git is told an entry is.
type Mode uint8

// Modes of committed files.
const (
	Regular Mode = iota
	Executable
	Symlink // Data is the target
)

func (m Mode) git() uint32 {
	switch m {
	case Executable:
		return modeExec
	case Symlink:
		return modeLink
	}
	return modeRegular
}

// File is one file of a commit. Name is its place in the repository, with
// slashes: "manifest.yaml", "torrents/photos/a.jpg.torrent".
type File struct {
	Name string
	Data []byte
	Mode Mode
}

// Commit says what a commit changes in its parent: files put at names, whatever
// was there, and names deleted, which must be there.
type Commit struct {
	Message string
	Put     []File
	Delete  []string
}

// Commit makes a commit on top of parent (nil: the first) in the mirror, as one
// pack of the new blobs and of the trees on the way to them; nothing else is read
// or written. Push publishes it; until then it is nobody's head. A commit that
// would change nothing is ErrUnchanged.
func (s *Source) Commit(ctx context.Context, parent *Revision, c Commit) (*Revision, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	rev, err := s.commit(ctx, parent, c)
	if err != nil {
		s.noteDamage(err)
		return nil, fmt.Errorf("commit: %w", err)
	}
	return rev, nil
}

func (s *Source) commit(ctx context.Context, parent *Revision, c Commit) (*Revision, error) {
	st, err := s.open()
	if err != nil {
		return nil, err
	}
	e := &editor{ctx: ctx, st: st, blobs: map[hash][]byte{}, trees: map[hash][]byte{}}
	root, err := e.plan(c)
	if err != nil {
		return nil, err
	}
	var base hash
	var parents []hash
	when := time.Now()
	if parent != nil {
		base, parents = parent.tree, []hash{parent.id}
		// A clock set back must not make children older than their parents:
		// everything that walks history goes by these times.
		if when.Before(parent.Time) {
			when = parent.Time
		}
	}
	tree, err := e.apply(base, root, "")
	if err != nil {
		return nil, err
	}
	if tree == base {
		return nil, ErrUnchanged
	}
	if tree.IsZero() {
		tree = e.keep(nil) // everything is deleted
	}
	data := encodeCommit(tree, parents, s.cfg.Author, when, c.Message)
	id := objectID(plumbing.CommitObject, data)
	pack, err := s.writeCommit(e, id, data)
	if err != nil {
		return nil, err
	}
	rev, err := s.revision(id)
	if err != nil {
		return nil, err
	}
	rev.pack = pack
	return rev, nil
}

// writeCommit puts everything the editor made into one pack in the mirror. Blobs go
// in even where the mirror has them: it may have them from a commit that was
// never pushed, and then the remote has not.
func (s *Source) writeCommit(e *editor, id hash, commit []byte) (packSource, error) {
	in, err := newIncoming(s.path(incomingName), s.lim)
	if err != nil {
		return packSource{}, err
	}
	defer in.Close()
	err = in.build(1+len(e.trees)+len(e.blobs), func(p *packWriter) error {
		err := p.add(id, plumbing.CommitObject, commit)
		for id, data := range e.trees {
			err = errors.Join(err, p.add(id, plumbing.TreeObject, data))
		}
		for id, data := range e.blobs {
			err = errors.Join(err, p.add(id, plumbing.BlobObject, data))
			if e.ctx.Err() != nil {
				return e.ctx.Err()
			}
		}
		return err
	})
	if err != nil {
		return packSource{}, err
	}
	if err := in.install(s.path(gitName)); err != nil {
		return packSource{}, err
	}
	_, err = s.reopen()
	return packSource{base: s.path(gitName) + "/objects/pack/" + in.name, count: in.count}, err
}

// edit is a change to one name in a tree: a new file, a deletion, or changes below.
type edit struct {
	file   *treeEntry
	delete bool
	below  map[string]*edit
}

// editor makes new trees from old ones.
type editor struct {
	ctx   context.Context
	st    *store
	blobs map[hash][]byte
	trees map[hash][]byte
}

// plan arranges a commit's changes by directory. A name that is put and deleted is put.
func (e *editor) plan(c Commit) (*edit, error) {
	root := &edit{}
	put := make(map[string]bool, len(c.Put))
	for i := range c.Put {
		f := &c.Put[i]
		if put[f.Name] {
			return nil, fmt.Errorf("%q is put twice", f.Name)
		}
		put[f.Name] = true
		id := objectID(plumbing.BlobObject, f.Data)
		e.blobs[id] = f.Data
		at, err := root.at(f.Name)
		if err != nil {
			return nil, err
		}
		at.file = &treeEntry{mode: f.Mode.git(), id: id}
	}
	for _, name := range c.Delete {
		if put[name] {
			continue
		}
		at, err := root.at(name)
		if err != nil {
			return nil, err
		}
		at.delete = true
	}
	return root, nil
}

// at finds or makes the node of a name.
func (n *edit) at(name string) (*edit, error) {
	for c := range strings.SplitSeq(name, "/") {
		if c == "" || c == "." || c == ".." || strings.EqualFold(c, ".git") || strings.ContainsRune(c, 0) {
			return nil, fmt.Errorf("%q cannot be a name in git: component %q", name, c)
		}
		if n.below == nil {
			n.below = map[string]*edit{}
		}
		next := n.below[c]
		if next == nil {
			next = &edit{}
			n.below[c] = next
		}
		n = next
	}
	return n, nil
}

// apply makes the tree that edits turn base into; zero stands for an empty one,
// which git never stores below the root.
func (e *editor) apply(base hash, edits *edit, dir string) (hash, error) {
	if err := e.ctx.Err(); err != nil {
		return hash{}, err
	}
	var old []treeEntry
	if !base.IsZero() {
		var err error
		if old, err = e.st.tree(base); err != nil {
			return hash{}, err
		}
	}
	entries := make([]treeEntry, 0, len(old)+len(edits.below))
	for _, o := range old {
		if edits.below[o.name] == nil {
			entries = append(entries, o)
		}
	}
	was := make(map[string]treeEntry, len(edits.below))
	for _, o := range old {
		if edits.below[o.name] != nil {
			was[o.name] = o
		}
	}
	for name, change := range edits.below {
		next, err := e.change(was[name], change, dir+name)
		if err != nil {
			return hash{}, err
		}
		if !next.id.IsZero() {
			next.name = name
			entries = append(entries, next)
		}
	}
	if len(entries) == 0 {
		return hash{}, nil
	}
	slices.SortFunc(entries, func(a, b treeEntry) int { return strings.Compare(a.sortKey(), b.sortKey()) })
	return e.keep(encodeTree(entries)), nil
}

// change makes the entry that stands at one name after the change; a zero id is none.
func (e *editor) change(was treeEntry, c *edit, name string) (treeEntry, error) {
	switch {
	case c.file != nil && len(c.below) > 0:
		return treeEntry{}, fmt.Errorf("%q would be a file and a directory", name)
	case c.file != nil && was.isDir():
		return treeEntry{}, fmt.Errorf("%q is a directory and cannot become a file", name)
	case c.file != nil:
		return *c.file, nil
	case c.delete && (was.id.IsZero() || was.isDir()):
		return treeEntry{}, fmt.Errorf("%q is not there to be deleted", name)
	case len(c.below) == 0:
		return treeEntry{}, nil
	case !was.id.IsZero() && !was.isDir() && !c.delete:
		return treeEntry{}, fmt.Errorf("%q is a file and cannot become a directory", name)
	}
	if !was.isDir() {
		was = treeEntry{mode: modeDir}
	}
	id, err := e.apply(was.id, c, name+"/")
	return treeEntry{mode: modeDir, id: id}, err
}

func (e *editor) keep(tree []byte) hash {
	id := objectID(plumbing.TreeObject, tree)
	e.trees[id] = tree
	return id
}
