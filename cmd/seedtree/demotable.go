package main

import (
	"fmt"
	"io"
)

// demoTable prints its rows as they come, so the columns have fixed widths.
type demoTable struct{ w io.Writer }

func newDemoTable(w io.Writer) *demoTable {
	t := &demoTable{w}
	fmt.Fprintf(w, "%-32s %9s %8s %10s %12s %12s\n", "STEP", "SECONDS", "FILES", "BYTES", "OVER WIRE", "REUSED")
	return t
}

func (t *demoTable) add(r demoRow) {
	fmt.Fprintf(t.w, "%-32s %9.1f %8s %10s %12s %12s\n", r.step, r.seconds, comma(r.files), bytesText(r.size), bytesText(r.wire), bytesText(r.reused))
}

// demoRow is one line of the demo's table.
type demoRow struct {
	step         string
	seconds      float64
	files        int
	size         int64
	wire, reused int64
}
