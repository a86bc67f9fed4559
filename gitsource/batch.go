package gitsource

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/go-git/go-git/v5/plumbing"
)

// BlobID names a blob that a batch was given: git's id of it.
type BlobID [20]byte

// Batch takes the files of a commit one by one, long before it is known what else
// the commit will hold, and streams them into the very pack that it becomes: of a
// million files it keeps where they are, some fifty bytes each, and not one of
// their bytes. Nothing of it is in the mirror before Push; a batch whose process
// dies is removed by the next Open. It is not safe for concurrent use.
type Batch struct {
	src   *Source
	in    *incoming
	lock  *flock.Flock // tells others that we live
	pack  *packWriter
	blobs packMark // where the blobs end; what follows belongs to one commit
	head  hash     // the newest commit; zero: none is sealed
	st    *store
	id    hasher
}

// lockFile in a batch's folder is held for as long as the batch lives.
const lockFile = "lock"

var errNotInMirror = errors.New("a commit that was not pushed cannot be read any more")

// Batch begins a commit whose files come one by one. Close must be called.
func (s *Source) Batch(ctx context.Context) (*Batch, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	b, err := s.newBatch()
	if err != nil {
		return nil, fmt.Errorf("begin a commit: %w", err)
	}
	return b, nil
}

// newBatch makes a batch's folder; the lock is held.
func (s *Source) newBatch() (*Batch, error) {
	in, err := newIncoming(s.path(batchesName), s.lim)
	if err != nil {
		return nil, err
	}
	in.beat = s.beat
	b := &Batch{src: s, in: in, lock: flock.New(filepath.Join(in.dir, lockFile))}
	if _, err = b.lock.TryLock(); err == nil {
		b.pack, err = newPackWriter(in.pack)
	}
	if err != nil {
		return nil, errors.Join(err, b.remove())
	}
	b.blobs = b.pack.mark()
	return b, nil
}

// sweepBatches removes what dead processes left; the lock is held, so none is just
// being made.
func (s *Source) sweepBatches() error {
	dirs, err := os.ReadDir(s.path(batchesName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, d := range dirs {
		dir := filepath.Join(s.path(batchesName), d.Name())
		lock := flock.New(filepath.Join(dir, lockFile))
		free, lockErr := lock.TryLock()
		if lockErr == nil && !free {
			continue // somebody is at work
		}
		_ = lock.Close()
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// Blob stores a file's bytes in the batch; the same bytes are stored once.
func (b *Batch) Blob(data []byte) (BlobID, error) {
	if b.pack == nil {
		return BlobID{}, errors.New("store a blob: the batch is closed")
	}
	if err := b.rewind(); err != nil {
		return BlobID{}, fmt.Errorf("store a blob: %w", err)
	}
	id := b.id.sum(plumbing.BlobObject, data)
	if err := b.pack.add(id, plumbing.BlobObject, data); err != nil {
		return BlobID{}, fmt.Errorf("store a blob: %w", err)
	}
	b.blobs = b.pack.mark()
	return BlobID(id), nil
}

// Commit makes a commit of the batch's blobs and whatever else c holds on top of
// parent, as Source.Commit does. When its push comes back with ErrMoved the batch
// can be committed again, on the new head: the blobs stay where they are, the
// commit before is forgotten. A batch that was pushed is spent.
func (b *Batch) Commit(ctx context.Context, parent *Revision, c Commit) (*Revision, error) {
	unlock, err := b.src.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if b.pack == nil {
		return nil, errors.New("commit: the batch is closed")
	}
	return b.locked(ctx, parent, c)
}

// rewind takes back what was written after the blobs: a commit that was not
// pushed, or the beginnings of one.
func (b *Batch) rewind() error {
	if b.pack.mark() == b.blobs && b.in.name == "" && b.pack.err == nil {
		return nil
	}
	b.head = hash{}
	return errors.Join(b.closeStore(), b.in.unseal(), b.pack.cut(b.blobs))
}

// revision describes the commit that was just sealed.
func (b *Batch) revision(id hash, data []byte) (*Revision, error) {
	c, err := parseCommit(id, data)
	if err != nil {
		return nil, err
	}
	b.head = id
	r := b.src.newRevision(c)
	r.made = b
	return r, nil
}

// store reads the sealed commit, and below it the mirror.
func (b *Batch) store(mirror *store) *store {
	if b.st == nil {
		b.st = openStore(b.in.dir, errNotInMirror)
	}
	b.st.under, b.st.beat = mirror, b.src.beat
	return b.st
}

func (b *Batch) closeStore() error {
	if b.st == nil {
		return nil
	}
	st := b.st
	b.st = nil
	return st.Close()
}

// keep brings a pushed commit into the mirror; the lock is held.
func (r *Revision) keep() error {
	b := r.made
	if err := errors.Join(b.closeStore(), b.in.install(b.src.path(gitName))); err != nil {
		return err
	}
	r.made = nil
	return b.remove()
}

// Close throws away what was not pushed.
func (b *Batch) Close() error {
	b.src.turn <- struct{}{}
	defer func() { <-b.src.turn }()
	return b.remove()
}

func (b *Batch) remove() error {
	if b.lock == nil {
		return nil
	}
	err := errors.Join(b.closeStore(), b.lock.Close(), b.in.Close())
	b.lock, b.pack, b.head = nil, nil, hash{}
	return err
}
