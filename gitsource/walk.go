package gitsource

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// object is an id with what kind of object it is.
type object struct {
	id hash
	t  plumbing.ObjectType
}

// Bounds on a walk over what others wrote.
const (
	maxWalked = 32 << 20 // objects reachable in one fetch
	maxDepth  = 2100     // directories inside each other: a path of 4096 bytes has fewer
)

// walker collects what is reachable from a commit and not yet had.
type walker struct {
	ctx     context.Context
	from    *store
	have    func(hash) bool
	seen    map[hash]bool
	found   []object
	verify  bool // blobs must be in from, too
	commits []hash
}

// checkClosed fails unless everything reachable from tip is in from or had.
func checkClosed(ctx context.Context, from *store, tip hash, have func(hash) bool) error {
	w := &walker{ctx: ctx, from: from, have: have, seen: map[hash]bool{}, commits: []hash{tip}, verify: true}
	_, err := w.run()
	return err
}

func (w *walker) run() ([]object, error) {
	for len(w.commits) > 0 {
		id := w.commits[len(w.commits)-1]
		w.commits = w.commits[:len(w.commits)-1]
		isNew, err := w.visit(id, plumbing.CommitObject)
		if err != nil {
			return nil, err
		}
		if !isNew {
			continue
		}
		c, err := w.from.commit(id)
		if err != nil {
			return nil, err
		}
		w.commits = append(w.commits, c.parents...)
		if err := w.tree(c.tree, 0); err != nil {
			return nil, fmt.Errorf("commit %s: %w", id, err)
		}
	}
	return w.found, nil
}

// visit notes an object; it reports whether it is new.
func (w *walker) visit(id hash, t plumbing.ObjectType) (bool, error) {
	if w.seen[id] || w.have(id) {
		return false, nil
	}
	w.from.beat()
	if err := w.ctx.Err(); err != nil {
		return false, err
	}
	if len(w.found) >= maxWalked {
		return false, fmt.Errorf("%w: more than %d objects", ErrTooLarge, maxWalked)
	}
	w.seen[id] = true
	w.found = append(w.found, object{id, t})
	return true, nil
}

func (w *walker) tree(id hash, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: directories %d deep", ErrTooLarge, depth)
	}
	isNew, err := w.visit(id, plumbing.TreeObject)
	if err != nil || !isNew {
		return err
	}
	entries, err := w.from.tree(id)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch {
		case e.isDir():
			err = w.tree(e.id, depth+1)
		case e.mode == modeModule:
			// names a commit of another repository
		default:
			isNew, err = w.visit(e.id, plumbing.BlobObject)
			if isNew && w.verify && !w.from.has(e.id) {
				err = w.from.bad("blob %s (%q) is missing", e.id, e.name)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// descends reports whether ancestor is new itself or reachable from it through parents.
func descends(ctx context.Context, s *store, child, ancestor hash) (bool, error) {
	seen := map[hash]bool{}
	for queue := []hash{child}; len(queue) > 0; {
		id := queue[0]
		queue = queue[1:]
		if id == ancestor {
			return true, nil
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		if err := ctx.Err(); err != nil {
			return false, err
		}
		c, err := s.commit(id)
		if err != nil {
			return false, err
		}
		queue = append(queue, c.parents...)
	}
	return false, nil
}
