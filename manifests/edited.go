package manifests

import (
	"slices"
	"sort"
	"strings"
)

// Edited returns the listing without the entries at the removed places and with the
// added ones, both of which it sorts. What stays is copied as it is and not looked at
// again: ten changes among a million entries cost little more than the copy. A place
// that is removed and added has another entry then; removing what is not there is
// nothing. It refuses what NewListing refuses.
func (l *Listing) Edited(removed []Key, added []Entry) (*Listing, error) {
	slices.SortFunc(added, func(a, b Entry) int { return a.Key().Compare(b.Key()) })
	slices.SortFunc(removed, Key.Compare)
	next := &Listing{entries: make([]Entry, 0, max(0, len(l.entries)-len(removed))+len(added)), bytes: l.bytes}
	at := make([]int, 0, len(added)) // where the added ones stand
	rest := l.entries
	for len(removed) > 0 || len(added) > 0 {
		if len(added) == 0 || len(removed) > 0 && removed[0].Compare(added[0].Key()) <= 0 {
			rest = next.take(rest, removed[0])
			if len(rest) > 0 && rest[0].Key() == removed[0] {
				next.bytes -= rest[0].Length
				rest = rest[1:]
			}
			removed = removed[1:]
			continue
		}
		rest = next.take(rest, added[0].Key())
		at = append(at, len(next.entries))
		next.entries = append(next.entries, added[0])
		next.bytes += added[0].Length
		added = added[1:]
	}
	next.entries = append(next.entries, rest...)
	// Looking at everything is cheaper than at many, and tells all faults in order.
	if len(at) > len(next.entries)/16 || slices.ContainsFunc(at, next.clashes) {
		if err := conflicts(next.entries); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// take appends the entries before a place and returns the others. It looks close by
// first: changes stand in crowds.
func (l *Listing) take(from []Entry, k Key) []Entry {
	reach := 1
	for reach < len(from) && from[reach].Key().Compare(k) < 0 {
		reach *= 2
	}
	reach = min(reach, len(from))
	n := sort.Search(reach, func(i int) bool { return from[i].Key().Compare(k) >= 0 })
	l.entries = append(l.entries, from[:n]...)
	return from[n:]
}

// clashes reports whether the i-th entry cannot stand beside the others: another one
// has its place, needs it as a directory, or stands where it needs one.
func (l *Listing) clashes(i int) bool {
	e := &l.entries[i]
	same := func(j int) bool { return j >= 0 && j < len(l.entries) && l.entries[j].Key() == e.Key() }
	if same(i-1) || same(i+1) {
		return true
	}
	below, _ := l.Find(Key{e.Tree, e.Path + "/"})
	if below < len(l.entries) && l.entries[below].Tree == e.Tree && strings.HasPrefix(string(l.entries[below].Path), string(e.Path)+"/") {
		return true
	}
	for j := range len(e.Path) {
		if e.Path[j] != '/' {
			continue
		}
		if _, found := l.Find(Key{e.Tree, e.Path[:j]}); found {
			return true
		}
	}
	return false
}
