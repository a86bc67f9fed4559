package main

import (
	"fmt"
	"io"

	"github.com/dustin/go-humanize"

	"seedtree/manifests"
)

// changeLine is one difference between two listings, as data.
type changeLine struct {
	Op    string `json:"op"` // add, copy, change, rename, remove
	Path  string `json:"path"`
	From  string `json:"from,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
}

// sign is the line's first character.
func (c changeLine) sign() string {
	switch c.Op {
	case "add", "copy":
		return "+"
	case "change":
		return "~"
	case "rename":
		return ">"
	}
	return "-"
}

func (c changeLine) String() string {
	s := c.sign() + " " + shown(c.Path)
	switch {
	case c.Op == "copy":
		s += "  a copy of " + shown(c.From)
	case c.From != "":
		s = c.sign() + " " + shown(c.From) + " > " + shown(c.Path)
	}
	if c.Bytes > 0 && c.From == "" {
		s += "  " + humanize.Bytes(uint64(c.Bytes))
	}
	return s
}

// changeLines flattens a diff into lines, removals last: they are what a
// reader has to think about.
func changeLines(d manifests.Diff) []changeLine {
	lines := make([]changeLine, 0, len(d.Added)+len(d.Changed)+len(d.Renamed)+len(d.Removed))
	for _, e := range d.Added {
		lines = append(lines, changeLine{Op: "add", Path: e.Key().String(), Bytes: e.Length})
	}
	for _, c := range d.Changed {
		lines = append(lines, changeLine{Op: "change", Path: c.New.Key().String(), Bytes: c.New.Length})
	}
	for _, c := range d.Renamed {
		lines = append(lines, changeLine{Op: "rename", Path: c.New.Key().String(), From: c.Old.Key().String(), Bytes: c.New.Length})
	}
	for _, e := range d.Removed {
		lines = append(lines, changeLine{Op: "remove", Path: e.Key().String(), Bytes: e.Length})
	}
	return lines
}

// maxShownLines keeps a diff readable where a person reads it.
const maxShownLines = 200

func writeLines(w io.Writer, lines []changeLine) {
	for i, l := range lines {
		if i == maxShownLines {
			fmt.Fprintf(w, "... and %s more (-o json shows all)\n", humanize.Comma(int64(len(lines)-i)))
			return
		}
		fmt.Fprintln(w, l)
	}
}

// diffCounts is a diff in four numbers.
type diffCounts struct {
	Added   int `json:"added"`
	Changed int `json:"changed"`
	Renamed int `json:"renamed"`
	Removed int `json:"removed"`
}

func countDiff(d manifests.Diff) diffCounts {
	return diffCounts{len(d.Added), len(d.Changed), len(d.Renamed), len(d.Removed)}
}

func (c diffCounts) total() int { return c.Added + c.Changed + c.Renamed + c.Removed }

func (c diffCounts) String() string {
	return fmt.Sprintf("%s added, %s changed, %s renamed, %s removed", comma(c.Added), comma(c.Changed), comma(c.Renamed), comma(c.Removed))
}

func comma(n int) string { return humanize.Comma(int64(n)) }

func bytesText(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }
