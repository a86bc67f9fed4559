package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"seedtree/internal/pulse"
	"seedtree/manifests"
)

// trashCache remembers index files by name, size and time, so that a pass
// does not read months of removals again.
type trashCache map[string]trashIndex

type trashIndex struct {
	size  int64
	when  time.Time
	items []TrashItem
}

// maxIndex bounds one index file, in bytes: a million items and then some.
const maxIndex = 1 << 30

// read returns every item that the indexes of a tree's trash name, newest
// folder first. Whether the files still are there is not looked at.
func (c trashCache) read(t *tree) ([]TrashItem, error) {
	names, err := t.names(trashDir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	slices.Reverse(names)
	var all []TrashItem
	for _, name := range names {
		folder, isIndex := strings.CutSuffix(name, ".jsonl")
		if !isIndex {
			continue
		}
		t.beat()
		items, err := c.readIndex(t, folder)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
	}
	return all, nil
}

func (c trashCache) readIndex(t *tree, folder string) ([]TrashItem, error) {
	f, err := t.openRegular(trashDir + "/" + folder + ".jsonl")
	if err != nil {
		return nil, nil //nolint:nilerr // removed meanwhile, or no index of ours
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	key := t.name + "/" + folder
	if old, ok := c[key]; ok && old.size == info.Size() && old.when.Equal(info.ModTime()) {
		return old.items, nil
	}
	data, err := io.ReadAll(io.LimitReader(f, maxIndex))
	if err != nil {
		return nil, err
	}
	var items []TrashItem
	for line := range bytes.Lines(data) {
		if item, ok := decodeTrashLine(t.name, folder, line); ok {
			items = append(items, item)
		}
	}
	c[key] = trashIndex{size: int64(len(data)), when: info.ModTime(), items: items}
	return items, nil
}

// holds reports whether an item's file is there with its size.
func (t *tree) holds(i TrashItem) bool {
	info, err := t.lstat(i.name())
	if err != nil || info == nil {
		return false
	}
	return !info.Mode().IsRegular() || info.Size() == i.Length
}

// Trash lists what is in the trash of all trees, newest first. Trees that are
// not there are named by the error; the others are listed all the same.
func (s *Site) Trash(ctx context.Context) ([]TrashItem, error) {
	s.beat = pulse.Of(ctx)
	var all []TrashItem
	var errs []error
	for _, name := range s.names {
		t, err := s.open(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		items, err := s.trashes.read(t)
		if err != nil {
			errs = append(errs, fmt.Errorf("tree %s: reading the trash: %w", name, err))
		}
		for _, item := range items {
			if t.holds(item) {
				all = append(all, item)
			}
		}
		t.close()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(a, b TrashItem) int { return b.Trashed.Compare(a.Trashed) })
	return all, errors.Join(errs...)
}

// RestoreTrash puts an item back to where it stood. Something standing there
// now is an error: nothing is ever overwritten. What is not listed is foreign
// from then on.
func (s *Site) RestoreTrash(i TrashItem) error {
	t, err := s.open(i.Tree)
	if err != nil {
		return err
	}
	defer t.close()
	if i.Folder == "" || strings.ContainsAny(i.Folder, "/\\") || i.Folder == ".." {
		return fmt.Errorf("no such folder in the trash: %q", i.Folder)
	}
	if _, err := manifests.ParsePath(string(i.Path)); err != nil {
		return err
	}
	to := string(i.Path)
	if err := t.makeDirs(path.Dir(to)); err != nil {
		return fmt.Errorf("restoring %s: %w", i.Path, err)
	}
	there, err := t.lstat(to)
	if err == nil && there != nil {
		err = os.ErrExist
	}
	if err == nil {
		t.forgetDir(i.name())
		err = t.rename(i.name(), to)
	}
	if err == nil {
		err = t.sync(path.Dir(to))
	}
	if err != nil {
		return fmt.Errorf("restoring %s of tree %s from the trash: %w", i.Path, i.Tree, err)
	}
	return nil
}

// EmptyTrash destroys what has been in the trash for longer than age; 0 means
// everything. It returns how many folders went. Folders whose name does not
// tell their time are left alone.
func (s *Site) EmptyTrash(ctx context.Context, age time.Duration) (int, error) {
	s.beat = pulse.Of(ctx)
	gone := 0
	var errs []error
	for _, name := range s.names {
		t, err := s.open(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		n, err := s.emptyTrash(ctx, t, age, func(string) bool { return false })
		gone += n
		errs = append(errs, err)
		t.close()
	}
	return gone, errors.Join(errs...)
}

func (s *Site) emptyTrash(ctx context.Context, t *tree, age time.Duration, keep func(folder string) bool) (int, error) {
	names, err := t.names(trashDir)
	if err != nil {
		return 0, fmt.Errorf("tree %s: reading the trash: %w", t.name, err)
	}
	gone := 0
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return gone, err
		}
		if len(name) < len(trashTime) {
			continue
		}
		when, err := time.Parse(trashTime, name[:len(trashTime)])
		if err != nil || s.cfg.Clock().Sub(when) < age {
			continue
		}
		// The index goes after its files: an index alone is harmless, files
		// without their index could not be found by content any more.
		folder, isIndex := strings.CutSuffix(name, ".jsonl")
		if keep(folder) {
			continue
		}
		if err := t.destroy(ctx, trashDir+"/"+folder); err != nil {
			return gone, fmt.Errorf("tree %s: emptying the trash: %w", t.name, err)
		}
		if !isIndex {
			gone++
			continue
		}
		delete(s.trashes, t.name+"/"+folder)
		if err := t.remove(trashDir + "/" + name); err != nil {
			return gone, fmt.Errorf("tree %s: emptying the trash: %w", t.name, err)
		}
	}
	return gone, nil
}
