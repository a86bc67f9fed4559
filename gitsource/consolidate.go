package gitsource

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// consolidate merges the mirror's packs when they have become many: the smallest,
// and each that is not more than twice as large as all smaller ones together, so
// that a byte is copied a few times in its life and not at each occasion.
func (s *Source) consolidate() error {
	if len(s.packs) <= s.lim.packs {
		return nil
	}
	small, err := s.smallPacks()
	if err != nil {
		return err
	}
	st, err := s.open()
	if err != nil {
		return err
	}
	in, err := newIncoming(s.path(incomingName), s.lim)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := in.build(func(p *packWriter) error { return mergePacks(p, st, small) }); err != nil {
		return err
	}
	if err := in.install(s.path(gitName)); err != nil {
		return err
	}
	// The pack goes before its index: an index alone is a leftover, a pack alone is damage.
	for _, base := range small {
		if err := errors.Join(os.Remove(base+".pack"), os.Remove(base+".idx")); err != nil {
			return err
		}
	}
	_, err = s.reopen()
	return err
}

// smallPacks names the packs to merge, without suffix.
func (s *Source) smallPacks() ([]string, error) {
	type pack struct {
		base string
		size int64
	}
	var packs []pack
	for _, name := range s.packs {
		base := filepath.Join(s.path(gitName), "objects", "pack", name)
		st, err := os.Stat(base + ".pack")
		if err != nil {
			return nil, err
		}
		packs = append(packs, pack{base, st.Size()})
	}
	slices.SortFunc(packs, func(a, b pack) int { return cmp.Compare(a.size, b.size) })
	var small []string
	sum := int64(0)
	for i, p := range packs {
		if i >= 2 && p.size > 2*sum {
			break
		}
		small = append(small, p.base)
		sum += p.size
	}
	return small, nil
}

// merger writes the objects of several packs into one. Everything is copied as it
// lies but for trees: of a directory that changes with every commit each pack has
// the whole tree, and here the older ones become deltas of the newer.
type merger struct {
	to      *packWriter
	st      *store
	commits []hash
	trees   packIndex // still to be written
	depth   map[hash]int
}

// maxDelta is how many deltas may stand on each other.
const maxDelta = 40

func mergePacks(to *packWriter, st *store, bases []string) error {
	m := &merger{to: to, st: st, depth: map[hash]int{}}
	for _, base := range bases {
		if err := m.copy(base); err != nil {
			return err
		}
	}
	if err := m.history(); err != nil {
		return err
	}
	for i := range m.trees.n {
		if err := m.whole(m.trees.at(i).id); err != nil {
			return err
		}
	}
	return nil
}

// copy takes over what is no tree, and notes what is one.
func (m *merger) copy(base string) error {
	var index packIndex
	if err := index.read(base + ".idx"); err != nil {
		return err
	}
	f, err := os.Open(base + ".pack")
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	order := index.byOffset()
	for i, at := range order {
		e, end := index.at(int(at)), uint64(st.Size()-packTrailer)
		if i+1 < len(order) {
			end = index.at(int(order[i+1])).offset
		}
		var first [1]byte
		if _, err := f.ReadAt(first[:], int64(e.offset)); err != nil {
			return err
		}
		t := plumbing.ObjectType(first[0] >> 4 & 7)
		if t == plumbing.OFSDeltaObject || t == plumbing.REFDeltaObject {
			err = m.resolve(e.id)
		} else if m.note(e.id, t); t != plumbing.TreeObject {
			err = m.to.copy(e.id, f, e.offset, end)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *merger) note(id hash, t plumbing.ObjectType) {
	switch {
	case t == plumbing.CommitObject:
		m.commits = append(m.commits, id)
	case t == plumbing.TreeObject && !m.trees.has(id):
		m.trees.add(id, 0, 0)
	}
}

// resolve takes over what was a delta of something that may come to lie elsewhere.
func (m *merger) resolve(id hash) error {
	data, t, err := m.st.readAny(id)
	if err != nil {
		return err
	}
	if m.note(id, t); t == plumbing.TreeObject {
		return nil
	}
	return m.to.add(id, t, data)
}

// history goes back through the commits from the newest and writes each tree of a
// parent as what it differs from the child's in.
func (m *merger) history() error {
	commits := make(map[hash]*commitObject, len(m.commits))
	isParent := map[hash]bool{}
	for _, id := range m.commits {
		c, err := m.st.commit(id)
		if err != nil {
			return err
		}
		commits[id] = c
		for _, p := range c.parents {
			isParent[p] = true
		}
	}
	var queue []hash
	for _, id := range m.commits {
		if !isParent[id] {
			queue = append(queue, id)
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		c := commits[queue[0]]
		for _, id := range c.parents {
			p := commits[id]
			if p == nil {
				continue // in a pack that stays
			}
			if isParent[id] {
				isParent[id] = false
				queue = append(queue, id)
			}
			if err := m.pair(c.tree, p.tree); err != nil {
				return err
			}
		}
	}
	return nil
}

// pair writes two trees that stood at one place, and those below them.
func (m *merger) pair(newer, older hash) error {
	if newer == older || !m.trees.has(newer) || !m.trees.has(older) || m.to.index.has(older) {
		return nil
	}
	if err := m.whole(newer); err != nil {
		return err
	}
	if err := m.delta(newer, older); err != nil {
		return err
	}
	now, err := m.st.tree(newer)
	if err != nil {
		return err
	}
	then, err := m.st.tree(older)
	if err != nil {
		return err
	}
	for len(now) > 0 && len(then) > 0 {
		c := compareHeads(now, then)
		if c == 0 && now[0].isDir() {
			if err := m.pair(now[0].id, then[0].id); err != nil {
				return err
			}
		}
		if c <= 0 {
			now = now[1:]
		}
		if c >= 0 {
			then = then[1:]
		}
	}
	return nil
}

func (m *merger) whole(id hash) error {
	if m.to.index.has(id) {
		return nil
	}
	data, err := m.st.read(id, plumbing.TreeObject)
	if err != nil {
		return err
	}
	return m.to.add(id, plumbing.TreeObject, data)
}

func (m *merger) delta(newer, older hash) error {
	if m.depth[newer] == maxDelta {
		return m.whole(older)
	}
	from, err := m.st.read(newer, plumbing.TreeObject)
	if err != nil {
		return err
	}
	to, err := m.st.read(older, plumbing.TreeObject)
	if err != nil {
		return err
	}
	delta := packfile.DiffDelta(from, to)
	if len(delta) > len(to)/2 {
		return m.to.add(older, plumbing.TreeObject, to)
	}
	m.depth[older] = m.depth[newer] + 1
	return m.to.addDelta(older, newer, delta)
}
