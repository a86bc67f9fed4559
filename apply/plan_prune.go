package apply

import (
	"bytes"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"seedtree/manifests"
)

// prunes plans the removal of what was put here and is no longer listed.
//
//	listed | ours | action
//	no     | yes  | Prune: torrent removed, file to the trash
//	no     | no   | never touched; counted as foreign
func (p *planner) prunes() {
	seen := map[manifests.Key]bool{}
	base := p.wanted.Len()
	var gone []Action
	lost := 0
	for _, l := range p.d.owned() {
		base = max(base, l.Len())
		for e := range unlistedIn(l, p.wanted) {
			if seen[e.Key()] {
				continue
			}
			seen[e.Key()] = true
			a, ok := p.prune(*e)
			if !ok {
				continue
			}
			if a.lost {
				lost++
			}
			gone = append(gone, a)
		}
	}
	gone = append(gone, p.emptied()...)
	why := p.holdWhy(lost, base)
	for _, a := range gone {
		switch {
		case p.wanted.Len() == 0, a.lost && why != "":
			p.plan.Held = append(p.plan.Held, a)
			p.keep[a.Entry.InfoHash] = true
		default:
			p.act(a)
		}
	}
	if len(p.plan.Held) > 0 {
		p.plan.HeldWhy = why
	}
}

// unlistedIn walks what stands in one listing and not in the other. Nearly all of it
// stands in both: those are passed over side by side, as both are in order.
func unlistedIn(l, listed *manifests.Listing) iter.Seq[*manifests.Entry] {
	return func(yield func(*manifests.Entry) bool) {
		if l == listed {
			return
		}
		n, at := listed.Len(), 0
		for i := range l.Len() {
			e := l.At(i)
			for at < n && listed.At(at).Key().Compare(e.Key()) < 0 {
				at++
			}
			if (at == n || listed.At(at).Key() != e.Key()) && !yield(e) {
				return
			}
		}
	}
}

// holdWhy says why removals have to wait; "" when they need not.
func (p *planner) holdWhy(lost, base int) string {
	switch {
	case p.wanted.Len() == 0:
		return "the listing is empty: nothing is removed"
	case p.d.AllowPrune, p.d.Manifest == nil:
		return ""
	case p.d.Manifest.Prune.Limit.Allows(lost, base):
		return ""
	}
	limit := p.d.Manifest.Prune.Limit
	return fmt.Sprintf("%d of %d entries would be removed; the limit is %d %% and %d files", lost, base, limit.Percent, limit.Files)
}

// prune looks at one owned entry that is not wanted.
func (p *planner) prune(e manifests.Entry) (Action, bool) {
	if p.plan.Stopped[e.Tree] != "" || p.plan.sources[e.Tree] || p.used[e.Key()] {
		return Action{}, false
	}
	v := p.o.Trees[e.Tree]
	if v == nil || v.FoldsCase && p.listedFolded(e) {
		return Action{}, false
	}
	t, held := p.o.Torrents[e.InfoHash]
	seeding := held && t.Root == v.Root
	if _, listedNow := p.d.Listing.Get(e.Key()); listedNow && e.Kind == manifests.Regular && !seeding {
		// Listed, but not for this site: without a torrent in place nothing
		// says that this file is of our making.
		return Action{}, false
	}
	a := Action{Kind: Prune, Entry: e, Reason: "no longer listed", early: p.early[e.Key()]}
	if held {
		a.release = []manifests.InfoHash{e.InfoHash}
	}
	st := p.file(e.Key())
	switch {
	case e.Kind == manifests.Regular && st.Type == RegularFile:
		if !p.ours(e.Key(), st) {
			p.plan.Foreign++
			return Action{}, false
		}
		a.Bytes = st.Size
		a.lost = !p.wanted.HasContent(e.Content)
	case e.Kind == manifests.Empty && st.Type == RegularFile,
		e.Kind == manifests.Symlink && st.Type == Link,
		e.Kind == manifests.EmptyDir && st.Type == Directory && !p.dirListed(e.Key()):
		a.lost = true
	default:
		return Action{}, false // nothing of ours stands there
	}
	return a, true
}

// ours reports whether a file at an owned path is what was put there: it looks
// like it, or its torrent was in place and somebody edited it since. What was
// listed for a while and never arrived makes no stranger's file ours.
func (p *planner) ours(k manifests.Key, st FileState) bool {
	return slices.ContainsFunc(p.d.ownedAt(k), func(e manifests.Entry) bool {
		if e.Kind != manifests.Regular {
			return false
		}
		t, held := p.o.Torrents[e.InfoHash]
		m := compare(e, st)
		return held && t.Root == p.o.Trees[k.Tree].Root || m == asListed || m == otherMode
	})
}

// emptied finds directories that owned files once stood in and nothing does
// now: an earlier pass was interrupted before it removed them.
func (p *planner) emptied() []Action {
	var actions []Action
	for name, v := range p.o.Trees {
		if len(v.Empty) == 0 || v.Stopped != "" || p.plan.sources[name] {
			continue
		}
		owner := func(k manifests.Key) bool {
			return slices.ContainsFunc(p.d.owned(), func(l *manifests.Listing) bool { return anyInside(l, k) })
		}
		for _, dir := range v.Empty {
			k := manifests.Key{Tree: name, Path: dir}
			_, listed := p.wanted.Get(k)
			owned := len(p.d.ownedAt(k)) > 0 // then prune sees to it
			if !listed && !owned && owner(k) && !p.dirListed(k) {
				e := manifests.Entry{Tree: name, Path: dir, Kind: manifests.EmptyDir}
				actions = append(actions, Action{Kind: Prune, Entry: e, Reason: "left empty"})
			}
		}
	}
	slices.SortFunc(actions, func(a, b Action) int { return a.Entry.Key().Compare(b.Entry.Key()) })
	return actions
}

// anyInside reports whether a listing has an entry inside a directory.
func anyInside(l *manifests.Listing, dir manifests.Key) bool {
	inside := dir.Path + "/"
	i, _ := l.Find(manifests.Key{Tree: dir.Tree, Path: inside})
	return i < l.Len() && l.At(i).Tree == dir.Tree && strings.HasPrefix(string(l.At(i).Path), string(inside))
}

// listedFolded reports whether a listed entry has the same name but for case:
// on such a file system removing the one would remove the other.
func (p *planner) listedFolded(e manifests.Entry) bool {
	if p.folded == nil {
		p.folded = map[manifests.Key]bool{}
		for o := range p.wanted.All() {
			p.folded[manifests.Key{Tree: o.Tree, Path: manifests.Path(fold(o.Path))}] = true
		}
	}
	return p.folded[manifests.Key{Tree: e.Tree, Path: manifests.Path(fold(e.Path))}]
}

// dirListed reports whether any listed entry stands inside a directory.
func (p *planner) dirListed(k manifests.Key) bool { return anyInside(p.wanted, k) }

// forgets plans to stop seeding what nothing lists and no action lets go of.
func (p *planner) forgets() {
	if p.wanted.Len() == 0 {
		return // as with prunes: an empty listing is no reason to end anything
	}
	released := map[manifests.InfoHash]bool{}
	for _, a := range p.plan.Actions {
		for _, h := range a.release {
			released[h] = true
		}
	}
	for _, h := range p.unlisted() {
		if released[h] || p.keep[h] {
			continue
		}
		e, ok := p.d.entryOf(h, p.wanted)
		if !ok {
			e.InfoHash = h
		}
		if p.plan.Stopped[e.Tree] != "" || p.inStoppedTree(p.o.Torrents[h].Root) {
			continue
		}
		p.act(Action{Kind: Forget, Entry: e, Reason: "nothing lists this torrent", release: []manifests.InfoHash{h}})
	}
}

// inStoppedTree reports whether a torrent's data is in a tree that nothing may
// be done about now.
func (p *planner) inStoppedTree(root string) bool {
	for name := range p.plan.Stopped {
		if v := p.o.Trees[name]; v != nil && (root == v.Root || strings.HasPrefix(root, v.Root+string(filepath.Separator))) {
			return true
		}
	}
	return false
}

// sortHashes puts hashes in the order of their bytes.
func sortHashes(all []manifests.InfoHash) {
	slices.SortFunc(all, func(a, b manifests.InfoHash) int { return bytes.Compare(a[:], b[:]) })
}

// unlisted returns the hashes of our torrents that are not wanted, in order.
func (p *planner) unlisted() []manifests.InfoHash {
	if p.met == len(p.o.Torrents) {
		return nil // a path is part of what an info hash stands for: no two entries share one
	}
	var all []manifests.InfoHash
	for h := range p.o.Torrents {
		if _, listed := p.wanted.ByInfoHash(h); !listed {
			all = append(all, h)
		}
	}
	sortHashes(all)
	return all
}
