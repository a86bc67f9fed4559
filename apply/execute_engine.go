package apply

import (
	"context"
	"fmt"
	"slices"

	"seedtree/internal/pieces"
	"seedtree/manifests"
)

// release lets the engine forget the torrents that stand in the way of items,
// and returns the items that may go on.
func (x *execution) release(ctx context.Context, items []*item) ([]*item, error) {
	var hashes []manifests.InfoHash
	for _, it := range items {
		hashes = append(hashes, it.release...)
	}
	if len(hashes) == 0 {
		return items, nil
	}
	sortHashes(hashes)
	failed, err := x.engine("remove", func() error { return x.s.cfg.Engine.Remove(ctx, slices.Compact(hashes)) })
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(items, func(it *item) bool {
		for _, h := range it.release {
			if failed[h] != nil {
				x.fail(it, failed[h])
				return true
			}
		}
		return false
	}), nil
}

// engine makes one call and takes its errors apart.
func (x *execution) engine(op string, call func() error) (map[manifests.InfoHash]error, error) {
	x.s.beat()
	if x.s.step != nil {
		x.s.step("engine " + op)
	}
	err := call()
	failed, only := EngineErrors(err)
	if !only {
		return nil, fmt.Errorf("engine: %s: %w", op, err)
	}
	return failed, nil
}

// hand gives torrents to the engine and returns the items that it took.
func (x *execution) hand(ctx context.Context, items []*item, addition func(*item) Addition) ([]*item, error) {
	if len(items) == 0 {
		return nil, nil
	}
	all := make([]Addition, len(items))
	for i, it := range items {
		all[i] = addition(it)
		all[i].Entry, all[i].Metainfo = it.Entry, it.raw
		if m := x.d.Manifest; m != nil {
			all[i].Trackers, all[i].Peers = m.Trackers, m.PeersExcept(x.s.cfg.Name)
		}
	}
	failed, err := x.engine("add", func() error { return x.s.cfg.Engine.Add(ctx, all) })
	if err != nil {
		return nil, err
	}
	taken := items[:0:0]
	for _, it := range items {
		if err := failed[it.Entry.InfoHash]; err != nil {
			x.fail(it, err)
			continue
		}
		taken = append(taken, it)
	}
	return taken, nil
}

// seedOnly is how a checked file in a tree is handed over: to be seeded, never
// to be written. Nothing but our own renames changes a tree.
func seedOnly(it *item) Addition {
	return Addition{Root: it.tree.dir, Have: fullBits(it.meta.NumPieces()), ReadOnly: true}
}

// fullBits is the bitfield of n pieces that are all there.
func fullBits(n int) []byte {
	have := make([]byte, (n+7)/8)
	for i := range n {
		have[i/8] |= 0x80 >> (i % 8)
	}
	return have
}

// counted says how many bytes the set pieces stand for.
func counted(m manifests.Metainfo, have []byte) int64 {
	var sum int64
	for i := range min(m.NumPieces(), 8*len(have)) {
		if from := int64(i) * m.PieceLength; have[i/8]&(0x80>>(i%8)) != 0 {
			sum += min(from+m.PieceLength, m.Length) - from
		}
	}
	return sum
}

// check reads the items' files and compares every piece. Outcomes are in
// item.have; the error is only that of the context.
func (x *execution) check(ctx context.Context, items []*item) error {
	files := func(yield func(*pieces.File) bool) {
		for _, it := range items {
			t := it.tree
			if it.base != nil {
				t = it.base
			}
			f := &pieces.File{
				Name: it.Entry.Key().String(), Length: it.meta.Length, PieceLength: it.meta.PieceLength, Tag: it,
			}
			name := it.file
			f.Open = func() (pieces.Handle, error) { return t.openRegular(name) }
			if !yield(f) {
				return
			}
		}
	}
	want := func(f *pieces.File) []byte { return f.Tag.(*item).meta.Pieces }
	return x.s.cfg.Pool.CheckAll(ctx, files, want, func(f *pieces.File, have pieces.Have) {
		f.Tag.(*item).have = have
	})
}
