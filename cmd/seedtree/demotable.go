package main

import (
	"fmt"
	"io"
)

// demoRow is what one step of the demo came to.
type demoRow struct {
	Step    string  `json:"step"`
	Seconds float64 `json:"seconds"`
	Files   int     `json:"files"` // at every site
	Bytes   int64   `json:"bytes"`
	Wire    int64   `json:"wireBytes"`   // payload, all sites together
	Reused  int64   `json:"reusedBytes"` // taken from what a site had
}

// demoTable prints its rows as they come, so the columns have fixed widths;
// for machines it only collects them.
type demoTable struct {
	app  *app
	rows []demoRow
}

func (t *demoTable) print(format string, args ...any) {
	if t.app.output == "text" {
		fmt.Fprintf(t.app.std.out, format, args...)
	}
}

func (t *demoTable) head() {
	t.print("%-32s %9s %8s %10s %12s %12s\n", "STEP", "SECONDS", "FILES", "BYTES", "OVER WIRE", "REUSED")
}

func (t *demoTable) add(r demoRow) {
	t.rows = append(t.rows, r)
	t.print("%-32s %9.1f %8s %10s %12s %12s\n", r.Step, r.Seconds, comma(r.Files), bytesText(r.Bytes), bytesText(r.Wire), bytesText(r.Reused))
}

// end prints what machines asked for.
func (t *demoTable) end() error {
	if t.app.output == "text" {
		return nil
	}
	return t.app.emit(t.rows, func(io.Writer) {})
}
