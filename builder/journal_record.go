package builder

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"io/fs"

	"seedtree/internal/dirat"
	"seedtree/internal/pieces"
	"seedtree/manifests"
)

// stamp is all a file system tells about a file that changes when the file
// does. Programs can set the modification time back, the change time nobody.
type stamp struct {
	size              int64
	modified, changed int64 // ns
	device, inode     uint64
}

func stampOf(info fs.FileInfo) stamp {
	c := candidate{stat: dirat.StatOf(info)}
	return c.stamp()
}

func (c *candidate) stamp() stamp {
	s := &c.stat
	return stamp{s.Size, s.Modified, s.Changed, s.Device, s.Inode}
}

// record says what was read of one file.
type record struct {
	key   manifests.Key
	stamp stamp
	sums  []byte // 20 bytes for every piece
	done  []byte // which of them were read, as pieces.Resume has it; nil: all
}

// A record in the file is a mark, the length and the CRC-32C of what follows,
// and that. The mark is what a reader looks for behind a damaged record.
const (
	recordMark = "\xf5rec"
	recordHead = len(recordMark) + 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (r record) append(b []byte) []byte {
	begin := len(b)
	b = append(b, recordMark+"\x00\x00\x00\x00\x00\x00\x00\x00"...)
	text := func(s []byte) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	text([]byte(r.key.Tree))
	text([]byte(r.key.Path))
	for _, n := range []int64{
		r.stamp.size, r.stamp.modified, r.stamp.changed, int64(r.stamp.device), int64(r.stamp.inode),
	} {
		b = binary.AppendVarint(b, n)
	}
	text(r.sums)
	text(r.done)
	head, body := b[begin+len(recordMark):], b[begin+recordHead:]
	binary.LittleEndian.PutUint32(head, uint32(len(body)))
	binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(body, castagnoli))
	return b
}

// readRecord reads the record that begins where r is, and says how long it is.
func readRecord(r io.Reader) (n int64, rec record, ok bool) {
	var head [recordHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[:len(recordMark)]) != recordMark {
		return 0, rec, false
	}
	length := int64(binary.LittleEndian.Uint32(head[len(recordMark):]))
	// Not allocated ahead: a damaged length says anything.
	body, err := io.ReadAll(io.LimitReader(r, length))
	if err != nil || int64(len(body)) != length || crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(head[len(head)-4:]) {
		return 0, rec, false
	}
	rec, ok = parseRecord(body)
	return int64(recordHead) + length, rec, ok
}

func parseRecord(b []byte) (r record, ok bool) {
	ok = true
	text := func() []byte {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			ok, b = false, nil
			return nil
		}
		s := b[used : used+int(n)]
		b = b[used+int(n):]
		return s
	}
	number := func() int64 {
		n, used := binary.Varint(b)
		ok = ok && used > 0
		b = b[max(used, 0):]
		return n
	}
	r.key.Tree = string(text())
	path, err := manifests.ParsePath(string(text()))
	r.key.Path = path
	r.stamp = stamp{size: number(), modified: number(), changed: number(), device: uint64(number()), inode: uint64(number())}
	r.sums = text()
	if done := text(); len(done) > 0 {
		r.done = done
	}
	return r, ok && err == nil && r.fits()
}

// fits reports whether there is a sum for every piece that such a file is cut
// into today.
func (r record) fits() bool {
	if r.stamp.size < 1 || r.stamp.size > manifests.MaxLength {
		return false
	}
	piece := manifests.PieceLength(r.stamp.size)
	n := (r.stamp.size + piece - 1) / piece
	return int64(len(r.sums)) == n*pieces.HashSize && (r.done == nil || int64(len(r.done)) == (n+7)/8)
}
