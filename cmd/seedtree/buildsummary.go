package main

import (
	"fmt"
	"io"
	"strings"

	"seedtree/manifests"
)

// maxBuiltLines is how many changes a build that commits lists for people.
const maxBuiltLines = 20

// markCopies tells added files whose bytes were listed elsewhere before, and
// of which: no site has to fetch those.
func (r *buildReport) markCopies(previous *manifests.Listing, d manifests.Diff) {
	from := map[manifests.Content]string{} // to ask for all twins of each of many twins would never end
	for i, e := range d.Added {            // the first changes are what was added
		if e.Kind != manifests.Regular || !previous.HasContent(e.Content) {
			continue
		}
		if from[e.Content] == "" {
			from[e.Content] = previous.ByContent(e.Content)[0].Key().String()
		}
		r.Changes[i].Op, r.Changes[i].From = "copy", from[e.Content]
		r.Copied++
	}
}

// writeChanges lists the changes: all of them for who asked what would be done.
func (r *buildReport) writeChanges(w io.Writer, all bool) {
	for i, c := range r.Changes {
		if i == maxBuiltLines && !all {
			fmt.Fprintf(w, "and %s more (-o json lists all)\n", comma(len(r.Changes)-i))
			return
		}
		fmt.Fprintln(w, c)
	}
}

// beside counts what is not in the line of changes; empty when there is nothing.
func (r *buildReport) beside() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{
		{r.Copied, "of the added are copies"},
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
