package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"
	"sync"
)

// Listing is every entry of one revision, ordered by Key. It never changes
// and may be read by any number of goroutines.
type Listing struct {
	entries []Entry
	bytes   int64

	// The indexes are made when first asked for: most listings are only
	// walked and compared. Both hold positions of Regular entries.
	contentOnce, hashOnce sync.Once
	byContent, byHash     []int32
}

// maxNamed bounds how many faults one error names.
const maxNamed = 20

// NewListing makes a listing of entries, which it keeps and sorts. It refuses
// two entries at one place and a file, link or empty directory where another
// entry needs a directory to stand in.
func NewListing(entries []Entry) (*Listing, error) {
	for i := 1; i < len(entries); i++ {
		if compareFirst(entries[i-1:], entries[i:]) > 0 {
			slices.SortFunc(entries, func(a, b Entry) int { return a.Key().Compare(b.Key()) })
			break
		}
	}
	l := &Listing{entries: entries}
	for i := range entries {
		l.bytes += entries[i].Length
	}
	if err := conflicts(entries); err != nil {
		return nil, err
	}
	return l, nil
}

// conflicts walks sorted entries once. All entries below a directory "a"
// follow the entry "a" directly or after others that begin with "a" too ("a!",
// "a-b"), so a stack of entries that are byte prefixes of the current one is
// all there is to look at.
func conflicts(entries []Entry) error {
	var errs []error
	var open []int // lengths of the paths on the stack, growing
	for i := range entries {
		e := &entries[i]
		common := 0
		if i > 0 && entries[i-1].Tree == e.Tree {
			prev := &entries[i-1]
			common = commonPrefix(string(prev.Path), string(e.Path))
			if prev.Path == e.Path {
				errs = append(errs, fmt.Errorf("%s is listed twice, as %s and as %s", e.Key(), prev.Kind, e.Kind))
			}
		}
		for len(open) > 0 && open[len(open)-1] > common {
			open = open[:len(open)-1]
		}
		// Slashes before common are the previous entry's too: looked at already.
		for at := common; len(open) > 0 && at < len(e.Path); at++ {
			if e.Path[at] != '/' {
				continue
			}
			if _, ok := slices.BinarySearch(open, at); ok {
				errs = append(errs, fmt.Errorf("%s/%s is listed as no directory, but %s stands in it", e.Tree, e.Path[:at], e.Key()))
			}
		}
		if len(open) == 0 || open[len(open)-1] != len(e.Path) {
			open = append(open, len(e.Path))
		}
		if len(errs) > maxNamed {
			errs[maxNamed] = errors.New("and more of the kind")
			break
		}
	}
	return errors.Join(errs...)
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// Len returns the number of entries of all kinds.
func (l *Listing) Len() int { return len(l.entries) }

// Bytes returns the sum of all lengths.
func (l *Listing) Bytes() int64 { return l.bytes }

// All walks the entries in order.
func (l *Listing) All() iter.Seq[Entry] { return slices.Values(l.entries) }

// Tree walks one tree's entries in order.
func (l *Listing) Tree(name string) iter.Seq[Entry] {
	from, to := l.Range(name)
	return slices.Values(l.entries[from:to])
}

// Range returns where one tree's entries begin and where they end.
func (l *Listing) Range(tree string) (from, to int) {
	from = sort.Search(len(l.entries), func(i int) bool { return l.entries[i].Tree >= tree })
	return from, from + sort.Search(len(l.entries)-from, func(i int) bool { return l.entries[from+i].Tree > tree })
}

// At returns the i-th entry, which is not to be changed.
func (l *Listing) At(i int) *Entry { return &l.entries[i] }

// Find returns the position of the entry at a place, or of the first one
// behind it, and whether it is there.
func (l *Listing) Find(k Key) (i int, found bool) {
	i = sort.Search(len(l.entries), func(i int) bool { return l.entries[i].Key().Compare(k) >= 0 })
	return i, i < len(l.entries) && l.entries[i].Key() == k
}

// Get returns the entry at a place.
func (l *Listing) Get(k Key) (Entry, bool) {
	i, found := l.Find(k)
	if !found {
		return Entry{}, false
	}
	return l.entries[i], true
}

// ByContent returns the regular entries with the same bytes, in order.
func (l *Listing) ByContent(c Content) []Entry {
	var found []Entry
	for i := l.findContent(c); i < len(l.byContent); i++ {
		e := &l.entries[l.byContent[i]]
		if e.Content != c {
			break
		}
		found = append(found, *e)
	}
	return found
}

// HasContent reports whether any entry has these bytes.
func (l *Listing) HasContent(c Content) bool {
	i := l.findContent(c)
	return i < len(l.byContent) && l.entries[l.byContent[i]].Content == c
}

// findContent returns where in byContent the entries with c stand or would.
func (l *Listing) findContent(c Content) int {
	l.contentOnce.Do(func() {
		l.byContent = l.index(func(a, b *Entry) int { return bytes.Compare(a.Content[:], b.Content[:]) })
	})
	return sort.Search(len(l.byContent), func(i int) bool {
		return bytes.Compare(l.entries[l.byContent[i]].Content[:], c[:]) >= 0
	})
}

// ByInfoHash returns the regular entry whose torrent has this info hash.
func (l *Listing) ByInfoHash(h InfoHash) (Entry, bool) {
	l.hashOnce.Do(func() {
		l.byHash = l.index(func(a, b *Entry) int { return bytes.Compare(a.InfoHash[:], b.InfoHash[:]) })
	})
	at := func(i int) *Entry { return &l.entries[l.byHash[i]] }
	i := sort.Search(len(l.byHash), func(i int) bool { return bytes.Compare(at(i).InfoHash[:], h[:]) >= 0 })
	if i == len(l.byHash) || at(i).InfoHash != h {
		return Entry{}, false
	}
	return *at(i), true
}

// index returns the positions of all regular entries in the given order,
// equal ones in the listing's order.
func (l *Listing) index(compare func(a, b *Entry) int) []int32 {
	var index []int32
	for i := range l.entries {
		if l.entries[i].Kind == Regular {
			index = append(index, int32(i))
		}
	}
	slices.SortFunc(index, func(a, b int32) int {
		if c := compare(&l.entries[a], &l.entries[b]); c != 0 {
			return c
		}
		return int(a - b)
	})
	return index
}

// Filter returns the listing of the entries that keep wants.
func (l *Listing) Filter(keep func(Entry) bool) *Listing {
	part := &Listing{}
	for _, e := range l.entries {
		if keep(e) {
			part.entries = append(part.entries, e)
			part.bytes += e.Length
		}
	}
	return part
}

// Trees returns the names of all trees that have an entry, in order.
func (l *Listing) Trees() []string {
	var names []string
	for i := 0; i < len(l.entries); {
		name := l.entries[i].Tree
		names = append(names, strings.Clone(name))
		i += sort.Search(len(l.entries)-i, func(j int) bool { return l.entries[i+j].Tree > name })
	}
	return names
}
