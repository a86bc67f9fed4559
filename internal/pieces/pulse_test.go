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
