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
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
)

// packIndex gathers where the objects of a pack are and writes git's index,
// version 2. An object that is in the pack twice is in the index twice, as git
// demands. It is an observer of go-git's pack parser.
type packIndex struct{ entries []indexEntry }

type indexEntry struct {
	id     hash
	crc    uint32
	offset uint64
}

func (x *packIndex) add(id hash, offset uint64, crc uint32) {
	x.entries = append(x.entries, indexEntry{id, crc, offset})
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

// write encodes the index of the pack with the given checksum.
func (x *packIndex) write(w io.Writer, pack hash) error {
	slices.SortFunc(x.entries, func(a, b indexEntry) int {
		return cmp.Or(bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.offset, b.offset))
	})
	sum := sha1.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<16)
	put := func(v uint32) {
		_, _ = out.Write(binary.BigEndian.AppendUint32(nil, v)) // the writer keeps its first error
	}
	_, _ = out.Write([]byte("\xfftOc\x00\x00\x00\x02"))
	var fan [256]uint32
	for _, e := range x.entries {
		fan[e.id[0]]++
	}
	var n uint32
	for _, c := range fan {
		n += c
		put(n)
	}
	for i := range x.entries {
		_, _ = out.Write(x.entries[i].id[:])
	}
	for _, e := range x.entries {
		put(e.crc)
	}
	var far []uint64 // offsets beyond 31 bits stand in a table of their own
	for _, e := range x.entries {
		if e.offset < 1<<31 {
			put(uint32(e.offset))
			continue
		}
		put(1<<31 | uint32(len(far)))
		far = append(far, e.offset)
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

// read adds the entries of an index file, their offsets moved by shift.
func (x *packIndex) read(name string, shift int64) (int, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	idx := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(bufio.NewReader(f)).Decode(idx); err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	entries, err := idx.Entries()
	if err != nil {
		return 0, err
	}
	defer entries.Close()
	before := len(x.entries)
	for {
		e, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return len(x.entries) - before, nil
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		x.add(e.Hash, uint64(int64(e.Offset)+shift), e.CRC32)
	}
}
