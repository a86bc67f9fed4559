package gitsource

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// pack reads one pack through its index, which is held in memory: 32 bytes for each
// object, against many times that in go-git's. It knows stored blobs, which is how
// ours lie in there, for what they are: bytes that need no inflating. Nothing it
// returns is trusted; the caller computes the id.
type pack struct {
	f    *os.File
	end  int64 // of the objects
	idx  []byte
	n    int
	win  []byte // the file's bytes from winAt on
	at   int64
	zlib io.ReadCloser
	buf  *bufio.Reader

	// Objects that lately were bases of deltas, by offset.
	bases     map[int64]packObject
	baseBytes int
	room      int   // for them
	most      int64 // bytes that deltas may still make; negative: no bound
}

type packObject struct {
	t    plumbing.ObjectType
	data []byte
}

// Parts of an index, version 2.
const (
	idxNames = 8 + 4*256
	idxEntry = 20 + 4 + 4
	idxTail  = 20 + 20
)

// openPack opens a pack whose files are base.pack and base.idx, and checks that the
// index is whole and belongs to the pack, and that the pack was not cut short.
func openPack(base string) (*pack, error) {
	idx, err := os.ReadFile(base + ".idx")
	if err != nil {
		return nil, err
	}
	if len(idx) < idxNames+idxTail || string(idx[:8]) != "\xfftOc\x00\x00\x00\x02" {
		return nil, fmt.Errorf("its index has only %d bytes, or is no index", len(idx))
	}
	body := len(idx) - 20
	if sha1.Sum(idx[:body]) != [20]byte(idx[body:]) {
		return nil, fmt.Errorf("its index does not match its own checksum")
	}
	p := &pack{idx: idx, bases: map[int64]packObject{}, room: objectCache, most: -1}
	for b := range 256 {
		n := p.fan(b)
		if n < p.n {
			return nil, errors.New("its index is malformed")
		}
		p.n = n
	}
	if int64(len(idx)) < idxNames+idxEntry*int64(p.n)+idxTail {
		return nil, errors.New("its index is malformed")
	}
	if p.f, err = os.Open(base + ".pack"); err != nil {
		return nil, err
	}
	if err := p.checkTail(idx[body-20 : body]); err != nil {
		return nil, errors.Join(err, p.f.Close())
	}
	return p, nil
}

// checkTail compares the end of the pack with what the index says it is.
func (p *pack) checkTail(sum []byte) error {
	st, err := p.f.Stat()
	if err != nil {
		return err
	}
	var tail [packTrailer]byte
	if p.end = st.Size() - packTrailer; p.end < packHeader {
		return fmt.Errorf("it has only %d bytes", st.Size())
	}
	if _, err := p.f.ReadAt(tail[:], p.end); err != nil {
		return err
	}
	if !bytes.Equal(tail[:], sum) {
		return fmt.Errorf("it does not end in its checksum (cut short?)")
	}
	return nil
}

// name is what git calls a pack with this index.
func (p *pack) name() string { return "pack-" + hash(p.idx[len(p.idx)-idxTail:]).String() }

func (p *pack) close() error { return p.f.Close() }

func (p *pack) fan(b int) int { return int(binary.BigEndian.Uint32(p.idx[8+4*b:])) }

func (p *pack) id(i int) []byte { return p.idx[idxNames+20*i:][:20] }

// search returns the position of the first id that is not less than prefix.
func (p *pack) search(prefix []byte) int {
	from, to := 0, p.fan(int(prefix[0]))
	if prefix[0] > 0 {
		from = p.fan(int(prefix[0]) - 1)
	}
	for from < to {
		if mid := (from + to) / 2; bytes.Compare(p.id(mid), prefix) < 0 {
			from = mid + 1
		} else {
			to = mid
		}
	}
	return from
}

// find returns where an object begins.
func (p *pack) find(id hash) (int64, bool) {
	i := p.search(id[:])
	if i == p.n || !bytes.Equal(p.id(i), id[:]) {
		return 0, false
	}
	return p.offset(i), true
}

// offset is where the object at a position of the index begins; reading fails at -1.
func (p *pack) offset(i int) int64 {
	offsets := p.idx[idxNames+24*p.n:]
	offset := uint64(binary.BigEndian.Uint32(offsets[4*i:]))
	if offset>>31 == 0 {
		return int64(offset)
	}
	far := offsets[4*p.n : len(offsets)-idxTail]
	if at := 8 * (offset &^ (1 << 31)); at+8 <= uint64(len(far)) {
		return int64(binary.BigEndian.Uint64(far[at:]))
	}
	return -1
}

// crc is the checksum of an object as it lies in the pack.
func (p *pack) crc(i int) uint32 { return binary.BigEndian.Uint32(p.idx[idxNames+20*p.n+4*i:]) }

// byOffset returns the positions of all objects as they lie in the pack.
func (p *pack) byOffset() []int {
	order := make([]int, p.n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(p.offset(i), p.offset(j)) })
	return order
}

// withPrefix returns the ids that begin with the given bytes.
func (p *pack) withPrefix(prefix []byte) (ids []hash) {
	for i := p.search(prefix); i < p.n && bytes.HasPrefix(p.id(i), prefix); i++ {
		ids = append(ids, hash(p.id(i)))
	}
	return ids
}

var errMalformedPack = errors.New("malformed pack")

// maxChain is how many deltas may stand on each other; git makes up to 4095.
const maxChain = 5000

// packEntry is an object as it lies in the pack.
type packEntry struct {
	t    plumbing.ObjectType
	size int64 // inflated; a delta's as such
	at   int64
	data int64 // where the stream begins
	base int64 // where what it is a delta of begins; -1: it is whole
}

// entry reads the head of the object at an offset.
func (p *pack) entry(at int64) (e packEntry, err error) {
	head, err := p.window(at, 64)
	if err != nil {
		return e, err
	}
	t, size, n := objectHead(head)
	if n == 0 {
		return e, errMalformedPack
	}
	base := int64(-1)
	switch t {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
	case plumbing.OFSDeltaObject:
		back, m := backOffset(head[n:])
		if base, n = at-back, n+m; m == 0 || back <= 0 || base < packHeader {
			return e, errMalformedPack
		}
	case plumbing.REFDeltaObject:
		if len(head) < n+20 {
			return e, errMalformedPack
		}
		found, ok := p.find(hash(head[n:][:20]))
		if base, n = found, n+20; !ok || base < packHeader {
			return e, errMalformedPack
		}
	default:
		return e, errMalformedPack
	}
	return packEntry{t, size, at, at + int64(n), base}, nil
}

// read returns the object at an offset. Of a chain of deltas only one is in memory
// at a time: each may be a few bytes in the pack and inflate to the limit.
func (p *pack) read(offset, limit int64) (o packObject, err error) {
	var deltas []packEntry
	at := offset
	most := func() int64 {
		if at == offset {
			return limit
		}
		return maxTree
	}
	for {
		kept, ok := p.bases[at]
		if o = kept; ok {
			break
		}
		e, err := p.entry(at)
		if err != nil {
			return o, err
		}
		if e.size > most() {
			return o, tooLarge(e.size, most())
		}
		if e.base < 0 {
			o.t = e.t
			if o.data, err = p.inflate(e.data, e.size); err != nil {
				return o, err
			}
			break
		}
		if deltas = append(deltas, e); len(deltas) > maxChain {
			return o, errMalformedPack // a ring, or as good as one
		}
		at = e.base
	}
	for i := len(deltas) - 1; i >= 0; i-- {
		p.keep(at, o)
		at = deltas[i].at
		if o.data, err = p.patch(o.data, deltas[i], most()); err != nil {
			return o, err
		}
	}
	if int64(len(o.data)) > limit {
		return o, tooLarge(int64(len(o.data)), limit)
	}
	return o, nil
}

func tooLarge(size, limit int64) error {
	return fmt.Errorf("%w: %d bytes, at most %d are read", ErrTooLarge, size, limit)
}

// keep remembers what others may be deltas of.
func (p *pack) keep(at int64, o packObject) {
	if _, kept := p.bases[at]; kept {
		return
	}
	if p.baseBytes += len(o.data); p.baseBytes > p.room {
		clear(p.bases)
		p.baseBytes = len(o.data)
	}
	p.bases[at] = o
}

// patch applies a delta.
func (p *pack) patch(from []byte, e packEntry, limit int64) ([]byte, error) {
	delta, err := p.inflate(e.data, e.size)
	if err != nil {
		return nil, err
	}
	if _, target, _ := deltaSizes(delta); target < 0 {
		return nil, errMalformedPack
	} else if target > limit {
		return nil, tooLarge(target, limit)
	} else if p.most >= 0 {
		if p.most -= target; p.most < 0 {
			return nil, fmt.Errorf("%w: its deltas make more than a catalog's would", ErrTooLarge)
		}
	}
	return patchDelta(from, delta)
}

// objectHead reads an object's kind and size; n is 0 when it is malformed.
func objectHead(b []byte) (t plumbing.ObjectType, size int64, n int) {
	for shift := uint(0); n < len(b) && shift < 60; n++ {
		c := b[n]
		if n == 0 {
			t, size, shift = plumbing.ObjectType(c>>4&7), int64(c&15), 4
		} else {
			size |= int64(c&0x7f) << shift
			shift += 7
		}
		if c < 0x80 {
			return t, size, n + 1
		}
	}
	return 0, 0, 0
}

// backOffset reads how far before a delta its base lies.
func backOffset(b []byte) (back int64, n int) {
	for n < len(b) && n < 9 {
		c := b[n]
		if n > 0 {
			back = (back + 1) << 7
		}
		back |= int64(c & 0x7f)
		if n++; c < 0x80 {
			return back, n
		}
	}
	return 0, 0
}

// readAhead is how much of the pack is read at once while one object comes after the
// other.
const readAhead = 256 << 10

// window returns up to want bytes at an offset, which the next call overwrites.
func (p *pack) window(offset int64, want int) ([]byte, error) {
	if offset < packHeader || offset >= p.end {
		return nil, errMalformedPack
	}
	want = int(min(int64(want), p.end-offset))
	if at := offset - p.at; at < 0 || at+int64(want) > int64(len(p.win)) {
		n := max(want, 4<<10)
		if at >= 0 && at <= int64(len(p.win))+readAhead/4 {
			n = max(n, readAhead)
		}
		n = int(min(int64(n), p.end-offset))
		p.win, p.at = slices.Grow(p.win[:0], n)[:n], offset
		if _, err := p.f.ReadAt(p.win, offset); err != nil {
			p.win = p.win[:0]
			return nil, err
		}
	}
	return p.win[offset-p.at:][:want], nil
}
