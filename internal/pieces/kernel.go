package pieces

import (
	"crypto/sha1" //nolint:gosec // BEP 3 fixes the hash
	"hash"
)

// kernel runs several SHA-1 streams side by side. The scheduler feeds every
// lane with a piece of its own and never cares whose piece it is, so a kernel
// is free to interleave lanes in one register file.
type kernel interface {
	// lanes is the number of streams; it never changes.
	lanes() int
	// write appends chunks[i] to the stream of lane i; an empty chunk leaves
	// the lane as it is. Chunks are a multiple of 64 bytes long unless they end
	// their stream.
	write(chunks [][]byte)
	// sum stores the lane's digest in dst[:HashSize] and starts a new stream.
	sum(lane int, dst []byte)
}

// plainKernel is crypto/sha1: one stream, on hardware instructions where Go
// has them.
type plainKernel struct{ h hash.Hash }

func newPlainKernel() kernel { return &plainKernel{sha1.New()} } //nolint:gosec // see above

func (k *plainKernel) lanes() int { return 1 }

func (k *plainKernel) write(chunks [][]byte) { k.h.Write(chunks[0]) }

func (k *plainKernel) sum(_ int, dst []byte) {
	k.h.Sum(dst[:0])
	k.h.Reset()
}
