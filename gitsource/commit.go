package gitsource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"seedtree/internal/pulse"
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
	Blob BlobID // instead of Data: what the batch was given before
	Mode Mode
}

// Commit says what a commit changes in its parent: files put at names, whatever
// was there, and names deleted, which must be there.
type Commit struct {
	Message string
	Put     []File // best sorted by name, which saves a copy
	Many    Files  // in place of Put, where a list of all would take much memory
	Delete  []string
}

// Files are put together one by one, as they are asked for, and in no order.
type Files interface {
	Len() int
	At(i int) File // ordered by name
}

// fileList is Files that are there.
type fileList []File

func (l fileList) Len() int { return len(l) }

func (l fileList) At(i int) File { return l[i] }

// files returns all that are put.
func (c Commit) files() Files {
	if c.Many != nil {
		return c.Many
	}
	return fileList(c.Put)
}

// Commit makes a commit on top of parent (nil: the first), as one pack of the new
// blobs and of the trees on the way to them; nothing else is read or written. Push
// publishes it and brings it into the mirror; until then it is nobody's head, and
// the next Commit or Close forgets it. A commit that would change nothing is
// ErrUnchanged.
func (s *Source) Commit(ctx context.Context, parent *Revision, c Commit) (*Revision, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	s.forgetUnpushed()
	b, err := s.newBatch()
	if err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	rev, err := b.locked(ctx, parent, c)
	if err != nil {
		return nil, errors.Join(err, b.remove())
	}
	s.unpushed = b
	return rev, nil
}

func (s *Source) forgetUnpushed() {
	if s.unpushed == nil {
		return
	}
	if err := s.unpushed.remove(); err != nil {
		s.log.Warn("remove a commit that was not pushed", "err", err)
	}
	s.unpushed = nil
}

// locked is Commit with the lock held.
func (b *Batch) locked(ctx context.Context, parent *Revision, c Commit) (*Revision, error) {
	pulse.Step(ctx, "committing")
	b.in.beat = b.src.beat // the batch may have been begun by other work
	rev, err := b.commit(ctx, parent, c)
	if err != nil {
		b.src.noteDamage(err)
		return nil, fmt.Errorf("commit: %w", err)
	}
	return rev, nil
}

func (b *Batch) commit(ctx context.Context, parent *Revision, c Commit) (*Revision, error) {
	if err := b.rewind(); err != nil {
		return nil, err
	}
	st, err := b.src.open()
	if err != nil {
		return nil, err
	}
	// What is of another mirror, and was never fetched here, is no damage of ours.
	if parent != nil && parent.src != b.src && !st.has(parent.id) {
		return nil, fmt.Errorf("revision %s is of another mirror, in %s, and not in this one", parent.Short(), parent.src.cfg.Dir)
	}
	e, err := newEditor(ctx, st, b.pack, c)
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
	tree, err := e.tree(base, "")
	if err != nil {
		return nil, err
	}
	if tree == base {
		return nil, ErrUnchanged
	}
	if tree.IsZero() { // everything is deleted
		tree = objectID(plumbing.TreeObject, nil)
		if err := b.pack.add(tree, plumbing.TreeObject, nil); err != nil {
			return nil, err
		}
	}
	data, err := b.src.sign(parent, c, encodeCommit(tree, parents, b.src.cfg.Author, when, c.Message), when)
	if err != nil {
		return nil, err
	}
	id := objectID(plumbing.CommitObject, data)
	if err := b.pack.add(id, plumbing.CommitObject, data); err != nil {
		return nil, err
	}
	if err := b.in.finish(b.pack); err != nil {
		return nil, err
	}
	return b.revision(id, data)
}
