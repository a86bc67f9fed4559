package pieces

import (
	"crypto/sha1" //nolint:gosec // BEP 3 fixes the hash
	"encoding/binary"
	"fmt"
	"hash"
	"strings"
)

// Variable names the environment variable that chooses a kernel; empty or not
// set means the fastest.
const Variable = "SEEDTREE_SHA1"

// kernel runs several SHA-1 streams side by side. The scheduler feeds every
// lane with a piece of its own and never cares whose piece it is, so a kernel
// is free to interleave lanes in one register file.
type kernel interface {
	// lanes is the number of streams; it never changes.
	lanes() int
	// end returns the last chunk of a stream of so many bytes, which may be
	// empty, as write wants it: it may grow by up to endBytes, in place.
	end(chunk []byte, length int64) []byte
	// write appends bytes from the front of chunks[i] to the stream of lane i
	// and cuts them off; an empty chunk leaves the lane as it is. It may stop
	// as soon as one chunk is used up, so that the lane can be filled again.
	// Chunks are a multiple of 64 bytes long, but for what end returns.
	write(chunks [][]byte)
	// sum stores the lane's digest in dst[:HashSize] and starts a new stream.
	sum(lane int, dst []byte)
}

const (
	block = sha1.BlockSize
	// endBytes is the most that ends a stream: a one, zeros to the end of the
	// block after the next eight bytes, and the length.
	endBytes = block + 8
)

// padded ends a stream of so many bytes the way FIPS 180-4 ends a message.
func padded(chunk []byte, length int64) []byte {
	n := len(chunk)
	end := (n + 8 + block) / block * block
	chunk = chunk[:end]
	clear(chunk[n:])
	chunk[n] = 0x80
	binary.BigEndian.PutUint64(chunk[end-8:], uint64(length)<<3)
	return chunk
}

// choice is one way to hash.
type choice struct {
	name string
	make func() kernel
}

// choices lists what this machine can do, the fastest first. The last one runs
// everywhere.
func choices() []choice {
	return append(vectorChoices(), choice{"plain", newPlainKernel})
}

// CheckVariable says what is wrong with a value of Variable.
func CheckVariable(value string) error {
	var names []string
	for _, c := range choices() {
		if value == "" || value == c.name {
			return nil
		}
		names = append(names, c.name)
	}
	return fmt.Errorf("%s=%s: this machine and this program have %s", Variable, value, strings.Join(names, ", "))
}

// choose returns the kernel of that name, the fastest without one. A name that
// means nothing here gets the plain kernel, which is never wrong.
func choose(name string) func() kernel {
	all := choices()
	if name == "" {
		return all[0].make
	}
	for _, c := range all {
		if c.name == name {
			return c.make
		}
	}
	return newPlainKernel
}

// plainKernel is crypto/sha1: one stream, on hardware instructions where Go
// has them.
type plainKernel struct{ h hash.Hash }

func newPlainKernel() kernel { return &plainKernel{sha1.New()} } //nolint:gosec // see above

func (k *plainKernel) lanes() int { return 1 }

func (k *plainKernel) end(chunk []byte, _ int64) []byte { return chunk }

func (k *plainKernel) write(chunks [][]byte) {
	k.h.Write(chunks[0])
	chunks[0] = nil
}

func (k *plainKernel) sum(_ int, dst []byte) {
	k.h.Sum(dst[:0])
	k.h.Reset()
}
