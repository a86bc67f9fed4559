package manifests

import (
	"slices"
	"strings"
)

// Change is one entry before and after.
type Change struct{ Old, New Entry }

// Diff is what leads from one listing to another. Every slice is ordered by
// key (Renamed by the old one); an entry is in one of them at most.
type Diff struct {
	Added   []Entry
	Removed []Entry
	Changed []Change // at the same key
	// Renamed files depart from Old.Key and appear, with the same Content, at
	// New.Key. They are not in Added or Removed.
	Renamed []Change
}

// Empty reports whether nothing differs.
func (d Diff) Empty() bool {
	return len(d.Added)+len(d.Removed)+len(d.Changed)+len(d.Renamed) == 0
}

// Diff returns what has to be done to l to make it next.
func (l *Listing) Diff(next *Listing) Diff {
	var d Diff
	if l == next {
		return d
	}
	a, b := l.entries, next.entries
	if len(a) == 0 { // a first build: to copy millions of entries would double them
		d.Added = slices.Clip(b)
		return d
	}
	for len(a) > 0 || len(b) > 0 {
		switch c := compareFirst(a, b); {
		case c < 0:
			d.Removed = append(d.Removed, a[0])
			a = a[1:]
		case c > 0:
			d.Added = append(d.Added, b[0])
			b = b[1:]
		default:
			if !a[0].Equal(b[0]) {
				d.Changed = append(d.Changed, Change{a[0], b[0]})
			}
			a, b = a[1:], b[1:]
		}
	}
	d.matchRenames()
	return d
}

// compareFirst compares the first entries; an exhausted side is the larger.
func compareFirst(a, b []Entry) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	// Nearly always both sides share tree and path, string data included
	// or not: comparing keys without copying entries keeps this loop cheap.
	ka, kb := &a[0], &b[0]
	if ka.Tree == kb.Tree && ka.Path == kb.Path {
		return 0
	}
	if c := strings.Compare(ka.Tree, kb.Tree); c != 0 {
		return c
	}
	return strings.Compare(string(ka.Path), string(kb.Path))
}

// matchRenames pairs what was removed with what was added by Content, each
// used once: first those that kept their base name, as files that are moved to
// another directory do, then the first with the first.
func (d *Diff) matchRenames() {
	if len(d.Removed) == 0 || len(d.Added) == 0 {
		return
	}
	taken, gone := make([]bool, len(d.Added)), make([]int, len(d.Removed)) // gone: where it arrived, from 1
	d.pair(taken, gone, func(e *Entry) string { return string(e.Path[strings.LastIndexByte(string(e.Path), '/')+1:]) })
	d.pair(taken, gone, func(*Entry) string { return "" })
	removed := d.Removed[:0]
	for i, old := range d.Removed {
		if gone[i] == 0 {
			removed = append(removed, old)
			continue
		}
		d.Renamed = append(d.Renamed, Change{old, d.Added[gone[i]-1]})
	}
	d.Removed = removed
	added := d.Added[:0]
	for i, e := range d.Added {
		if !taken[i] {
			added = append(added, e)
		}
	}
	d.Added = added
}

// pair pairs, in order, what has the same Content and is called the same.
func (d *Diff) pair(taken []bool, gone []int, name func(*Entry) string) {
	type likeness struct {
		content Content
		name    string
	}
	arrived := make(map[likeness][]int) // positions in Added, in order
	for i := range d.Added {
		if e := &d.Added[i]; e.Kind == Regular && !taken[i] {
			k := likeness{e.Content, name(e)}
			arrived[k] = append(arrived[k], i)
		}
	}
	for i := range d.Removed {
		old := &d.Removed[i]
		if old.Kind != Regular || gone[i] != 0 {
			continue
		}
		k := likeness{old.Content, name(old)}
		if at := arrived[k]; len(at) > 0 {
			gone[i], taken[at[0]] = at[0]+1, true
			arrived[k] = at[1:]
		}
	}
}

// Lost counts the removals after which nothing is left: files whose Content
// is nowhere in next, and every link, empty file and empty directory. It is
// what a Limit judges.
func (d Diff) Lost(next *Listing) int {
	n := 0
	for _, e := range d.Removed {
		if !next.HasContent(e.Content) { // only files have one to find
			n++
		}
	}
	return n
}

// Limit is how much may be removed in one step before somebody has to look.
type Limit struct {
	Percent int // of all entries
	Files   int // at most
}

// Allows reports whether removing that many of base entries is within the
// limit. One removal always is, unless it is everything: an empty source is
// far more often an unmounted drive than a wish.
func (l Limit) Allows(removed, base int) bool {
	switch {
	case removed <= 0:
		return true
	case removed >= base:
		return false
	}
	return int64(removed) <= min(int64(l.Files), max(1, int64(base)*int64(l.Percent)/100))
}
