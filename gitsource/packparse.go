package gitsource

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// parsePack reads a raw pack from end to end and computes the id of every object from
// its bytes. Each delta is applied once, children right after what they stand on, so
// that the cost is what the objects have in bytes, whatever their order.
//
// That may be a lot: in a flat catalog of 100,000 entries each commit has a tree of
// 5 MB and needs 380 bytes on the wire for it, 12,000 times less. So a remote may
// make us work for what it sends, but not without bound; see limits.work.
func parsePack(in *incoming) (sum hash, index *packIndex, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed: %v", p)
		}
	}()
	st, err := in.pack.Stat()
	if err != nil {
		return sum, nil, err
	}
	x := &arrivals{
		in: in, lim: in.lim, work: in.lim.work(st.Size()), waiting: map[hash]int32{}, hash: hasher{strict: true},
		from: &pack{f: in.pack, end: st.Size() - packTrailer},
	}
	if sum, err = x.scan(st.Size()); err == nil {
		err = x.resolve()
	}
	if err != nil {
		return sum, nil, err
	}
	index = new(packIndex)
	for _, a := range x.all {
		index.add(a.id, uint64(a.at), a.crc)
	}
	return sum, index, nil
}

// arrivals are the objects of a pack that comes from elsewhere.
type arrivals struct {
	in      *incoming
	lim     limits
	from    *pack // to read single objects again
	all     []arrival
	waiting map[hash]int32 // deltas by reference, by the id of a base that was not met yet
	hash    hasher
	work    int64 // bytes that may still be made by deltas
	later   int64 // bytes that reading all blobs, in any order, would make
	stack   []ancestor
	held    int // bytes in the stack
}

// arrival is one object. Deltas of one base are a list: its child, and the next of each.
type arrival struct {
	at, size int64 // size is what inflates: of a delta the delta
	makes    int64 // bytes of the object
	crc      uint32
	base     int32 // of a delta: its place among all; none while it is not known
	child    int32
	next     int32
	t        plumbing.ObjectType // of a delta its base's, once that is known
	id       hash                // of a delta by reference the base's, until it has its own
	done     bool
}

const none32 = int32(-1)

// ancestor is an object whose deltas are being resolved.
type ancestor struct {
	i     int32
	next  int32  // the delta that is next
	data  []byte // nil: was let go, for there was no room
	depth int
	chain int64 // bytes that were made for it, with all below
}

const (
	// maxArrivalChain is git's own bound on deltas that stand on each other.
	maxArrivalChain = 4095
	// maxMade is how many bytes reading a single object may make: 50 deltas, which is
	// what git stacks, of a tree of a million names. Ours are read again and again.
	maxMade = 16 * maxTree
)

// workBase and workRate are what a remote may make us do, in bytes: so much for
// nothing, and for each byte of the pack. A commit of one change took git 376 bytes
// (commit 124, three trees 84 each), and the least that can be are some 250: those times
// 32 KiB are 8 MB, more than the 4.6 MB that the tree of a flat catalog of 100,000 entries
// has. Larger ones come with 1.4 KB more for each entry.
const (
	workBase = 4 << 30
	workRate = 32 << 10
)

// work bounds the bytes that the deltas of a pack may make. In the end eight times
// what whole objects may have: 512 GiB are 100,000 commits to 100,000 entries in one
// directory, ten years of one each hour, and half an hour of work.
func (l limits) work(received int64) int64 {
	return min(l.base+min(received, math.MaxInt64/(2*workRate))*workRate, 8*l.inflated)
}

// step says that indexing gets on, and asks whether it shall.
func (x *arrivals) step() error {
	x.in.beat()
	return x.in.ctx.Err()
}

// scan reads through the pack once. An object, or all of them, that would inflate
// beyond the limits are refused: a megabyte of pack can hold a gigabyte of zeros.
func (x *arrivals) scan(size int64) (sum hash, err error) {
	if _, err := x.in.pack.Seek(0, io.SeekStart); err != nil {
		return sum, err
	}
	from := attended{x.in.pack, x}
	scan := packfile.NewScanner(from)
	_, count, err := scan.Header()
	if err != nil {
		return sum, truncated(err)
	}
	if count > maxWalked {
		return sum, fmt.Errorf("%w: %d objects, at most %d are taken", ErrTooLarge, count, maxWalked)
	}
	total := int64(0)
	for range count {
		h, err := scan.NextObjectHeader()
		if err != nil {
			return sum, truncated(err)
		}
		if total += h.Length; h.Length < 0 || h.Length > x.lim.object || total > x.lim.inflated {
			return sum, fmt.Errorf("%w: an object of %d bytes, at most %d (%d in all) are taken", ErrTooLarge, h.Length, x.lim.object, x.lim.inflated)
		}
		if err := x.take(scan, h); err != nil {
			return sum, truncated(err)
		}
	}
	if sum, err = scan.Checksum(); err != nil {
		return sum, truncated(err)
	}
	end, err := scan.SeekFromStart(0) // returns where it was
	if err == nil && end != size {
		err = fmt.Errorf("malformed: %d bytes behind its end", size-end)
	}
	return sum, err
}

// take notes an object, and the id of one that is whole.
func (x *arrivals) take(scan *packfile.Scanner, h *packfile.ObjectHeader) error {
	a := arrival{at: h.Offset, size: h.Length, makes: h.Length, base: none32, child: none32, next: none32, t: h.Type}
	var n int64
	var err error
	switch h.Type {
	case plumbing.OFSDeltaObject, plumbing.REFDeltaObject:
		var head prefix
		n, a.crc, err = scan.NextObject(&head)
		if a.makes = head.deltaTarget(); err == nil && (a.makes < 0 || a.makes > x.lim.object) {
			return fmt.Errorf("%w: a delta that makes %d bytes, at most %d are taken", ErrTooLarge, a.makes, x.lim.object)
		}
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
		n, a.crc, err = scan.NextObject(x.hash.begin(h.Type, int(h.Length)))
		if err == nil {
			a.done = true
			a.id, err = x.hash.end()
		}
	default:
		return fmt.Errorf("malformed: an object of type %d", h.Type)
	}
	if err != nil {
		return err
	}
	if n != h.Length {
		return fmt.Errorf("malformed: an object of %d bytes says that it has %d", n, h.Length)
	}
	return x.link(a, h)
}

// link adds an object, and a delta to the list of its base.
func (x *arrivals) link(a arrival, h *packfile.ObjectHeader) error {
	i := int32(len(x.all))
	switch h.Type {
	case plumbing.OFSDeltaObject:
		base, ok := slices.BinarySearchFunc(x.all, h.OffsetReference, func(a arrival, at int64) int { return int(min(max(a.at-at, -1), 1)) })
		if !ok {
			return errors.New("malformed: a delta of what is no object")
		}
		a.base = int32(base)
		a.next, x.all[base].child = x.all[base].child, i
	case plumbing.REFDeltaObject:
		a.id, a.next = h.Reference, none32
		if other, ok := x.waiting[a.id]; ok {
			a.next = other
		}
		x.waiting[a.id] = i
	}
	x.all = append(x.all, a)
	return nil
}

// adopt gives an object whose id is known the deltas that wait for it.
func (x *arrivals) adopt(i int32) {
	first, ok := x.waiting[x.all[i].id]
	if !ok {
		return
	}
	delete(x.waiting, x.all[i].id)
	last := first
	for d := first; d != none32; d = x.all[d].next {
		x.all[d].base, last = i, d
	}
	x.all[last].next, x.all[i].child = x.all[i].child, first
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// attended takes a step with each read.
type attended struct {
	io.ReadSeeker
	x *arrivals
}

func (a attended) Read(p []byte) (int, error) {
	if err := a.x.step(); err != nil {
		return 0, err
	}
	return a.ReadSeeker.Read(p)
}
