package apply

import (
	"context"
	"fmt"
	"os"
	"path"

	"seedtree/manifests"
)

// acquireMoves takes hold of everything that is about to move before any file
// is published: a is renamed to b while b is renamed to a, and neither may be
// gone when its turn comes. A hard link costs nothing and keeps the bytes
// whatever happens to the old name.
func (x *execution) acquireMoves(ctx context.Context) error {
	moves := x.actions(func(a Action) bool {
		return a.source.kind == fromTree && a.Kind != Add && (a.Kind == Move || x.departs(a.source.entry))
	})
	return x.batches(ctx, moves, func(_ context.Context, items []*item) error {
		for _, it := range items {
			// What cannot be had here is sought again by reuse, and failing
			// that fetched.
			_ = x.acquire(it)
		}
		return nil
	})
}

// departs reports whether an entry's place will hold something else, or nothing.
func (x *execution) departs(e manifests.Entry) bool {
	now, listed := x.wanted.Get(e.Key())
	return !listed || now.Content != e.Content
}

// acquire brings an item's source to its ready name in staging: by hard link
// when the source is about to go, as a copy (a reflink where there are such)
// when it stays, for two names of one file are changed together by an editor.
func (x *execution) acquire(it *item) error {
	ready := readyName(it.Entry.InfoHash)
	it.file = ready
	if err := it.tree.makeDirs(stagingDir); err != nil {
		return err
	}
	src, name := x.trees[it.source.entry.Tree], string(it.source.entry.Path)
	if it.source.kind == fromTrash {
		src, name = x.trees[it.source.trash.Tree], it.source.trash.name()
	}
	if src == nil {
		return fmt.Errorf("the tree of %s is not available", it.From)
	}
	info, err := src.lstat(name)
	if err != nil {
		return err
	}
	if info == nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", it.From, os.ErrNotExist)
	}
	if there, err := it.tree.lstat(ready); err != nil {
		return err
	} else if there != nil { // of an interrupted pass; whatever it is, make it anew
		if err := it.tree.remove(ready); err != nil {
			return err
		}
	}
	if it.source.gone && src == it.tree && it.tree.link(name, ready) == nil {
		it.linked = true
		return nil
	}
	return it.tree.copyFile(src, name, ready, -1)
}

// reuse publishes what moves, returns from the trash or is copied.
func (x *execution) reuse(ctx context.Context) error {
	err := x.batches(ctx, x.actions(ofKind(Move, Restore, Copy)), x.reuseBatch)
	if err != nil {
		return err
	}
	drops := x.drops
	x.drops = nil
	for _, it := range drops {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := x.drop(it); err != nil {
			x.fail(it, fmt.Errorf("letting go of the old name %s: %w", it.From, err))
		}
	}
	return nil
}

func (x *execution) reuseBatch(ctx context.Context, items []*item) error {
	var got []*item
	for _, it := range items {
		x.s.beat()
		if x.acquired(it) || x.acquire(it) == nil {
			got = append(got, it)
			continue
		}
		x.fetchInstead(it)
	}
	if err := x.check(ctx, got); err != nil {
		return err
	}
	var good []*item
	for _, it := range got {
		if it.have.Complete {
			good = append(good, it)
			continue
		}
		if err := it.tree.remove(it.file); err != nil {
			x.fail(it, err)
			continue
		}
		x.fetchInstead(it)
	}
	placed, err := x.publish(ctx, good)
	for _, it := range placed {
		x.res.BytesReused += it.Entry.Length
		x.done(it)
		if it.source.gone {
			x.drops = append(x.drops, it)
		}
	}
	return err
}

// acquired reports whether acquireMoves got the bytes.
func (x *execution) acquired(it *item) bool {
	if it.source.kind != fromTree || it.Kind != Move && !x.departs(it.source.entry) {
		return false
	}
	ready := readyName(it.Entry.InfoHash)
	info, err := it.tree.lstat(ready)
	if err != nil || info == nil || info.Size() != it.Entry.Length {
		return false
	}
	it.file = ready
	// Not the same file: it was copied, and is not durable yet.
	if src := x.trees[it.source.entry.Tree]; src == it.tree {
		old, err := src.lstat(string(it.source.entry.Path))
		it.linked = err == nil && old != nil && os.SameFile(info, old)
	}
	return true
}

// fetchInstead turns an item whose source has other bytes than it should into
// an Add, which may still begin from what is right in it.
func (x *execution) fetchInstead(it *item) {
	a := it.Action
	a.Kind = Add
	a.Reason = fmt.Sprintf("%s has not the listed bytes", it.From)
	a.release = nil
	x.staying[a.Entry.InfoHash] = true
	x.refetch = append(x.refetch, a)
}

// drop removes the old name of what was moved. The same file under a new name
// is not lost; anything else goes to the trash.
func (x *execution) drop(it *item) error {
	if it.source.kind == fromTrash {
		return x.dropTrash(it)
	}
	e := it.source.entry
	t := x.trees[e.Tree]
	if _, listed := x.wanted.Get(e.Key()); listed {
		return nil // its own entry replaces it
	}
	if t == x.trees[it.Entry.Tree] && t.sameName(e.Path, it.Entry.Path) {
		return nil // to this file system they are one name
	}
	name := string(e.Path)
	info, err := t.lstat(name)
	if err != nil || info == nil || !info.Mode().IsRegular() || x.standsAt(t, info, it.Entry) && lastName(info) {
		return err
	}
	if x.livesAt(t, info, it.Entry) {
		err = t.remove(name)
	} else {
		err = t.bin.throw(name, info, x.contentAt(t, name, info), "moved to "+it.Entry.Key().String(), false)
	}
	if err != nil {
		return err
	}
	return x.removeEmptyDirs(t, path.Dir(name))
}

// dropTrash takes a restored file out of the trash, unless it was copied.
func (x *execution) dropTrash(it *item) error {
	t := x.trees[it.source.trash.Tree]
	info, err := t.lstat(it.source.trash.name())
	if err != nil || info == nil || !x.livesAt(t, info, it.Entry) {
		return err
	}
	return t.remove(it.source.trash.name())
}

// livesAt reports whether a file of tree t lives on at an entry's place when
// another of its names goes.
func (x *execution) livesAt(t *tree, info os.FileInfo, e manifests.Entry) bool {
	return x.standsAt(t, info, e) && !lastName(info)
}

// standsAt reports whether a file of tree t stands at an entry's place. That
// may be under the very name that somebody else wrote differently: file
// systems fold case and accents, and bind mounts show one folder twice.
func (x *execution) standsAt(t *tree, info os.FileInfo, e manifests.Entry) bool {
	if t != x.trees[e.Tree] {
		return false
	}
	there, err := t.lstat(string(e.Path))
	return err == nil && there != nil && os.SameFile(info, there)
}
