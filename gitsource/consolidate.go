package gitsource

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// consolidate merges the mirror's packs when they have become many: the smallest,
// and each that is not more than twice as large as all smaller ones together, so
// that a byte is copied a few times in its life and not at each occasion.
func (s *Source) consolidate(ctx context.Context) error {
	if len(s.packs) <= s.lim.packs {
		return nil
	}
	st, err := s.open()
	if err != nil {
		return err
	}
	small := smallPacks(st)
	in, err := newIncoming(s.path(incomingName), s.lim)
	if err != nil {
		return err
	}
	defer in.Close()
	in.beat = s.beat
	if err := in.build(func(p *packWriter) error { return mergePacks(ctx, p, st, small) }); err != nil {
		return err
	}
	if err := in.install(s.path(gitName)); err != nil {
		return err
	}
	for _, p := range small {
		if p.name() == in.name {
			continue // merged before, by somebody who died before the others were removed
		}
		// The pack goes before its index: an index alone is a leftover, a pack alone is damage.
		base := filepath.Join(s.path(gitName), "objects", "pack", p.name())
		if err := errors.Join(os.Remove(base+".pack"), os.Remove(base+".idx")); err != nil {
			return err
		}
	}
	_, err = s.reopen()
	return err
}

// smallPacks chooses the packs to merge.
func smallPacks(st *store) []*pack {
	packs := slices.SortedFunc(maps.Values(st.packs), func(a, b *pack) int {
		return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.name(), b.name()))
	})
	sum := int64(0)
	for i, p := range packs {
		if i >= 2 && p.end > 2*sum {
			return packs[:i]
		}
		sum += p.end
	}
	return packs
}

// merger writes the objects of several packs into one. Everything is copied as it
// lies but for trees: of a directory that changes with every commit each pack has
// the whole tree, and here the older ones become deltas of the newer.
type merger struct {
	ctx     context.Context
	to      *packWriter
	st      *store
	commits []hash
	trees   packIndex // still to be written
	depth   map[hash]int
}

// maxDelta is how many deltas may stand on each other.
const maxDelta = 40

func mergePacks(ctx context.Context, to *packWriter, st *store, packs []*pack) error {
	m := &merger{ctx: ctx, to: to, st: st, depth: map[hash]int{}}
	for _, p := range packs {
		if err := m.copy(p); err != nil {
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

// step is called before each object.
func (m *merger) step() error {
	m.st.beat()
	return m.ctx.Err()
}

// copy takes over what is no tree, and notes what is one.
func (m *merger) copy(p *pack) error {
	order := p.byOffset()
	for n, i := range order {
		if err := m.step(); err != nil {
			return err
		}
		id, end := hash(p.id(i)), p.end
		if n+1 < len(order) {
			end = p.offset(order[n+1])
		}
		e, err := p.entry(p.offset(i))
		switch {
		case err != nil:
			err = m.st.bad("object %s: %w", id, err)
		case e.base >= 0:
			err = m.resolve(id)
		default:
			if m.note(id, e.t); e.t != plumbing.TreeObject {
				err = m.take(p, i, id, e.at, end)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take copies an object as it lies, unless it has rotten meanwhile: in the new pack
// all checksums would be right again.
func (m *merger) take(p *pack, i int, id hash, start, end int64) error {
	if m.to.index.has(id) {
		return nil
	}
	if err := m.to.copy(id, p.f, start, end); err != nil {
		return err
	}
	if m.to.crc != p.crc(i) {
		return m.st.bad("object %s does not match its checksum", id)
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
	if err := m.step(); err != nil {
		return err
	}
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
	if err := m.step(); err != nil {
		return err
	}
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
