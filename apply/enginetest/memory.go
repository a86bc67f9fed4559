package enginetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"seedtree/apply"
	"seedtree/manifests"
)

// Memory is an engine without a network: what its peers hold is told by Offer,
// and bytes arrive when Feed says so. Real files are written, so that the code
// around it meets a real file system. It survives Close: Reopen continues.
type Memory struct {
	// Fail, when set, is asked before every change ("add", "move", "remove")
	// and before "list" (with a zero hash); an error refuses it.
	Fail func(op string, h manifests.InfoHash) error
	// Auto makes every List deliver what the peers offer, as time would.
	Auto bool

	mu       sync.Mutex
	torrents map[manifests.InfoHash]*held
	foreign  map[manifests.InfoHash]bool
	offers   map[manifests.InfoHash][]byte
	traffic  apply.Traffic
	calls    []string
	closed   bool
}

// held is one torrent of a Memory engine.
type held struct {
	entry       manifests.Entry
	pieceLength int64
	root        string
	have        []byte
	readOnly    bool
	stopped     string // the client's words when it stopped because of an error
	trackers    [][]string
}

var (
	_ apply.Engine     = (*Memory)(nil)
	_ apply.Introducer = (*Memory)(nil)
	_ apply.Meter      = (*Memory)(nil)
)

// NewMemory returns an engine that holds nothing.
func NewMemory() *Memory {
	return &Memory{
		torrents: map[manifests.InfoHash]*held{},
		foreign:  map[manifests.InfoHash]bool{},
		offers:   map[manifests.InfoHash][]byte{},
	}
}

// Reopen continues a closed engine.
func (m *Memory) Reopen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = false
}

// Offer lets peers hold the given files.
func (m *Memory) Offer(files ...File) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range files {
		m.offers[f.Entry.InfoHash] = f.Data
	}
}

// Foreign adds a torrent that is not ours.
func (m *Memory) Foreign(h manifests.InfoHash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.foreign[h] = true
}

// HasForeign reports whether such a torrent is still there.
func (m *Memory) HasForeign(h manifests.InfoHash) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.foreign[h]
}

// Calls returns the changes asked for so far, "add <hash> <root>" and so on.
func (m *Memory) Calls() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.calls)
}

// Feed lets the missing pieces of the given torrents arrive from the peers; no
// hashes: those of all torrents. What no peer offers stays missing.
func (m *Memory) Feed(hashes ...manifests.InfoHash) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.feed(hashes)
}

func (m *Memory) feed(hashes []manifests.InfoHash) error {
	if len(hashes) == 0 {
		for h := range m.torrents {
			hashes = append(hashes, h)
		}
	}
	var errs []error
	for _, h := range hashes {
		t, data := m.torrents[h], m.offers[h]
		if t == nil || data == nil || t.readOnly || t.left() == 0 {
			continue
		}
		if err := m.write(t, data); err != nil {
			t.stopped = err.Error()
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// write stores the pieces that are missing, as a client does: into the live file.
func (m *Memory) write(t *held, data []byte) error {
	name := filepath.Join(t.root, filepath.FromSlash(string(t.entry.Path)))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	for i := range t.pieces() {
		if t.has(i) {
			continue
		}
		from := int64(i) * t.pieceLength
		to := min(from+t.pieceLength, t.entry.Length)
		if _, err := f.WriteAt(data[from:to], from); err != nil {
			return err
		}
		t.have[i/8] |= 0x80 >> (i % 8)
		m.traffic.Downloaded += to - from
	}
	return nil
}

// Lie lets the client claim a torrent complete without having it.
func (m *Memory) Lie(h manifests.InfoHash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.torrents[h]; t != nil {
		for i := range t.pieces() {
			t.have[i/8] |= 0x80 >> (i % 8)
		}
	}
}

// Stop lets the client stop a torrent and say why; adding it anew cures it.
func (m *Memory) Stop(h manifests.InfoHash, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.torrents[h]; t != nil {
		t.stopped = why
	}
}

// Fetch is a peer that downloads from the engine what it claims to seed.
func (m *Memory) Fetch(h manifests.InfoHash) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.torrents[h]
	if t == nil || t.left() != 0 || t.stopped != "" {
		return nil, fmt.Errorf("torrent %s is not seeded", h)
	}
	data, err := os.ReadFile(filepath.Join(t.root, filepath.FromSlash(string(t.entry.Path))))
	m.traffic.Uploaded += int64(len(data))
	return data, err
}

// ReadOnly reports whether the engine promised never to write a torrent's file.
func (m *Memory) ReadOnly(h manifests.InfoHash) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.torrents[h]
	return t != nil && t.readOnly
}

// Trackers returns where a torrent is announced.
func (m *Memory) Trackers(h manifests.InfoHash) [][]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.torrents[h]; t != nil {
		return t.trackers
	}
	return nil
}

func (t *held) pieces() int {
	return int((t.entry.Length + t.pieceLength - 1) / t.pieceLength)
}

func (t *held) has(i int) bool { return t.have[i/8]&(0x80>>(i%8)) != 0 }

func (t *held) left() int64 {
	var left int64
	for i := range t.pieces() {
		if from := int64(i) * t.pieceLength; !t.has(i) {
			left += min(from+t.pieceLength, t.entry.Length) - from
		}
	}
	return left
}

// ask records a change and lets the test refuse it.
func (m *Memory) ask(ctx context.Context, op string, h manifests.InfoHash, detail string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.closed {
		return errors.New("engine is closed")
	}
	if op != "list" {
		m.calls = append(m.calls, op+" "+h.String()+detail)
	}
	if m.Fail != nil {
		return m.Fail(op, h)
	}
	return nil
}
