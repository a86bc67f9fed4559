package dirat

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// Names are the names in one directory without "." and "..". One Names serves
// one directory after the other and reuses its memory; what At returned is
// valid until the next is read.
type Names struct {
	arena []byte // every name with a byte behind it: a slash for directories, or zero
	list  []entry
	buf   []byte // for system calls
}

// entry is one name.
type entry struct {
	key  uint64 // the first bytes that differ from name to name
	at   uint32 // in the arena
	size uint16
	kind kind
}

// kind is what the directory itself says of a name, without looking at it.
type kind uint8

const (
	unknown kind = iota // this file system does not say
	directory
	other
)

// Len returns how many names there are.
func (n *Names) Len() int { return len(n.list) }

// At returns the i-th name. It is not to be kept.
func (n *Names) At(i int) []byte {
	e := &n.list[i]
	return n.arena[e.at : e.at+uint32(e.size) : e.at+uint32(e.size)]
}

// IsDir reports whether the directory says that the i-th name is a directory.
func (n *Names) IsDir(i int) bool { return n.list[i].kind == directory }

// Has looks for the name of something that is no directory.
func (n *Names) Has(name string) bool {
	for i := range n.list {
		if e := &n.list[i]; int(e.size) == len(name) && e.kind != directory && string(n.At(i)) == name {
			return true
		}
	}
	return false
}

func (n *Names) reset() { n.arena, n.list = n.arena[:0], n.list[:0] }

func (n *Names) add(name []byte, k kind) error {
	if len(name) > math.MaxUint16 || int64(len(n.arena)+len(name)+1) > math.MaxUint32 {
		return errors.New("more names than fit in 4 GiB")
	}
	n.list = append(n.list, entry{at: uint32(len(n.arena)), size: uint16(len(name)), kind: k})
	n.arena = append(append(n.arena, name...), 0)
	return nil
}

// settle asks lstat for what the directory did not say, then sorts. A name
// that cannot be looked at is none of a directory that could be entered.
func (n *Names) settle(lstat func(i int, s *Stat) error) {
	for i := range n.list {
		if n.list[i].kind != unknown {
			continue
		}
		var s Stat
		n.list[i].kind = other
		if err := lstat(i, &s); err == nil && s.Mode.IsDir() {
			n.list[i].kind = directory
		}
	}
	n.sort()
}

// sort puts the names in the order that the paths below them have: a directory
// counts with its slash. Nearly all comparisons end at the keys, which are the
// eight bytes behind what all the names begin with.
func (n *Names) sort() {
	if len(n.list) < 2 {
		return
	}
	common := len(n.At(0))
	for i := range n.list {
		if e := &n.list[i]; e.kind == directory {
			n.arena[e.at+uint32(e.size)] = '/'
		}
		common = commonPrefix(n.At(0)[:common], n.At(i))
	}
	for i := range n.list {
		e := &n.list[i]
		var first [8]byte
		copy(first[:], n.arena[e.at+uint32(common):e.at+uint32(e.size)+1])
		e.key = binary.BigEndian.Uint64(first[:])
	}
	slices.SortFunc(n.list, func(a, b entry) int {
		if c := cmp.Compare(a.key, b.key); c != 0 {
			return c
		}
		return bytes.Compare(n.arena[a.at:a.at+uint32(a.size)+1], n.arena[b.at:b.at+uint32(b.size)+1])
	})
}

func commonPrefix(a, b []byte) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i
}
