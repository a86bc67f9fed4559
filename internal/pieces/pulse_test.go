package pieces

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"seedtree/internal/pulse"
)

// Reading shows life for each round of chunks, and files that cannot be opened do: a
// slow disk may take its time for either.
func TestHashingShowsLife(t *testing.T) {
	var beats, silent, longest atomic.Int64 // silent: reads since the last sign of life
	ctx := pulse.With(t.Context(), func(string) { beats.Add(1); silent.Store(0) })
	pool := New(1)
	const lost = 300
	var files []*File
	for range lost {
		files = append(files, &File{Name: "lost", Length: 1, PieceLength: 1 << 18, Open: func() (Handle, error) { return nil, fs.ErrNotExist }})
	}
	failed := 0
	if err := pool.Hash(ctx, slices.Values(files), func(_ *File, s Sum) {
		if errors.Is(s.Err, fs.ErrNotExist) {
			failed++
		}
	}); err != nil || failed != lost || beats.Load() < lost {
		t.Errorf("%v, %d files could not be opened, %d signs of life", err, failed, beats.Load())
	}
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &File{Name: "f", Length: 8 << 20, PieceLength: 1 << 18, Open: func() (Handle, error) {
		f, err := os.Open(name)
		return slowly{f, func() { longest.Store(max(longest.Load(), silent.Add(1))) }}, err
	}}
	if err := pool.Hash(ctx, slices.Values([]*File{f}), func(_ *File, s Sum) { failed += len(s.Pieces) }); err != nil || failed != lost+32*HashSize {
		t.Fatalf("%v, %d", err, failed)
	}
	if most := int64(pool.newKernel().lanes()); longest.Load() > most {
		t.Errorf("%d reads of a chunk without a sign of life, want at most %d", longest.Load(), most)
	}
}

// A hole is skipped piece by piece, each with a sign of life: finding where it ends is the
// file system's work.
func TestSkippingHolesShowsLife(t *testing.T) {
	const pieces = 1000
	var beats atomic.Int64
	ctx := pulse.With(t.Context(), func(string) { beats.Add(1) })
	name := filepath.Join(t.TempDir(), "hole")
	if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Truncate(name, pieces<<18)); err != nil {
		t.Fatal(err)
	}
	f := &File{Name: "hole", Length: pieces << 18, PieceLength: 1 << 18, Open: func() (Handle, error) {
		f, err := os.Open(name)
		return hole{f}, err
	}}
	err := New(1).Hash(ctx, slices.Values([]*File{f}), func(_ *File, s Sum) {
		if s.Err != nil {
			t.Error(s.Err)
		}
	})
	if err != nil || beats.Load() < pieces {
		t.Errorf("%v, %d signs of life for %d pieces", err, beats.Load(), pieces)
	}
}

// hole is a file that is nothing else.
type hole struct{ *os.File }

// Hole implements Sparse.
func (hole) Hole(int64) int64 { return 1 << 62 }

// slowly is a file each of whose reads is told of before.
type slowly struct {
	*os.File
	before func()
}

// ReadAt reads.
func (s slowly) ReadAt(p []byte, at int64) (int, error) {
	s.before()
	return s.File.ReadAt(p, at)
}
