package main

import (
	"runtime/debug"
	"testing"

	"seedtree/builder"
)

// With many files to read there is hardly anything beside what is kept of them. What a
// build sets goes with it, and what the operator set stays.
func TestCollector(t *testing.T) {
	t.Setenv("GOGC", "")
	were := debug.SetGCPercent(77)
	defer debug.SetGCPercent(were)
	look := func(c *collector, files, want int) {
		t.Helper()
		c.look(builder.Progress{Seen: 5_000_000, FilesTotal: files})
		got := debug.SetGCPercent(77)
		if debug.SetGCPercent(got); got != want {
			t.Errorf("%d files to read: %d%%, want %d%%", files, got, want)
		}
	}
	c := &collector{on: true}
	look(c, 0, 77)
	look(c, 100_000, 77)
	for range 2 { // the second try of a build that lost a race
		look(c, 200_000, 50)
		look(c, 4_000_000, 25)
	}
	c.end()
	look(c, 0, 77)
	look(new(collector), 4_000_000, 77)
	t.Setenv("GOGC", "77")
	look(c, 4_000_000, 77)
}
