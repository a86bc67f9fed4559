package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The result stands between these in a document.
const (
	resultBegins = "<!-- What follows is written by internal/bench. -->\n"
	resultEnds   = "<!-- The result ends here. -->\n"
)

// replaceResult puts a new result where the old one is.
func replaceResult(name, result string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(old, []byte(resultBegins))
	_, after, ended := bytes.Cut(rest, []byte(resultEnds))
	if !found || !ended {
		return fmt.Errorf("%s: the result goes between the lines %q and %q, which are not there", name, resultBegins, resultEnds)
	}
	text := string(before) + resultBegins + "\n" + strings.TrimSpace(result) + "\n\n" + resultEnds + string(after)
	beside := filepath.Join(filepath.Dir(name), ".bench-"+strconv.Itoa(os.Getpid()))
	if err := os.WriteFile(beside, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(beside, name)
}

// table is Markdown with all columns but the first to the right.
func table(head []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(head)
	rule := []string{"---"}
	for range head[1:] {
		rule = append(rule, "---:")
	}
	line(rule)
	for _, r := range rows {
		for len(r) < len(head) {
			r = append(r, "")
		}
		line(r)
	}
	return b.String() + "\n"
}

// table is what all competitors took on this corpus.
func (c corpus) table(peers []competitor, got map[string][]sample) string {
	var rows [][]string
	base := got[rival]
	for _, p := range peers {
		s := got[p.name]
		switch {
		case p.missing != "":
			rows = append(rows, []string{p.name, p.missing})
			continue
		case len(s) == 0:
			rows = append(rows, []string{p.name, errHangs.Error()})
			continue
		}
		name := strings.TrimSpace(p.name + " " + p.version)
		if p.sample > 0 && p.sample < c.count {
			name += fmt.Sprintf(" (%d files, scaled)", p.sample)
		}
		row := []string{name, seconds(medianOf(s, wall)), seconds(medianOf(s, cpu)), peakText(s), strconv.Itoa(len(s)), "", ""}
		if len(base) > 0 {
			row[5], row[6] = times(ratio(s, base, wall)), times(ratio(s, base, cpu))
		}
		rows = append(rows, row)
	}
	ours := "seedtree scans, hashes and makes metainfo: `build --dry-run`"
	if c.commit {
		ours = "seedtree builds, commits and pushes to a bare repository beside it; the others write .torrent files"
	}
	piece := (&job{files: c.files()}).pieceLength()
	return fmt.Sprintf("### %s: %s\n\nPieces of %d KiB for all; %s.\n\n", c.letter, c.what, piece/kib, ours) +
		table([]string{"", "wall s", "CPU s", "peak MB", "runs", "wall / " + rival, "CPU / " + rival}, rows)
}

func seconds(s float64) string { return fmt.Sprintf("%.2f", s) }

func times(r float64) string { return fmt.Sprintf("%.2f", r) }

// peakText: a child begins as a copy of us, and is never told apart below.
func peakText(s []sample) string {
	most := medianOf(s, peak)
	if _, floor := own(); most <= float64(floor) {
		return fmt.Sprintf("≤ %.0f", float64(floor)/1e6)
	}
	return fmt.Sprintf("%.0f", most/1e6)
}

// comma writes 200000 as 200,000.
func comma(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
