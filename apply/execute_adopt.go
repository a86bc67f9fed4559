package apply

import (
	"context"
	"fmt"

	"seedtree/manifests"
)

// adopt takes up files that are where they belong. A follower checks every
// byte; main takes its own listing's word, for it hashed these files itself,
// unless the client complained.
func (x *execution) adopt(ctx context.Context) error {
	return x.batches(ctx, x.actions(ofKind(Adopt)), func(ctx context.Context, items []*item) error {
		var source, copies []*item
		for _, it := range items {
			it.file = string(it.Entry.Path)
			if x.plan.sources[it.Entry.Tree] {
				source = append(source, it)
			} else {
				copies = append(copies, it)
			}
		}
		if err := x.adoptSource(ctx, source); err != nil {
			return err
		}
		return x.adoptCopies(ctx, copies)
	})
}

func (x *execution) adoptCopies(ctx context.Context, items []*item) error {
	if err := x.check(ctx, items); err != nil {
		return err
	}
	var good []*item
	for _, it := range items {
		if !it.have.Complete {
			x.fetchInsteadOf(it)
			continue
		}
		good = append(good, it)
	}
	return x.seedInPlace(ctx, good)
}

// fetchInsteadOf turns a failed adoption into an Add that begins from the file.
func (x *execution) fetchInsteadOf(it *item) {
	a := it.Action
	a.Kind, a.Reason = Add, "it has not the listed bytes"
	if it.have.Err != nil {
		a.Reason = it.have.Err.Error()
	}
	x.staying[a.Entry.InfoHash] = true
	x.refetch = append(x.refetch, a)
}

// seedInPlace gives checked files of a tree to the engine.
func (x *execution) seedInPlace(ctx context.Context, items []*item) error {
	items = x.each(items, func(it *item) error {
		name := string(it.Entry.Path)
		info, err := it.tree.lstat(name)
		if err == nil && (info == nil || it.have.Info != nil && !sameLook(info, it.have.Info)) {
			err = fmt.Errorf("it changed after it was looked at")
		}
		if err != nil || x.plan.sources[it.Entry.Tree] {
			return err
		}
		return it.tree.setAttributes(name, info, it.Entry)
	})
	items, err := x.release(ctx, items)
	if err != nil {
		return err
	}
	for _, it := range items {
		if len(it.release) > 0 {
			x.s.recent[it.Entry.InfoHash] = x.s.cfg.Clock()
		}
	}
	items, err = x.hand(ctx, items, seedOnly)
	if err != nil {
		return err
	}
	for _, it := range x.each(items, x.clearStaging) {
		if !x.plan.sources[it.Entry.Tree] {
			x.res.BytesReused += it.Entry.Length
		}
		x.done(it)
	}
	return nil
}

// adoptSource seeds main's own files. Only what a client had trouble with is
// read: main's disk should be left to the people who work on it.
func (x *execution) adoptSource(ctx context.Context, items []*item) error {
	var trusted, doubted []*item
	for _, it := range items {
		if it.Bytes > 0 { // see planner.source
			doubted = append(doubted, it)
		} else {
			trusted = append(trusted, it)
		}
	}
	if err := x.check(ctx, doubted); err != nil {
		return err
	}
	for _, it := range doubted {
		if it.have.Complete {
			trusted = append(trusted, it)
			continue
		}
		rest, err := x.release(ctx, []*item{it})
		if err != nil {
			return err
		}
		for _, it := range rest {
			x.fail(it, fmt.Errorf("the source has other bytes than listed, though length and time agree: bit rot, or an edit that kept the time"))
		}
	}
	return x.seedInPlace(ctx, trusted)
}

// attributes sets mode and time where only they differ.
func (x *execution) attributes(ctx context.Context) error {
	return x.batches(ctx, x.actions(ofKind(Attributes)), func(_ context.Context, items []*item) error {
		for _, it := range x.each(items, func(it *item) error {
			info, err := it.tree.lstat(string(it.Entry.Path))
			if err == nil && (info == nil || !info.Mode().IsRegular()) {
				err = fmt.Errorf("it changed since it was looked at")
			}
			if err != nil {
				return err
			}
			return it.tree.setAttributes(string(it.Entry.Path), info, it.Entry)
		}) {
			x.done(it)
		}
		return nil
	})
}

// create makes empty files, symlinks and empty directories.
func (x *execution) create(ctx context.Context) error {
	return x.batches(ctx, x.actions(ofKind(Create)), func(ctx context.Context, items []*item) error {
		items, err := x.release(ctx, items)
		if err != nil {
			return err
		}
		items = x.syncDirs(x.each(items, x.createOne))
		for _, it := range items {
			x.done(it)
		}
		return nil
	})
}

// newName is where the next thing without a torrent is made.
const newName = stagingDir + "/new"

func (x *execution) createOne(it *item) error {
	t, name := it.tree, string(it.Entry.Path)
	if it.Entry.Kind == manifests.EmptyDir {
		if err := x.makeParents(t, name); err != nil {
			return err
		}
		info, err := t.lstat(name)
		if err != nil || info != nil && info.IsDir() {
			return err
		}
		if err := x.displaceNow(t, name, it.Entry); err != nil {
			return err
		}
		return t.makeDirs(name)
	}
	if err := t.makeDirs(stagingDir); err != nil {
		return err
	}
	if there, err := t.lstat(newName); err == nil && there != nil {
		if err := t.remove(newName); err != nil {
			return err
		}
	}
	if err := t.makeNew(it.Entry); err != nil {
		return err
	}
	return x.putFile(it, newName)
}

// displaceNow trashes what stands at a path, also when nothing can be renamed
// over it: a directory replaces no file.
func (x *execution) displaceNow(t *tree, name string, e manifests.Entry) error {
	info, err := t.lstat(name)
	if err != nil || info == nil {
		return err
	}
	if x.guarded(t, name) {
		return fmt.Errorf("%w: %s", errHeld, name)
	}
	return t.bin.throw(name, info, x.contentAt(t, name, info), "an "+e.Kind.String()+" is listed here", false)
}
