package gitsource

import (
	"bufio"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"hash/adler32"
	"hash/crc32"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
)

// packHeader and packTrailer are the bytes around a pack's objects.
const (
	packHeader  = 12
	packTrailer = 20
)

// packWriter writes a pack of whole objects, without deltas: piece hashes are
// noise, and looking for likeness in them costs minutes and finds nothing.
//
// How many objects will come need not be known. The header that says so is
// written last, and the checksum, which begins with it, is taken from the file
// then, in one go: that is what hashing on the way would cost, plus the copying
// out of the page cache.
type packWriter struct {
	file   *os.File
	out    *bufio.Writer
	offset uint64
	crc    uint32
	z      *zlib.Writer // made for the first object that is compressed
	head   [32]byte
	index  packIndex
	beat   func() // tells whoever watches that the pack is being summed up
	err    error
}

func newPackWriter(f *os.File) (*packWriter, error) {
	p := &packWriter{file: f, out: bufio.NewWriterSize(f, 1<<16), offset: packHeader, beat: func() {}}
	return p, p.back(packHeader)
}

// packMark is a place in a pack that writing can be taken back to.
type packMark struct {
	offset uint64
	count  int
}

func (p *packWriter) mark() packMark { return packMark{p.offset, p.index.n} }

// cut takes back everything written after the mark, errors among it, unless they
// lost something from before it.
func (p *packWriter) cut(m packMark) error {
	lost := p.out.Flush()
	at, err := p.file.Seek(0, io.SeekCurrent)
	if err == nil && at < int64(m.offset) {
		err = lost
	}
	if err != nil {
		p.err = err
		return err
	}
	p.out.Reset(p.file)
	p.index.cut(m.count)
	p.offset, p.err = m.offset, nil
	return p.back(int64(m.offset))
}

// back makes the file end at an offset.
func (p *packWriter) back(offset int64) error {
	if p.err = p.file.Truncate(offset); p.err == nil {
		_, p.err = p.file.Seek(offset, io.SeekStart)
	}
	return p.err
}

// Write passes bytes of the pack on, counting and checksumming them.
func (p *packWriter) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.out.Write(b)
	p.crc = crc32.Update(p.crc, crc32.IEEETable, b[:n])
	p.offset += uint64(n)
	p.err = err
	return n, err
}

// add appends one object under its id, unless it is there. Blobs are stored as
// they are; trees compress to about a half at the fastest level.
func (p *packWriter) add(id hash, t plumbing.ObjectType, data []byte) error {
	if p.err != nil || p.index.has(id) {
		return p.err
	}
	start := p.offset
	head := p.header(t, len(data))
	if t == plumbing.BlobObject {
		p.store(head, data)
	} else {
		_, _ = p.Write(head)
		p.compress(data)
	}
	if p.err == nil {
		p.index.add(id, start, p.crc)
	}
	return p.err
}

// header begins an object.
func (p *packWriter) header(t plumbing.ObjectType, length int) []byte {
	p.crc = 0
	size := uint64(length)
	b := byte(t)<<4 | byte(size&15)
	head := p.head[:0]
	for size >>= 4; size > 0; size >>= 7 {
		head = append(head, b|0x80)
		b = byte(size & 0x7f)
	}
	return append(head, b)
}

// addDelta appends an object as a delta of one that was added before.
func (p *packWriter) addDelta(id, base hash, delta []byte) error {
	if p.err != nil || p.index.has(id) {
		return p.err
	}
	start := p.offset
	head := p.header(plumbing.OFSDeltaObject, len(delta))
	back := start - p.index.find(base).offset
	at := len(p.head) - 1
	p.head[at] = byte(back & 0x7f)
	for back >>= 7; back > 0; back >>= 7 {
		back--
		at--
		p.head[at] = 0x80 | byte(back&0x7f)
	}
	_, _ = p.Write(append(head, p.head[at:]...))
	p.compress(delta)
	if p.err == nil {
		p.index.add(id, start, p.crc)
	}
	return p.err
}

// copy appends an object that lies between two offsets of another pack. It must be
// no delta, or its base would have to be at the same distance.
func (p *packWriter) copy(id hash, from io.ReaderAt, start, end int64) error {
	if p.err != nil || p.index.has(id) {
		return p.err
	}
	p.crc = 0
	at := p.offset
	if _, err := io.Copy(p, io.NewSectionReader(from, start, end-start)); p.err == nil {
		p.err = err
	}
	if p.err == nil {
		p.index.add(id, at, p.crc)
	}
	return p.err
}

// maxStored is how much one stored block of a zlib stream can hold, in bytes.
const maxStored = 1<<16 - 1

// store writes a zlib stream of blocks that are not compressed. A general
// compressor told to store spends more time on its own state than on the bytes.
func (p *packWriter) store(head, data []byte) {
	sum := adler32.Checksum(data)
	head = append(head, 0x78, 0x01)
	for last := false; !last; {
		n := min(len(data), maxStored)
		last = n == len(data)
		final := byte(0)
		if last {
			final = 1
		}
		head = append(head, final, byte(n), byte(n>>8), byte(^n), byte(^n>>8))
		_, _ = p.Write(head)
		_, _ = p.Write(data[:n])
		head, data = head[:0], data[n:]
	}
	_, _ = p.Write(binary.BigEndian.AppendUint32(head, sum))
}

func (p *packWriter) compress(data []byte) {
	if p.z == nil {
		p.z, _ = zlib.NewWriterLevel(nil, zlib.BestSpeed) // the level is valid
	}
	p.z.Reset(p)
	_, _ = p.z.Write(data)
	if err := p.z.Close(); p.err == nil {
		p.err = err
	}
}

// finish writes header and trailer and returns the pack's checksum.
func (p *packWriter) finish() (hash, error) {
	if p.err == nil {
		p.err = p.out.Flush()
	}
	if p.err != nil {
		return hash{}, p.err
	}
	return sealPack(p.file, int64(p.offset), p.index.n, p.beat)
}

// sealPack completes a file in which count objects end at size.
func sealPack(f *os.File, size int64, count int, beat func()) (sum hash, err error) {
	head := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(count))
	if _, err := f.WriteAt(head, 0); err != nil {
		return sum, err
	}
	h := sha1.New()
	if _, err := io.CopyBuffer(h, lively{io.NewSectionReader(f, 0, size), beat}, make([]byte, 1<<18)); err != nil {
		return sum, err
	}
	sum = hash(h.Sum(nil))
	_, err = f.WriteAt(sum[:], size)
	return sum, err
}
