package apply

import (
	"context"
	"path"
	"slices"
	"strings"

	"seedtree/manifests"
)

// pruneEarly removes what stands where something else is about to be placed.
func (x *execution) pruneEarly(ctx context.Context) error {
	early := x.actions(func(a Action) bool { return a.Kind == Prune && a.early })
	return x.batches(ctx, early, x.pruneBatch)
}

// prune removes what is no longer listed, last of all, and not in a pass that
// met any error: with something unexplained, nothing is taken away.
func (x *execution) prune(ctx context.Context) error {
	rest := x.actions(func(a Action) bool { return a.Kind == Prune && !a.early })
	if len(x.res.Errors) > 0 {
		x.res.Postponed = len(rest)
		return nil
	}
	return x.batches(ctx, rest, x.pruneBatch)
}

func (x *execution) pruneBatch(ctx context.Context, items []*item) error {
	items, err := x.release(ctx, items)
	if err != nil {
		return err
	}
	for _, it := range x.each(items, x.pruneOne) {
		x.res.Actions[Prune]++
		x.s.cfg.Log.Debug("done", "action", "prune", "entry", it.Entry.Key().String())
	}
	return nil
}

// pruneOne looks again: only what still is of the kind that was put there goes.
func (x *execution) pruneOne(it *item) error {
	t, name, e := it.tree, string(it.Entry.Path), it.Entry
	info, err := t.lstat(name)
	if err != nil || info == nil {
		return err
	}
	st := stateOf(info)
	switch {
	case e.Kind == manifests.EmptyDir && st.Type == Directory:
		return x.removeEmptyDirs(t, name)
	case e.Kind == manifests.Symlink && st.Type == Link,
		e.Kind != manifests.Symlink && e.Kind != manifests.EmptyDir && st.Type == RegularFile:
	default:
		return nil
	}
	c := x.contentAt(t, name, info)
	if lastName(info) && slices.ContainsFunc(x.wanted.ByContent(c), func(o manifests.Entry) bool { return x.standsAt(t, info, o) }) {
		return nil // it is the listed file, by another spelling of its name
	}
	alive := slices.ContainsFunc(x.wanted.ByContent(c), func(o manifests.Entry) bool {
		return !t.sameName(o.Path, e.Path) && x.livesAt(t, info, o)
	})
	if alive { // a move that was interrupted before it let go of the old name
		err = t.remove(name)
	} else {
		err = t.bin.throw(name, info, c, it.Reason, false)
	}
	if err != nil {
		return err
	}
	return x.removeEmptyDirs(t, path.Dir(name))
}

// forget lets the engine drop torrents that nothing lists.
func (x *execution) forget(ctx context.Context) error {
	return x.batches(ctx, x.actions(ofKind(Forget)), func(ctx context.Context, items []*item) error {
		items, err := x.release(ctx, items)
		x.res.Actions[Forget] += len(items)
		return err
	})
}

// clean removes what staging holds for nobody, and temporary names of
// interrupted passes. Nothing in staging is the only copy of bytes that were
// ever visible.
func (x *execution) clean(ctx context.Context) error {
	if len(x.res.Errors) > 0 || x.wanted.Len() == 0 {
		return nil
	}
	for _, t := range x.trees {
		if err := x.cleanTree(t); err != nil {
			x.s.cfg.Log.Warn("staging was not cleaned", "tree", t.name, "error", err)
		}
	}
	return ctx.Err()
}

func (x *execution) cleanTree(t *tree) error {
	names, err := t.names(stagingDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		h, err := manifests.ParseInfoHash(strings.TrimSuffix(name, ".ready"))
		if ours := err == nil || name == path.Base(partName); !ours || err == nil && x.staying[h] && name == h.String() {
			continue
		}
		if err := t.removeAll(stagingDir + "/" + name); err != nil {
			return err
		}
	}
	for _, name := range x.plan.leftovers[t.name] {
		if x.plan.sources[t.name] {
			break
		}
		if err := t.remove(name); err != nil {
			return err
		}
	}
	return nil
}

// expire destroys what has been in the trash for long enough. It comes first
// in a pass, whatever else fails, because a full disk is what it may help.
func (x *execution) expire(ctx context.Context) error {
	if x.d.Manifest == nil || x.d.Manifest.Prune.Trash <= 0 {
		return nil
	}
	needed := map[string]bool{} // in this pass: the next one may destroy it
	for _, a := range x.plan.Actions {
		if a.source.kind == fromTrash {
			needed[a.source.trash.Tree+"/"+a.source.trash.Folder] = true
		}
	}
	for _, t := range x.trees {
		keep := func(folder string) bool { return needed[t.name+"/"+folder] }
		if _, err := x.s.emptyTrash(ctx, t, x.d.Manifest.Prune.Trash, keep); err != nil {
			x.s.cfg.Log.Warn("the trash was not emptied", "tree", t.name, "error", err)
		}
	}
	return ctx.Err()
}
