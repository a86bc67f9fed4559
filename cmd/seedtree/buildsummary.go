package main

import (
	"fmt"
	"io"
	"math"
	"strings"

	"seedtree/manifests"
)

// maxBuiltLines is how many changes a build that commits lists for people, and how many
// skipped places and warnings each.
const maxBuiltLines = 20

// markCopies tells added files whose bytes were listed elsewhere before, and
// of which: no site has to fetch those.
func (r *buildReport) markCopies(previous *manifests.Listing) {
	r.copies = map[manifests.Content]string{} // to ask for all twins of each of many twins would never end
	for i := range r.diff.Added {
		e := &r.diff.Added[i]
		if e.Kind != manifests.Regular || !previous.HasContent(e.Content) {
			continue
		}
		if r.copies[e.Content] == "" {
			r.copies[e.Content] = previous.ByContent(e.Content)[0].Key().String()
		}
		r.Copied++
	}
}

// list makes the lines of changes: all, or as many as write may want.
func (r *buildReport) list(all bool) {
	d := r.diff
	if !all {
		d = few(d, maxBuiltLines)
	}
	r.Changes = changeLines(d)
	for i, e := range d.Added { // the first changes are what was added
		if from := r.copies[e.Content]; e.Kind == manifests.Regular && from != "" {
			r.Changes[i].Op, r.Changes[i].From = "copy", from
		}
	}
}

// counted is the counts with the copies among what was added.
func (r *buildReport) counted() string {
	text := r.Counts.String()
	if r.Copied == 0 {
		return text
	}
	copies := "1 a copy"
	if r.Copied > 1 {
		copies = comma(r.Copied) + " copies"
	}
	return strings.Replace(text, " added", " added ("+copies+")", 1)
}

// write tells people what was done: what needs a look first, the sum last. All
// says that they asked to see everything.
func (r *buildReport) write(w io.Writer, all bool) {
	most := maxBuiltLines
	if all {
		most = math.MaxInt
	}
	for _, group := range []struct {
		what string
		of   map[string]string
	}{{"skipped", r.Skipped}, {"warning", r.Warnings}} {
		var lines []string
		for _, name := range sortedKeys(group.of) {
			lines = append(lines, group.what+" "+shown(name)+": "+group.of[name])
		}
		writeSome(w, lines, len(lines), most, group.what+" ")
	}
	writeSome(w, r.Changes, r.Counts.total(), most, "")
	switch {
	case r.Revision != "":
		fmt.Fprintf(w, "committed %.12s: %s\n", r.Revision, r.counted())
	case r.Counts.total() > 0:
		fmt.Fprintf(w, "would commit: %s\n", r.counted())
	default:
		fmt.Fprintln(w, "nothing changed")
	}
	if text := r.beside(); text != "" {
		fmt.Fprintln(w, text)
	}
	fmt.Fprintf(w, "%s, %s; hashed %s, %s in %.1f s\n", entries(r.Entries), bytesText(r.Bytes),
		files(r.HashedFiles), bytesText(r.HashedBytes), r.Seconds)
	if r.ResumedBytes > 0 {
		fmt.Fprintf(w, "taken over from a build that was not committed: %s, %s\n", files(r.ResumedFiles), bytesText(r.ResumedBytes))
	}
}

// writeSome lists the first of many lines and counts the others: lines has most
// of them at least.
func writeSome[T any](w io.Writer, lines []T, all, most int, prefix string) {
	for _, l := range head(lines, most) {
		fmt.Fprintln(w, l)
	}
	if all > most {
		fmt.Fprintf(w, "%s... and %s more (-o json lists all)\n", prefix, comma(all-most))
	}
}

// beside counts what is not in the line of changes; empty when there is nothing.
func (r *buildReport) beside() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{
		{len(r.Skipped), "skipped"},
		{len(r.Failed), "failed"},
		{len(r.Suspected), "suspected of rot"},
	} {
		if p.n > 0 {
			parts = append(parts, comma(p.n)+" "+p.what)
		}
	}
	return strings.Join(parts, ", ")
}
