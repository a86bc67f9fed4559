package pieces

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// BenchmarkKernel hashes in memory, with more and fewer lanes busy: what the
// instructions can do.
func BenchmarkKernel(b *testing.B) {
	data := randomBytes(chunkBytes, 1)
	for _, c := range choices() {
		for _, busy := range []int{1, 2, 4, 5, 16} {
			k := c.make()
			if busy > k.lanes() {
				continue
			}
			b.Run(fmt.Sprintf("%s/%d", c.name, busy), func(b *testing.B) {
				b.SetBytes(int64(busy * len(data)))
				chunks := make([][]byte, k.lanes())
				for b.Loop() {
					for i := range busy {
						chunks[i] = data
					}
					k.write(chunks)
				}
			})
		}
	}
}

// BenchmarkHash hashes files, from the page cache, with all cores. The time of
// the clock says little on a machine that has other things to do; that of the
// processors, and how many lanes were busy, say more. Variable chooses another
// kernel than the fastest.
func BenchmarkHash(b *testing.B) {
	dir := b.TempDir()
	rng := rand.New(rand.NewPCG(1, 1))
	sets := []struct {
		name  string
		files []*File
	}{
		{"one-of-128MiB", makeFiles(b, dir, "big", 1, func() int { return 128 << 20 })},
		{"one-of-4KiB", makeFiles(b, dir, "tiny", 1, func() int { return 4 << 10 })},
		{"one-of-1MiB", makeFiles(b, dir, "few", 1, func() int { return 1 << 20 })},
		{"1000-of-1-64KiB", makeFiles(b, dir, "small", 1000, func() int { return 1<<10 + rng.IntN(63<<10) })},
		{"100-of-1MiB", makeFiles(b, dir, "medium", 100, func() int { return 1<<20 + rng.IntN(1000) })},
	}
	for _, set := range sets {
		var total int64
		for _, f := range set.files {
			total += f.Length
		}
		b.Run(set.name, func(b *testing.B) {
			p := New(0)
			lanes := metered(p)
			b.SetBytes(total)
			start := processorTime()
			for b.Loop() {
				err := p.Hash(b.Context(), slices.Values(set.files), func(_ *File, s Sum) {
					if s.Err != nil {
						b.Error(s.Err)
					}
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(lanes(), "lanes/step")
			b.ReportMetric(float64((processorTime()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

func makeFiles(b *testing.B, dir, name string, n int, size func() int) []*File {
	b.Helper()
	var out []*File
	for i := range n {
		data := randomBytes(size(), uint64(i))
		path := filepath.Join(dir, fmt.Sprintf("%s-%d", name, i))
		if err := os.WriteFile(path, data, 0o644); err != nil {
			b.Fatal(err)
		}
		out = append(out, fileAt(path, int64(len(data)), 256<<10))
	}
	return out
}
