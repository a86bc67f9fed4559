package pieces

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
)

// meter counts how many lanes were busy in the steps of a kernel, a block of
// each lane being a step.
type meter struct {
	kernel
	busy, steps *atomic.Int64
}

// metered makes p measure its kernels; lanes per step is what it returns.
func metered(p *Pool) func() float64 {
	newKernel := p.newKernel
	var busy, steps atomic.Int64
	p.newKernel = func() kernel { return &meter{newKernel(), &busy, &steps} }
	return func() float64 { return float64(busy.Load()) / float64(max(1, steps.Load())) }
}

func (m *meter) write(chunks [][]byte) {
	before := make([]int, len(chunks))
	for i, c := range chunks {
		before[i] = len(c)
	}
	m.kernel.write(chunks)
	longest := 0
	for i, c := range chunks {
		n := before[i] - len(c)
		m.busy.Add(int64(n))
		longest = max(longest, n)
	}
	m.steps.Add(int64(longest))
}

// A worker that outran the openers, or did not refill a lane as soon as its
// piece has ended, would leave most lanes idle and all hashes right.
func TestLanesAreKeptBusy(t *testing.T) {
	dir := t.TempDir()
	var files []*File
	for i := range 1000 {
		name := filepath.Join(dir, fmt.Sprint(i))
		data := randomBytes(1+i*37%(32<<10), uint64(i))
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, fileAt(name, int64(len(data)), 256<<10))
	}
	p := New(2)
	p.newKernel = func() kernel { return newLanesKernel(16) }
	lanes := metered(p)
	err := p.Hash(t.Context(), slices.Values(files), func(_ *File, s Sum) {
		if s.Err != nil {
			t.Error(s.Err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if lanes() < 8 {
		t.Fatalf("%.1f of 16 lanes were busy", lanes())
	}
	t.Logf("%.1f of 16 lanes were busy", lanes())
}
