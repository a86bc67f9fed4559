package main

import (
	"strings"
	"testing"
	"time"

	"seedtree/builder"
)

// The line says as much as fits, on any terminal, and never more.
func TestProgressLine(t *testing.T) {
	p := &progress{label: "hashing"}
	begun := time.Now()
	for i := range 20 {
		p.pace.see(begun.Add(time.Duration(i)*100*time.Millisecond), int64(i)*50e6, 100e9, i*100, 200_000)
	}
	b := builder.Progress{Files: 1_900, FilesTotal: 200_000, Bytes: 950e6, BytesTotal: 100e9}
	for width, want := range map[int]string{
		100: "hashing  1,900/200,000 files  950 MB/100 GB  500 MB/s  ETA 3m18s  [............................]",
		79:  "hashing  1,900/200,000 files  950 MB/100 GB  500 MB/s  ETA 3m18s  [...........]",
		70:  "hashing  1,900/200,000 files  950 MB/100 GB  500 MB/s  ETA 3m18s",
		39:  "hashing 0%  950 MB/100 GB  3m18s",
		20:  "hashing 0%  3m18s",
		5:   "0%",
		1:   "0",
		0:   "",
		-1:  "",
	} {
		if got := p.line(b, true, width); got != want {
			t.Errorf("%d columns:\n %q, want\n %q", width, got, want)
		}
	}
	if got := p.line(builder.Progress{Seen: 12345}, false, 79); got != "scanning  12,345 entries found" {
		t.Errorf("%q", got)
	}
	if got := p.plain(b, true); got != "hashing: 1,900 of 200,000 files, 950 MB of 100 GB, 500 MB/s, 3m18s left" {
		t.Errorf("%q", got)
	}
	for width := range 200 {
		huge := builder.Progress{Files: 1e9, FilesTotal: 2e9, Bytes: 1 << 60, BytesTotal: 1 << 61}
		if got := p.line(huge, true, width); len(got) > width {
			t.Errorf("%q does not fit in %d columns", got, width)
		}
	}
}

// What is left is foretold sanely from the start: small files are not taken for
// nothing, and one pause does not make it jump.
func TestPace(t *testing.T) {
	begun := time.Now()
	var p pace
	at := func(s float64) time.Time { return begun.Add(time.Duration(s * float64(time.Second))) }
	p.see(at(0), 0, 1e6, 0, 10_000)
	if _, ok := p.left(); ok || p.rate() != 0 {
		t.Error("it foretells before anything happened")
	}
	p.see(at(1), 1e5, 1e6, 1000, 10_000) // a tenth of all, in small files
	if left, ok := p.left(); !ok || left < 8*time.Second || left > 10*time.Second {
		t.Errorf("after a tenth in 1 s: %v left", left)
	}
	for i := range 60 { // steady for a while, then a second of nothing
		p.see(at(1+float64(i)/10), 1e5+int64(i)*1e4, 1e8, 1000+i*100, 1_000_000)
	}
	before, _ := p.left()
	p.see(at(8), 1e5+59*1e4, 1e8, 1000+59*100, 1_000_000)
	if after, _ := p.left(); after < before || after > before*3/2 {
		t.Errorf("a second's pause changed it from %v to %v", before, after)
	}
	p.see(at(9), 0, 1e6, 0, 10_000) // a lost race: from the start
	if _, ok := p.left(); ok {
		t.Error("it foretells by what was before")
	}
	if s := strings.Join([]string{shortTime(400 * time.Millisecond), shortTime(61 * time.Second), shortTime(26 * time.Hour)}, " "); s != "0s 1m01s 26h00m" {
		t.Error(s)
	}
}
