package main

import (
	"math"
	"time"
)

// pace is how fast something goes, smoothed, so that neither one slow file nor
// one fast one makes the forecast jump.
type pace struct {
	last       time.Time
	bytes      int64
	work, todo float64
	// Sums of what was done and of the time it took, in which the past fades.
	byteSum, workSum, timeSum float64
}

const (
	// fade is how long the past counts.
	fade = 10 * time.Second
	// fileWork is what a file costs beside its bytes, in bytes: a million small
	// files take their time however little is in them.
	fileWork = 64 << 10
)

// see takes how far it has come at a moment.
func (p *pace) see(now time.Time, bytes, bytesTotal int64, files, filesTotal int) {
	work := float64(bytes) + fileWork*float64(files)
	p.todo = float64(bytesTotal) + fileWork*float64(filesTotal) - work
	if p.last.IsZero() || work < p.work { // begins, or begins anew
		*p = pace{last: now, bytes: bytes, work: work, todo: p.todo}
		return
	}
	took := now.Sub(p.last)
	if took < 50*time.Millisecond {
		return
	}
	keep := math.Exp(-took.Seconds() / fade.Seconds())
	p.byteSum = p.byteSum*keep + float64(bytes-p.bytes)
	p.workSum = p.workSum*keep + work - p.work
	p.timeSum = p.timeSum*keep + took.Seconds()
	p.last, p.bytes, p.work = now, bytes, work
}

// rate is in bytes per second; 0 while it is not known.
func (p *pace) rate() int64 {
	if p.timeSum < 0.2 {
		return 0
	}
	return int64(p.byteSum / p.timeSum)
}

// left is how long it will take; false while nobody can know.
func (p *pace) left() (time.Duration, bool) {
	if p.timeSum < 0.2 || p.workSum <= 0 {
		return 0, false
	}
	s := max(p.todo, 0) * p.timeSum / p.workSum
	if s > (1000 * time.Hour).Seconds() {
		return 0, false
	}
	return time.Duration(s * float64(time.Second)), true
}
