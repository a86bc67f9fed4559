package apply

import (
	"strings"

	"seedtree/manifests"
)

// sourceKind says where on this site bytes come from.
type sourceKind uint8

const (
	fromPeers sourceKind = iota
	fromTree             // another path, in any tree here
	fromTrash
	fromStaging // begun for another torrent with the same content
)

// source is where an action takes its bytes from.
type source struct {
	kind  sourceKind
	entry manifests.Entry // fromTree, fromStaging
	trash TrashItem
	gone  bool // the source goes away once the bytes are in their new place
}

// supply finds bytes for everything that needs some. Each source is judged by
// length alone: the piece hashes decide, at execution, before anything shows.
//
//	a departing file with the content   | Move, the first time; then Copy
//	a file that stays with the content  | Copy
//	the trash has it                    | Restore, the first time; then Copy
//	staging has it for another torrent  | Add, started from that
//	nothing                             | Add, started from the old version
func (p *planner) supply() {
	departing := p.departing()
	for _, n := range p.needs {
		e := n.entry
		a := Action{Kind: Add, Entry: e, Reason: n.reason, Bytes: e.Length, release: n.release}
		if from, ok := p.pick(departing[e.Content], e.Tree); ok {
			a.Kind, a.From, a.source = Copy, from.Key().String(), source{kind: fromTree, entry: from}
			if !p.used[from.Key()] {
				p.used[from.Key()] = true
				a.Kind, a.source.gone = Move, true
				if p.holds(from) {
					a.release = append(a.release, from.InfoHash)
				}
			}
		} else if from, ok := p.staying(e); ok {
			a.Kind, a.From, a.source = Copy, from.Key().String(), source{kind: fromTree, entry: from}
		} else if item, ok := p.o.Trash[e.Content]; ok {
			a.Kind, a.From = Copy, "trash: "+item.Tree+"/"+string(item.Path)
			a.source = source{kind: fromTrash, trash: item}
			if !p.given[e.Content] {
				p.given[e.Content] = true
				a.Kind, a.source.gone = Restore, true
			}
		} else if from, ok := p.staged(e); ok {
			a.From, a.source = "staging: "+from.Key().String(), source{kind: fromStaging, entry: from}
			a.release = append(a.release, from.InfoHash)
		}
		p.replaced(&a)
		p.act(a)
		p.obstructions(e)
	}
	// What replaces a file stops the old torrent only when it is placed.
	for i := range p.plan.Actions {
		switch a := &p.plan.Actions[i]; a.Kind {
		case Place:
			p.replaced(a)
			p.obstructions(a.Entry)
		case Adopt:
			p.secondBest(a)
		}
	}
	for _, w := range p.plan.waiting {
		p.replacedBy(w.entry)
	}
}

// secondBest names where else an adopted file's bytes are, should the check
// find that length and time deceived us.
func (p *planner) secondBest(a *Action) {
	if p.plan.sources[a.Entry.Tree] {
		return
	}
	if from, ok := p.staying(a.Entry); ok {
		a.source = source{kind: fromTree, entry: from}
	} else if item, ok := p.o.Trash[a.Entry.Content]; ok {
		a.source = source{kind: fromTrash, trash: item}
	}
}

// departing finds, by content, owned files that are to go and still look as
// they did when they were put here.
func (p *planner) departing() map[manifests.Content][]manifests.Entry {
	if len(p.needs) == 0 {
		return nil
	}
	wantedContent := map[manifests.Content]bool{}
	for _, n := range p.needs {
		wantedContent[n.entry.Content] = true
	}
	found := map[manifests.Content][]manifests.Entry{}
	for _, l := range p.d.owned() {
		for e := range l.All() {
			if e.Kind != manifests.Regular || !wantedContent[e.Content] || p.plan.Stopped[e.Tree] != "" || p.plan.sources[e.Tree] {
				continue
			}
			now, listed := p.wanted.Get(e.Key())
			if listed && now.Content == e.Content {
				continue // it stays
			}
			st := p.file(e.Key())
			if listed && !sameTime(e.ModTime, st.ModTime) {
				continue // already replaced, or about to be by what is not ours
			}
			if st.Type == RegularFile && st.Size == e.Length {
				found[e.Content] = append(found[e.Content], e)
			}
		}
	}
	return found
}

// pick prefers a source that no Move takes yet, and one in the same tree,
// where a hard link does.
func (p *planner) pick(sources []manifests.Entry, tree string) (best manifests.Entry, ok bool) {
	rank := -1
	for _, e := range sources {
		r := 0
		if !p.used[e.Key()] {
			r += 2
		}
		if e.Tree == tree {
			r++
		}
		if r > rank {
			best, rank = e, r
		}
	}
	return best, rank >= 0
}

// staying finds a listed file here, in sync by its look, with the same bytes.
func (p *planner) staying(e manifests.Entry) (manifests.Entry, bool) {
	var same []manifests.Entry
	for _, o := range p.wanted.ByContent(e.Content) {
		if o.Key() == e.Key() || p.plan.Stopped[o.Tree] != "" {
			continue
		}
		if m := compare(o, p.file(o.Key())); m == asListed || m == otherMode {
			same = append(same, o)
		}
	}
	return p.pick(same, e.Tree)
}

// staged finds a file that was begun in staging for a torrent that nothing
// lists any more and that has the same content.
func (p *planner) staged(e manifests.Entry) (manifests.Entry, bool) {
	if v := p.o.Trees[e.Tree]; v.Staged[e.InfoHash].Size > 0 {
		if _, own := v.Staged[e.InfoHash]; own {
			return manifests.Entry{}, false // its own beginning is better
		}
	}
	for _, l := range p.d.owned() {
		for _, o := range l.ByContent(e.Content) {
			v := p.o.Trees[o.Tree]
			if _, listed := p.wanted.ByInfoHash(o.InfoHash); listed || v == nil || v.Stopped != "" {
				continue
			}
			if st, ok := v.Staged[o.InfoHash]; ok && st.Size > 0 {
				return o, true
			}
		}
	}
	return manifests.Entry{}, false
}

// replaced lets an action that publishes a file stop the torrent of the file
// it replaces. An Add leaves it seeding: others may still want the old version.
func (p *planner) replaced(a *Action) {
	h, ok := p.replacedBy(a.Entry)
	if ok && a.Kind != Add {
		a.release = append(a.release, h)
	}
}

// replacedBy finds the torrent that is in place where an entry is to go.
func (p *planner) replacedBy(e manifests.Entry) (manifests.InfoHash, bool) {
	for _, l := range p.d.owned() {
		old, ok := l.Get(e.Key())
		if !ok || old.Kind != manifests.Regular || old.InfoHash == e.InfoHash {
			continue
		}
		t, held := p.o.Torrents[old.InfoHash]
		if _, listed := p.wanted.ByInfoHash(old.InfoHash); held && !listed && t.Root == p.o.Trees[e.Tree].Root {
			p.keep[old.InfoHash] = true
			return old.InfoHash, true
		}
	}
	return manifests.InfoHash{}, false
}

// obstructions notes where a listed path needs a directory, or is one, so that
// owned files standing there are pruned before anything is placed.
func (p *planner) obstructions(e manifests.Entry) {
	dir, ok := e.Path.Dir()
	for ok {
		if st := p.file(manifests.Key{Tree: e.Tree, Path: dir}); st.Type != NoFile && st.Type != Directory {
			p.early[manifests.Key{Tree: e.Tree, Path: dir}] = true
		}
		dir, ok = dir.Dir()
	}
	if p.file(e.Key()).Type != Directory || e.Kind == manifests.EmptyDir {
		return
	}
	for _, l := range p.d.owned() {
		for o := range l.Tree(e.Tree) {
			if strings.HasPrefix(string(o.Path), string(e.Path)+"/") {
				p.early[o.Key()] = true
			}
		}
	}
}
