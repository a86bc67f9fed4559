package manifests

import "strings"

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
// used once, the first with the first.
func (d *Diff) matchRenames() {
	if len(d.Removed) == 0 || len(d.Added) == 0 {
		return
	}
	arrived := make(map[Content][]int) // positions in Added, in order
	for i, e := range d.Added {
		if e.Kind == Regular {
			arrived[e.Content] = append(arrived[e.Content], i)
		}
	}
	taken := make([]bool, len(d.Added))
	removed := d.Removed[:0]
	for _, old := range d.Removed {
		at := arrived[old.Content]
		if old.Kind != Regular || len(at) == 0 {
			removed = append(removed, old)
			continue
		}
		d.Renamed = append(d.Renamed, Change{old, d.Added[at[0]]})
		taken[at[0]] = true
		arrived[old.Content] = at[1:]
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
