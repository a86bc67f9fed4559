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
		var most time.Duration // until 99 % are there: the tail tells of stalls
		until(b, "all files are there", func() bool {
			leecher.mu.Lock()
			defer leecher.mu.Unlock()
			left := len(leecher.queue) + len(leecher.downloads) + len(leecher.delayed)
			if most == 0 && left < n/100 {
				most = time.Since(began)
			}
			return left == 0
		})
		b.ReportMetric(float64(n)*0.99/most.Seconds(), "first-99%/s")
		b.ReportMetric(float64(n)/time.Since(began).Seconds(), "files/s")
	}
}
