package main

import (
	"os"
	"runtime/debug"

	"seedtree/builder"
)

// The runtime lets as much garbage lie as there is in use: all that is kept of
// millions of files would stand there twice. A build that has many to read lets
// some thirty megabytes lie, or a quarter of what is in use.
const (
	normalGarbage     = 100 // percent
	littleGarbage     = 25
	garbageTimesFiles = 10_000_000
)

// garbage is the percentage for a build that has so many files to read.
func garbage(files int) int {
	return min(normalGarbage, max(littleGarbage, garbageTimesFiles/max(files, 1)))
}

// collector sets that percentage. It is the whole process's, so this is for one
// that does nothing but build; the zero value leaves all as it is.
type collector struct {
	on      bool
	percent int // that was set; 0: none
	were    int
}

// look is called as the build goes on. Whoever has set GOGC knows better.
func (c *collector) look(p builder.Progress) {
	percent := garbage(p.FilesTotal)
	if !c.on || percent == normalGarbage || percent == c.percent || os.Getenv("GOGC") != "" {
		return
	}
	were := debug.SetGCPercent(percent)
	if c.percent == 0 {
		c.were = were
	}
	c.percent = percent
}

// end makes it as it was.
func (c *collector) end() {
	if c.percent != 0 {
		debug.SetGCPercent(c.were)
		c.percent = 0
	}
}
