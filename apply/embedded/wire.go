package embedded

import (
	"encoding/binary"
	"errors"
	"time"
)

var errShort = errors.New("record ends early")

// packer writes the fields of a session record: integers as varints, strings
// with their length in front.
type packer []byte

func (p *packer) byte(b byte)     { *p = append(*p, b) }
func (p *packer) fixed(b []byte)  { *p = append(*p, b...) }
func (p *packer) uint(n uint64)   { *p = binary.AppendUvarint(*p, n) }
func (p *packer) int(n int64)     { *p = binary.AppendVarint(*p, n) }
func (p *packer) string(s string) { p.uint(uint64(len(s))); *p = append(*p, s...) }
func (p *packer) stamp(s stamp) {
	p.int(s.size)
	p.int(s.mtime.Unix())
	p.uint(uint64(s.mtime.Nanosecond()))
}

func (p *packer) list(l []string) {
	p.uint(uint64(len(l)))
	for _, s := range l {
		p.string(s)
	}
}

// unpacker reads them back; the first error sticks.
type unpacker struct {
	b   []byte
	err error
}

func (u *unpacker) fixed(n int) []byte {
	if u.err != nil || n < 0 || n > len(u.b) {
		u.err = errShort
		return nil
	}
	out := u.b[:n]
	u.b = u.b[n:]
	return out
}

func (u *unpacker) byte() byte {
	if b := u.fixed(1); b != nil {
		return b[0]
	}
	return 0
}

func (u *unpacker) uint() uint64 {
	v, n := binary.Uvarint(u.b)
	if u.err != nil || n <= 0 {
		u.err = errShort
		return 0
	}
	u.b = u.b[n:]
	return v
}

func (u *unpacker) int() int64 {
	v, n := binary.Varint(u.b)
	if u.err != nil || n <= 0 {
		u.err = errShort
		return 0
	}
	u.b = u.b[n:]
	return v
}

func (u *unpacker) string() string { return string(u.fixed(int(min(u.uint(), 1<<31)))) }

func (u *unpacker) stamp() stamp {
	size, sec, nsec := u.int(), u.int(), u.uint()
	return stamp{size, time.Unix(sec, int64(nsec%1e9))}
}

func (u *unpacker) list() []string {
	n := u.uint()
	var out []string
	for i := uint64(0); i < n && u.err == nil; i++ {
		out = append(out, u.string())
	}
	return out
}
