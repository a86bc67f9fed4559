package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"seedtree/manifests"
)

// errHeld: something stands in the way whose removal is held.
var errHeld = errors.New("in its way stands a file whose removal is held")

// publish brings checked files to their places: attributes, fsync, the old
// torrents let go, renames, fsync of the directories, and then the engine. It
// returns the items that are in place and seeded. Interrupted anywhere, what
// is visible is whole, and the next pass finds the rest still in staging.
func (x *execution) publish(ctx context.Context, items []*item) ([]*item, error) {
	items = x.each(items, x.dress)
	items = x.syncFiles(items)
	items, err := x.release(ctx, items)
	if err != nil {
		return nil, err
	}
	items = x.each(items, x.put)
	items = x.syncDirs(items)
	items, err = x.handPublished(ctx, items)
	if err != nil {
		return nil, err
	}
	return x.each(items, x.clearStaging), nil
}

// dress gives a checked file in staging its mode and time. A file that the
// client made as another user cannot be dressed by us; a copy can.
func (x *execution) dress(it *item) error {
	t := it.tree
	info, err := t.lstat(it.file)
	if err != nil || info == nil {
		return errors.Join(err, fmt.Errorf("%s vanished from staging", it.file))
	}
	err = t.setAttributes(it.file, info, it.Entry)
	ready := readyName(it.Entry.InfoHash)
	if !errors.Is(err, fs.ErrPermission) || it.file == ready {
		return err
	}
	if there, err := t.lstat(ready); err != nil {
		return err
	} else if there != nil {
		if err := t.remove(ready); err != nil {
			return err
		}
	}
	if err := t.copyFile(t, it.file, ready, -1); err != nil {
		return err
	}
	it.file, it.linked = ready, false
	if info, err = t.lstat(ready); err != nil || info == nil {
		return errors.Join(err, fmt.Errorf("%s vanished from staging", ready))
	}
	return t.setAttributes(ready, info, it.Entry)
}

// each does one thing for all items and keeps those that succeed.
func (x *execution) each(items []*item, do func(*item) error) []*item {
	ok := items[:0:0]
	for _, it := range items {
		x.s.beat()
		if x.broken[it.Entry.Tree] {
			x.staying[it.Entry.InfoHash] = true
			continue
		}
		if err := do(it); err != nil {
			x.fail(it, err)
			continue
		}
		ok = append(ok, it)
	}
	return ok
}

// syncWorkers is how many fsync calls run side by side: file systems gather
// them into fewer journal commits.
const syncWorkers = 16

// syncFiles makes the bytes durable before any name points to them.
func (x *execution) syncFiles(items []*item) []*item {
	errs := make([]error, len(items))
	var g errgroup.Group
	g.SetLimit(syncWorkers)
	for i, it := range items {
		if !it.linked {
			g.Go(func() error {
				errs[i] = it.tree.sync(it.file)
				return nil
			})
		}
	}
	_ = g.Wait()
	i := -1
	return x.each(items, func(*item) error { i++; return errs[i] })
}

// syncDirs makes the renames durable; each directory once.
func (x *execution) syncDirs(items []*item) []*item {
	type dir struct{ tree, name string }
	errs := map[dir]*error{}
	var g errgroup.Group
	g.SetLimit(syncWorkers)
	of := func(it *item) dir { return dir{it.Entry.Tree, path.Dir(string(it.Entry.Path))} }
	for _, it := range items {
		d := of(it)
		if errs[d] != nil {
			continue
		}
		slot := new(error)
		errs[d] = slot
		g.Go(func() error {
			*slot = it.tree.sync(d.name)
			return nil
		})
	}
	_ = g.Wait()
	return x.each(items, func(it *item) error { return *errs[of(it)] })
}

// handPublished tells the engine where the files are now.
func (x *execution) handPublished(ctx context.Context, items []*item) ([]*item, error) {
	var fresh, done []*item
	for _, it := range items {
		if !it.held {
			fresh = append(fresh, it)
			continue
		}
		failed, err := x.engine("move", func() error {
			return x.s.cfg.Engine.Move(ctx, it.Entry.InfoHash, it.tree.dir)
		})
		if err != nil {
			return nil, err
		}
		if err := failed[it.Entry.InfoHash]; err != nil {
			x.fail(it, err)
			continue
		}
		done = append(done, it)
	}
	taken, err := x.hand(ctx, fresh, seedOnly)
	return append(done, taken...), err
}

// put renames an item's file to its place; what stood there is in the trash
// before. A file that the engine still holds in staging keeps its name there.
func (x *execution) put(it *item) error {
	if ready := readyName(it.Entry.InfoHash); it.held && it.file != ready {
		if there, err := it.tree.lstat(ready); err == nil && there != nil {
			if err := it.tree.remove(ready); err != nil {
				return err
			}
		}
		if err := it.tree.link(it.file, ready); err != nil {
			// No hard links here: the client misses its file for a moment.
			if err := it.tree.rename(it.file, ready); err != nil {
				return err
			}
		}
		it.file = ready
	}
	return x.putFile(it, it.file)
}

// putFile renames from to the item's path.
func (x *execution) putFile(it *item, from string) error {
	t, to := it.tree, string(it.Entry.Path)
	if err := x.makeParents(t, to); err != nil {
		return err
	}
	mine, err := t.lstat(from)
	if err != nil || mine == nil {
		return errors.Join(err, fmt.Errorf("%s vanished from staging", from))
	}
	there, err := t.lstat(to)
	if err != nil {
		return err
	}
	if there != nil && os.SameFile(mine, there) {
		// Already there: an earlier pass was interrupted. Renaming one name
		// of a file over another does nothing and leaves both.
		return t.remove(from)
	}
	if err := x.displace(t, to, there, it.Entry); err != nil {
		return err
	}
	err = t.rename(from, to)
	if errors.Is(err, syscall.EXDEV) {
		return x.putAcross(it, from)
	}
	return err
}

// putAcross publishes into a file system that is mounted inside the tree: a
// whole, durable copy beside the place first, then the rename.
func (x *execution) putAcross(it *item, from string) error {
	t, to := it.tree, string(it.Entry.Path)
	temp := path.Join(path.Dir(to), tempPrefix+it.Entry.InfoHash.String())
	if err := t.copyFile(t, from, temp, -1); err != nil {
		return err
	}
	info, err := t.lstat(temp)
	if err == nil && info == nil {
		err = fs.ErrNotExist
	}
	if err == nil {
		err = t.setAttributes(temp, info, it.Entry)
	}
	if err == nil {
		err = t.sync(temp)
	}
	if err == nil {
		err = t.rename(temp, to)
	}
	if err == nil {
		err = t.remove(from)
	}
	return err
}

// makeParents makes the directories above a path. What stands in their way, a
// file or a symlink that may lead anywhere, goes to the trash.
func (x *execution) makeParents(t *tree, name string) error {
	dir := path.Dir(name)
	if t.isDir(dir) {
		return nil
	}
	if err := x.makeParents(t, dir); err != nil {
		return err
	}
	info, err := t.lstat(dir)
	if err != nil {
		return err
	}
	if info != nil && !info.IsDir() {
		if x.settle || x.guarded(t, dir) {
			return fmt.Errorf("%w: %s", errHeld, dir)
		}
		if err := t.bin.throw(dir, info, x.contentAt(t, dir, info), "in the way of "+name, false); err != nil {
			return err
		}
	}
	return t.makeDirs(dir)
}

// displace moves what stands at a path to the trash, so that the path can be
// renamed over. info is nil when nothing stands there.
func (x *execution) displace(t *tree, name string, info os.FileInfo, e manifests.Entry) error {
	if info == nil {
		return nil
	}
	if info.IsDir() {
		if x.settle || x.guardedInside(t, name) {
			return fmt.Errorf("%w: %s", errHeld, name)
		}
		t.forgetDir(name)
		t.step("rmdir " + name)
		if t.root.Remove(name) == nil {
			return nil // it was empty
		}
		return t.bin.throw(name, info, manifests.Content{}, "a "+e.Kind.String()+" is listed here", false)
	}
	c := x.contentAt(t, name, info)
	if c == e.Content {
		c = manifests.Content{} // the look deceives: had it the bytes, it would stay
	}
	for _, other := range x.wanted.ByContent(c) {
		if !t.sameName(other.Path, manifests.Path(name)) && x.livesAt(t, info, other) {
			return nil // moved in this pass: nothing is lost by renaming over this name
		}
	}
	return t.bin.throw(name, info, c, "replaced", true)
}

// guarded reports whether a name is a file whose removal is held.
func (x *execution) guarded(t *tree, name string) bool {
	return x.guard[manifests.Key{Tree: t.name, Path: manifests.Path(name)}]
}

// guardedInside reports whether a directory has such a file inside.
func (x *execution) guardedInside(t *tree, dir string) bool {
	for k := range x.guard {
		if k.Tree == t.name && (string(k.Path) == dir || strings.HasPrefix(string(k.Path), dir+"/")) {
			return true
		}
	}
	return false
}

// sameName reports whether two paths are one name to a tree's file system.
func (t *tree) sameName(a, b manifests.Path) bool { return a == b || t.folds && fold(a) == fold(b) }

// contentAt says what a file holds by its look: what was put there, if length
// and time still are that entry's.
func (x *execution) contentAt(t *tree, name string, info os.FileInfo) manifests.Content {
	k := manifests.Key{Tree: t.name, Path: manifests.Path(name)}
	all := append(x.d.owned(), x.wanted)
	for _, l := range all {
		e, ok := l.Get(k)
		if !ok || e.Kind != manifests.Regular {
			continue
		}
		if m := compare(e, stateOf(info)); m == asListed || m == otherMode {
			return e.Content
		}
	}
	return manifests.Content{}
}

// clearStaging removes what is left of an item in staging. Failing that, only
// space is lost; clean tries again in every pass.
func (x *execution) clearStaging(it *item) error {
	h := it.Entry.InfoHash
	x.settled[h] = true
	delete(x.staying, h)
	if err := it.tree.removeAll(stagingName(h)); err != nil {
		x.s.cfg.Log.Warn("staging was not cleaned", "entry", it.Entry.Key().String(), "error", err)
	}
	return nil
}

// removeEmptyDirs removes a directory that became empty, and those above it.
// A listed empty directory stays.
func (x *execution) removeEmptyDirs(t *tree, dir string) error {
	for ; dir != "."; dir = path.Dir(dir) {
		e, listed := x.wanted.Get(manifests.Key{Tree: t.name, Path: manifests.Path(filepath.ToSlash(dir))})
		if listed && e.Kind == manifests.EmptyDir || !t.isDir(dir) {
			return nil
		}
		t.forgetDir(dir)
		t.step("rmdir " + dir)
		if err := t.root.Remove(dir); err != nil {
			return nil //nolint:nilerr // not empty, most often; harmless in any case
		}
	}
	return nil
}
