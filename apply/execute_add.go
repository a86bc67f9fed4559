package apply

import (
	"context"
	"os"
	"path"

	"seedtree/manifests"
)

// add hands over what has to be fetched. Each transfer begins from whatever
// right pieces are here: an interrupted one in staging, the source that proved
// damaged, or the old version at the path.
func (x *execution) add(ctx context.Context) error {
	return x.batches(ctx, x.actions(ofKind(Add)), x.addBatch)
}

// addAgain fetches what another stage could not find here after all.
func (x *execution) addAgain(ctx context.Context) error {
	again := x.refetch
	x.refetch = nil
	return x.batches(ctx, again, x.addBatch)
}

func (x *execution) addBatch(ctx context.Context, items []*item) error {
	// First, so that no client writes into what is read and copied below.
	items, err := x.release(ctx, items)
	if err != nil {
		return err
	}
	items = x.each(items, func(it *item) error {
		return it.tree.unshare(stagedName(it.Entry), string(it.Entry.Path))
	})
	var based []*item
	for _, it := range items {
		if len(it.release) > 0 {
			x.s.recent[it.Entry.InfoHash] = x.s.cfg.Clock()
			it.release = nil
		}
		if x.findBase(it) {
			based = append(based, it)
		}
	}
	if err := x.check(ctx, based); err != nil {
		return err
	}
	var fetch, inTree, staged []*item
	for _, it := range x.each(items, x.prepare) {
		switch {
		case !it.whole:
			fetch = append(fetch, it)
		case it.file == string(it.Entry.Path):
			inTree = append(inTree, it)
		default:
			staged = append(staged, it)
		}
	}
	return x.addSorted(ctx, fetch, inTree, staged)
}

// addSorted hands over what must be fetched, and puts in place what turned out
// to be here completely.
func (x *execution) addSorted(ctx context.Context, fetch, inTree, staged []*item) error {
	taken, err := x.hand(ctx, fetch, func(it *item) Addition {
		return Addition{Root: stagingRoot(it.tree.dir, it.Entry.InfoHash, it.Entry.Tree), Have: it.have.Bits}
	})
	if err != nil {
		return err
	}
	for _, it := range taken {
		here := counted(it.meta, it.have.Bits)
		x.res.Actions[Add]++
		x.res.BytesReused += here
		x.res.missing(it.Entry.Key(), it.Entry.Length-here)
		x.staying[it.Entry.InfoHash] = true
		x.awaited = append(x.awaited, it.Entry)
	}
	for _, it := range append(inTree, staged...) {
		it.release = x.d.oldTorrents(it.Entry)
	}
	if err := x.seedInPlace(ctx, inTree); err != nil {
		return err
	}
	placed, err := x.publish(ctx, staged)
	for _, it := range placed {
		x.res.BytesReused += it.Entry.Length
		x.done(it)
	}
	return err
}

// findBase chooses the file that a transfer begins from.
func (x *execution) findBase(it *item) bool {
	x.s.beat()
	type candidate struct {
		tree *tree
		name string
	}
	candidates := []candidate{{it.tree, stagedName(it.Entry)}}
	switch it.source.kind {
	case fromTree:
		candidates = append(candidates, candidate{x.trees[it.source.entry.Tree], string(it.source.entry.Path)})
	case fromTrash:
		candidates = append(candidates, candidate{x.trees[it.source.trash.Tree], it.source.trash.name()})
	case fromStaging:
		candidates = append(candidates, candidate{x.trees[it.source.entry.Tree], stagedName(it.source.entry)})
	}
	candidates = append(candidates, candidate{it.tree, string(it.Entry.Path)})
	for _, c := range candidates {
		if c.tree == nil {
			continue
		}
		if info, err := c.tree.lstat(c.name); err == nil && info != nil && info.Mode().IsRegular() && info.Size() > 0 {
			it.base, it.file = c.tree, c.name
			return true
		}
	}
	return false
}

// prepare readies one item's staging from its base, and finds out whether
// anything has to be fetched at all.
func (x *execution) prepare(it *item) error {
	h := it.Entry.InfoHash
	own := stagedName(it.Entry)
	if it.have.Complete && it.base == it.tree && it.file == string(it.Entry.Path) {
		it.whole = true
		return nil
	}
	if it.base == nil || it.have.Bits == nil || counted(it.meta, it.have.Bits) == 0 {
		it.have.Bits = nil
		if err := it.tree.removeAll(stagingName(h)); err != nil {
			return err
		}
		// Down to the file's own directory: what a client makes may belong to
		// its user, and then we could not clear it away.
		return it.tree.makeDirs(path.Dir(own))
	}
	if it.base != it.tree || it.file != own {
		if err := it.tree.makeDirs(path.Dir(own)); err != nil {
			return err
		}
		if err := it.tree.copyFile(it.base, it.file, own, it.Entry.Length); err != nil {
			return err
		}
	} else if err := it.tree.cut(own, it.Entry.Length); err != nil {
		return err
	}
	it.base, it.file = it.tree, own
	it.whole = counted(it.meta, it.have.Bits) == it.Entry.Length
	return nil
}

// cut shortens a file in staging that is longer than listed.
func (t *tree) cut(name string, length int64) error {
	info, err := t.lstat(name)
	if err != nil || info == nil || info.Size() <= length {
		return err
	}
	t.step("truncate " + name)
	f, err := t.root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(length)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// makeNew makes an empty file or a symlink at newName.
func (t *tree) makeNew(e manifests.Entry) error {
	t.step("make " + string(e.Path))
	if e.Kind == manifests.Symlink {
		return t.root.Symlink(e.Target, newName)
	}
	f, err := t.root.OpenFile(newName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Chmod(modeFor(info.Mode(), e.Executable))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// sameLook reports whether two looks at a file saw the same one, unchanged.
func sameLook(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
