//go:build !unix

package main

import (
	"os"
	"os/exec"
	"time"
)

// usage has no memory to tell where there is no getrusage.
func usage(p *os.ProcessState) (cpu time.Duration, peak int64) {
	return p.UserTime() + p.SystemTime(), 0
}

var started = time.Now()

// own takes the clock for the CPU.
func own() (cpu time.Duration, peak int64) { return time.Since(started), 0 }

// together has no process groups to work with.
func together(*exec.Cmd) {}
