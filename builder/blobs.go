package builder

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
	"strings"

	"seedtree/manifests"
)

// Blobs are files to be written to the catalog, ordered by name. In a first
// build there is one for every file of the sources, so each is put together
// when it is asked for, from what the listing knows.
type Blobs struct {
	entries []manifests.Entry // all that were found new or changed
	refs    []Ref             // of these
	kept    [][]byte          // what they name if there is no Store
	names   string            // all of them
	list    []blobAt          // by name
}

// blobAt is one blob.
type blobAt struct {
	from        int // where its name begins
	size, entry uint32
}

// Len returns how many there are.
func (b *Blobs) Len() int { return len(b.list) }

func (b *Blobs) name(at blobAt) string { return b.names[at.from : at.from+int(at.size)] }

// At returns the i-th blob.
func (b *Blobs) At(i int) Blob {
	at := b.list[i]
	e, ref := &b.entries[at.entry], b.refs[at.entry]
	blob := Blob{Name: b.name(at)}
	switch {
	case e.Kind == manifests.Symlink:
		blob.Mode, blob.Data = SymbolicLink, []byte(e.Target)
	case e.Executable:
		blob.Mode = Executable
	}
	switch {
	case ref == Ref{}:
	case b.kept != nil:
		blob.Data = b.kept[binary.NativeEndian.Uint64(ref[:])-1]
	default:
		blob.Ref = ref
	}
	return blob
}

// take is the Store of a build that has none.
func (b *Blobs) take(data []byte) (ref Ref, err error) {
	b.kept = append(b.kept, bytes.Clone(data))
	binary.NativeEndian.PutUint64(ref[:], uint64(len(b.kept)))
	return ref, nil
}

// makeList gives names to those entries that are not what they were before.
func (b *Blobs) makeList(before *manifests.Listing) {
	changed := make([]uint32, 0, len(b.entries))
	size := 0
	for i := range b.entries {
		e := &b.entries[i]
		if at, listed := before.Find(e.Key()); listed && before.At(at).Equal(*e) {
			continue
		}
		changed = append(changed, uint32(i))
		size += len(manifests.CatalogDir) + len(e.Tree) + len(e.Path) + len("//.torrent")
	}
	var names strings.Builder
	names.Grow(size)
	b.list = make([]blobAt, 0, len(changed))
	for _, i := range changed {
		name := manifests.CatalogName(b.entries[i])
		b.list = append(b.list, blobAt{names.Len(), uint32(len(name)), i})
		names.WriteString(name)
	}
	b.names = names.String()
	slices.SortFunc(b.list, func(x, y blobAt) int { return cmp.Compare(b.name(x), b.name(y)) })
}

// add takes a new or changed entry. A zero ref: no .torrent of it is to be written.
func (f *findings) add(e manifests.Entry, ref Ref) {
	f.refs = append(append(f.refs, make([]Ref, len(f.entries)-len(f.refs))...), ref)
	f.entries = append(f.entries, e)
}

// sortEntries puts them in order, and the refs along with them. There can be
// millions: to sort pairs of both would take a second list of all.
func (f *findings) sortEntries() {
	f.refs = append(f.refs, make([]Ref, len(f.entries)-len(f.refs))...)
	if by := (byKey{f.entries, f.refs}); !sort.IsSorted(by) {
		sort.Sort(by)
	}
}

// byKey sorts both by the entries' keys.
type byKey struct {
	entries []manifests.Entry
	refs    []Ref
}

func (s byKey) Len() int { return len(s.entries) }

func (s byKey) Less(i, j int) bool { return s.entries[i].Key().Compare(s.entries[j].Key()) < 0 }

func (s byKey) Swap(i, j int) {
	s.entries[i], s.entries[j] = s.entries[j], s.entries[i]
	s.refs[i], s.refs[j] = s.refs[j], s.refs[i]
}
