package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"seedtree/apply"
	"seedtree/manifests"
)

// List implements apply.Engine.
func (m *Memory) List(ctx context.Context) ([]apply.Torrent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ask(ctx, "list", manifests.InfoHash{}, ""); err != nil {
		return nil, err
	}
	if m.Auto {
		_ = m.feed(nil) // a full disk stops the torrent, which List then says
	}
	list := make([]apply.Torrent, 0, len(m.torrents))
	for h, t := range m.torrents {
		one := apply.Torrent{InfoHash: h, Root: t.root, Left: t.left(), Err: t.stopped}
		switch {
		case t.stopped != "", t.readOnly && one.Left > 0:
			one.State = apply.Stopped
		case one.Left > 0:
			one.State = apply.Downloading
		default:
			one.State = apply.Seeding
		}
		list = append(list, one)
	}
	return list, nil
}

// Add implements apply.Engine.
func (m *Memory) Add(ctx context.Context, additions []apply.Addition) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, a := range additions {
		err := m.ask(ctx, "add", a.Entry.InfoHash, " "+a.Root)
		if err == nil {
			err = m.add(a)
		}
		if err != nil {
			errs = append(errs, &apply.EngineError{InfoHash: a.Entry.InfoHash, Op: "add", Err: err})
		}
	}
	return errors.Join(errs...)
}

func (m *Memory) add(a apply.Addition) error {
	if t := m.torrents[a.Entry.InfoHash]; t != nil && t.root == a.Root {
		t.trackers = a.Trackers
		return nil
	}
	meta, err := manifests.DecodeMetainfo(a.Metainfo)
	if err != nil {
		return err
	}
	if meta.InfoHash() != a.Entry.InfoHash || meta.Tree != a.Entry.Tree || meta.Path != a.Entry.Path {
		return fmt.Errorf("metainfo is that of %s/%s, torrent %s", meta.Tree, meta.Path, meta.InfoHash())
	}
	t := &held{entry: a.Entry, pieceLength: meta.PieceLength, root: a.Root, readOnly: a.ReadOnly, trackers: a.Trackers}
	t.have = slices.Clone(a.Have)
	if t.have == nil {
		t.have = make([]byte, (t.pieces()+7)/8)
	}
	if len(t.have) != (t.pieces()+7)/8 {
		return fmt.Errorf("bitfield has %d bytes for %d pieces", len(t.have), t.pieces())
	}
	m.torrents[a.Entry.InfoHash] = t
	return nil
}

// Move implements apply.Engine.
func (m *Memory) Move(ctx context.Context, h manifests.InfoHash, root string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.ask(ctx, "move", h, " "+root)
	t := m.torrents[h]
	if err == nil && t == nil {
		err = errors.New("no such torrent")
	}
	if err != nil {
		return &apply.EngineError{InfoHash: h, Op: "move", Err: err}
	}
	t.root, t.readOnly = root, true
	return nil
}

// Remove implements apply.Engine.
func (m *Memory) Remove(ctx context.Context, hashes []manifests.InfoHash) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, h := range hashes {
		if err := m.ask(ctx, "remove", h, ""); err != nil {
			errs = append(errs, &apply.EngineError{InfoHash: h, Op: "remove", Err: err})
			continue
		}
		delete(m.torrents, h)
	}
	return errors.Join(errs...)
}

// Introduce implements apply.Introducer.
func (m *Memory) Introduce(ctx context.Context, trackers [][]string, _ []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.closed {
		return errors.New("engine is closed")
	}
	for _, t := range m.torrents {
		t.trackers = trackers
	}
	return nil
}

// Close implements apply.Engine.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// Traffic implements apply.Meter.
func (m *Memory) Traffic(context.Context) (apply.Traffic, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.traffic, nil
}
