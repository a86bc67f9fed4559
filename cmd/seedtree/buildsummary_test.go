package main

import (
	"fmt"
	"strings"
	"testing"
)

// Nobody has to read a list of thousands, whatever it is of; who asks gets it.
func TestBuildSummaryIsShort(t *testing.T) {
	const n = 25
	r := buildReport{
		Revision: strings.Repeat("ab", 20), Counts: diffCounts{Added: n}, Copied: 2,
		Skipped: map[string]string{}, Warnings: map[string]string{}, HashedFiles: 1,
	}
	for i := range n {
		name := fmt.Sprintf("t/%02d", i)
		r.Changes = append(r.Changes, changeLine{Op: "add", Path: name, Bytes: 1})
		r.Skipped[name], r.Warnings[name] = "is a pipe", "too long"
	}
	for _, all := range []bool{false, true} {
		var b strings.Builder
		r.write(&b, all)
		want, more := maxBuiltLines, 1
		if all {
			want, more = n, 0
		}
		for begin, line := range map[string]string{"skipped ": "skipped t/", "warning ": "warning t/", "": "+ t/"} {
			if got := strings.Count(b.String(), line); got != want {
				t.Errorf("all %v: %d lines %q, want %d", all, got, line, want)
			}
			if got := strings.Count("\n"+b.String(), "\n"+begin+"... and 5 more (-o json lists all)\n"); got != more {
				t.Errorf("all %v: the rest is counted %d times after %q", all, got, begin)
			}
		}
		if end := "\ncommitted abababababab: 25 added (2 copies), 0 changed, 0 renamed, 0 removed\n25 skipped\n0 entries, 0 B; hashed 1 file, 0 B in 0.0 s\n"; !strings.HasSuffix(b.String(), end) {
			t.Errorf("it ends otherwise:\n%s", b.String())
		}
	}
}
