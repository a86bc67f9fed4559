package gitsource

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha1"
	"encoding/binary"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// packIndex gathers where the objects of a pack are and writes git's index,
// version 2. An object that is in the pack twice is in the index twice, as git
// demands. It is an observer of go-git's pack parser.
//
// A first build puts millions of objects in here, so entries stand in chunks,
// which never move when more come, and are found through a table of positions.
// Together with what write needs that is about 50 bytes per object.
type packIndex struct {
	chunks [][]indexEntry
	n      int
	// slots is a hash table: one more than an entry's position, 0 where there is
	// none. It is made, and brought up to date, when has is asked.
	slots   []uint32
	slotted int // entries that are in it
}

type indexEntry struct {
	id     hash
	crc    uint32
	offset uint64
}

const indexChunk = 1 << 12 // entries

func (x *packIndex) at(i int) *indexEntry { return &x.chunks[i/indexChunk][i%indexChunk] }

func (x *packIndex) add(id hash, offset uint64, crc uint32) {
	if x.n%indexChunk == 0 {
		x.chunks = append(x.chunks, make([]indexEntry, 0, min(indexChunk, x.n+16)))
	}
	last := &x.chunks[x.n/indexChunk]
	*last = append(*last, indexEntry{id, crc, offset})
	x.n++
}

// has reports whether an object was added.
func (x *packIndex) has(id hash) bool {
	if size := max(64, len(x.slots)); len(x.slots) == 0 || size*2 < x.n*3 {
		for size*2 < x.n*3 {
			size *= 2
		}
		x.slots, x.slotted = make([]uint32, size), 0
	}
	for ; x.slotted < x.n; x.slotted++ {
		x.slots[x.slot(x.at(x.slotted).id)] = uint32(x.slotted) + 1
	}
	return x.slots[x.slot(id)] != 0
}

// find returns an object that was added.
func (x *packIndex) find(id hash) *indexEntry {
	if !x.has(id) {
		return nil
	}
	return x.at(int(x.slots[x.slot(id)]) - 1)
}

// slot is where an id stands or would stand. Ids are hashes already.
func (x *packIndex) slot(id hash) int {
	mask := len(x.slots) - 1
	i := int(binary.LittleEndian.Uint64(id[:])) & mask
	for x.slots[i] != 0 && x.at(int(x.slots[i])-1).id != id {
		i = (i + 1) & mask
	}
	return i
}

// cut forgets all but the first n entries.
func (x *packIndex) cut(n int) {
	if n == x.n {
		return
	}
	x.chunks = x.chunks[:(n+indexChunk-1)/indexChunk]
	if rest := n % indexChunk; rest > 0 {
		last := &x.chunks[len(x.chunks)-1]
		*last = (*last)[:rest]
	}
	x.n, x.slots, x.slotted = n, nil, 0
}

// OnHeader is called with the number of objects to come.
func (x *packIndex) OnHeader(uint32) error { return nil }

// OnInflatedObjectHeader is called before each object.
func (x *packIndex) OnInflatedObjectHeader(plumbing.ObjectType, int64, int64) error { return nil }

// OnInflatedObjectContent is called with each object's id and place.
func (x *packIndex) OnInflatedObjectContent(id hash, pos int64, crc uint32, _ []byte) error {
	x.add(id, uint64(pos), crc)
	return nil
}

// OnFooter is called at the end.
func (x *packIndex) OnFooter(hash) error { return nil }

// sorted returns the entries' positions by id and, for each first byte of an id,
// how many ids begin with it or a lower one: git's fan-out table, by which the
// sorting goes, too.
func (x *packIndex) sorted() (order []uint32, fan [256]uint32) {
	var next [256]uint32
	for i := range x.n {
		next[x.at(i).id[0]]++
	}
	sum := uint32(0)
	for b, n := range next {
		next[b] = sum
		sum += n
		fan[b] = sum
	}
	order = make([]uint32, x.n)
	for i := range x.n {
		b := x.at(i).id[0]
		order[next[b]] = uint32(i)
		next[b]++
	}
	from := uint32(0)
	for _, to := range fan {
		slices.SortFunc(order[from:to], func(i, j uint32) int {
			a, b := x.at(int(i)), x.at(int(j))
			return cmp.Or(bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.offset, b.offset))
		})
		from = to
	}
	return order, fan
}

// write encodes the index of the pack with the given checksum.
func (x *packIndex) write(w io.Writer, pack hash) error {
	order, fan := x.sorted()
	sum := sha1.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<16)
	put := func(v uint32) {
		_, _ = out.Write(binary.BigEndian.AppendUint32(out.AvailableBuffer(), v)) // the writer keeps its first error
	}
	_, _ = out.Write([]byte("\xfftOc\x00\x00\x00\x02"))
	for _, n := range fan {
		put(n)
	}
	for _, i := range order {
		_, _ = out.Write(x.at(int(i)).id[:])
	}
	for _, i := range order {
		put(x.at(int(i)).crc)
	}
	var far []uint64 // offsets beyond 31 bits stand in a table of their own
	for _, i := range order {
		offset := x.at(int(i)).offset
		if offset < 1<<31 {
			put(uint32(offset))
			continue
		}
		put(1<<31 | uint32(len(far)))
		far = append(far, offset)
	}
	for _, o := range far {
		put(uint32(o >> 32))
		put(uint32(o))
	}
	_, _ = out.Write(pack[:])
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}
