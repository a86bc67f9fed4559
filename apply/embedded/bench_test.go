package embedded

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/apply/enginetest"
)

// BenchmarkSmallFiles moves 10,000 files of 16 KiB from one engine to another
// over loopback. SEEDTREE_BENCH_FILES changes the number.
func BenchmarkSmallFiles(b *testing.B) {
	n := 10000
	if s, err := strconv.Atoi(os.Getenv("SEEDTREE_BENCH_FILES")); err == nil {
		n = s
	}
	files := make([]enginetest.File, n)
	for i := range files {
		files[i] = enginetest.NewFile(b, "small", fmt.Sprintf("%02d/%05d", i%97, i), enginetest.Random(uint64(i), 16<<10))
	}
	for b.Loop() {
		b.StopTimer()
		seeder, leecher := start(b, Config{}), start(b, Config{})
		seeded(b, seeder, files...)
		root := treeRoot(b, "small")
		adds := make([]apply.Addition, n)
		for i, f := range files {
			adds[i] = empty(f, root, seeder.address())
		}
		b.StartTimer()
		began := time.Now()
		mustAdd(b, leecher, adds...)
		until(b, "all files are there", func() bool {
			leecher.mu.Lock()
			defer leecher.mu.Unlock()
			for _, en := range leecher.entries {
				if !en.seedable() {
					return false
				}
			}
			return true
		})
		b.ReportMetric(float64(n)/time.Since(began).Seconds(), "files/s")
	}
}
