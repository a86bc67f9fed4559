package gitsource

import (
	"bufio"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	gohash "hash"
	"hash/crc32"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// packWriter writes a pack of whole objects, without deltas: piece hashes are
// noise, and looking for likeness in them costs minutes and finds nothing.
type packWriter struct {
	out    *bufio.Writer
	sum    gohash.Hash // SHA-1 over the whole pack: its trailer and name
	crc    gohash.Hash32
	z      [2]*zlib.Writer
	offset uint64
	left   uint32
	index  packIndex
	err    error
}

// newPackWriter starts a pack that will hold exactly count objects.
func newPackWriter(w io.Writer, count int) *packWriter {
	p := &packWriter{out: bufio.NewWriterSize(w, 1<<16), sum: sha1.New(), crc: crc32.NewIEEE(), left: uint32(count)}
	// Blobs are stored as they are, trees compress to about a half at the fastest level.
	p.z[0], _ = zlib.NewWriterLevel(nil, zlib.NoCompression)
	p.z[1], _ = zlib.NewWriterLevel(nil, zlib.BestSpeed)
	head := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(count))
	_, _ = p.Write(head)
	return p
}

// Write passes bytes of the pack on, counting and hashing them.
func (p *packWriter) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.out.Write(b)
	p.sum.Write(b[:n])
	p.crc.Write(b[:n])
	p.offset += uint64(n)
	p.err = err
	return n, err
}

// add appends one object under its id. The same id must not come twice.
func (p *packWriter) add(id hash, t plumbing.ObjectType, data []byte) error {
	if p.left == 0 {
		return fmt.Errorf("pack: more objects than announced")
	}
	p.left--
	start := p.offset
	p.crc.Reset()
	size := uint64(len(data))
	b := byte(t)<<4 | byte(size&15)
	var head []byte
	for size >>= 4; size > 0; size >>= 7 {
		head = append(head, b|0x80)
		b = byte(size & 0x7f)
	}
	_, _ = p.Write(append(head, b))
	z := p.z[1]
	if t == plumbing.BlobObject {
		z = p.z[0]
	}
	z.Reset(p)
	_, _ = z.Write(data)
	if err := z.Close(); err != nil && p.err == nil {
		p.err = err
	}
	p.index.add(id, start, p.crc.Sum32())
	return p.err
}

// finish writes the trailer and returns the pack's checksum.
func (p *packWriter) finish() (hash, error) {
	if p.left != 0 && p.err == nil {
		p.err = fmt.Errorf("pack: %d objects fewer than announced", p.left)
	}
	sum := hash(p.sum.Sum(nil))
	_, _ = p.Write(sum[:])
	if p.err == nil {
		p.err = p.out.Flush()
	}
	return sum, p.err
}
