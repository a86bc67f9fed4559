//go:build amd64 && !purego

package pieces

import (
	"crypto/sha1" //nolint:gosec // BEP 3 fixes the hash
	"encoding"
	"encoding/binary"
	"hash"
	"math"
)

const (
	wide = 16 // 32-bit columns of a 512-bit register
	// So many lanes or fewer are hashed without the vectors, of which a step
	// takes as long for one lane as for sixteen, and as long as four streams
	// one after the other.
	fewInPairs = 4
	fewAlone   = 3
)

// wideKernel hashes sixteen streams side by side, word i of each in one vector
// register. Streams that have too few neighbours go through narrow.
type wideKernel struct {
	s      [len(state{})][wide]uint32 // word i of each lane
	data   [wide]*byte
	narrow func(s *[2]state, a, b []byte) // as couple
	few    int                            // most lanes it is the faster way for
}

func newWideKernel() kernel { return wideWith(couple, fewInPairs) }

func newWideKernelWithoutSHA() kernel { return wideWith(newBorrowed().couple, fewAlone) }

func wideWith(narrow func(*[2]state, []byte, []byte), few int) kernel {
	k := &wideKernel{narrow: narrow, few: few}
	for lane := range wide {
		k.set(lane, initial())
	}
	return k
}

func (k *wideKernel) lanes() int { return wide }

func (k *wideKernel) end(chunk []byte, length int64) []byte { return padded(chunk, length) }

func (k *wideKernel) write(chunks [][]byte) {
	var busy [wide]int
	n, shortest := 0, math.MaxInt
	for i, c := range chunks {
		if len(c) > 0 {
			busy[n] = i
			n++
			shortest = min(shortest, len(c))
		}
	}
	switch lanes := busy[:n]; {
	case n > k.few:
		k.together(chunks, lanes, shortest)
	case n > 0:
		k.inPairs(chunks, lanes, shortest)
	}
}

// together hashes n bytes of each of the lanes in one go.
func (k *wideKernel) together(chunks [][]byte, lanes []int, n int) {
	readable := &chunks[lanes[0]][0]
	for i := range k.data {
		k.data[i] = readable // for an idle lane anything that is long enough
	}
	var busy uint16
	for _, i := range lanes {
		busy |= 1 << i
		k.data[i] = &chunks[i][0]
		chunks[i] = chunks[i][n:]
	}
	blocks16(&k.s, &k.data, n/block, busy)
}

// inPairs hashes n bytes of each of the lanes, two at a time.
func (k *wideKernel) inPairs(chunks [][]byte, lanes []int, n int) {
	for ; len(lanes) > 1; lanes = lanes[2:] {
		a, b := lanes[0], lanes[1]
		s := [2]state{k.get(a), k.get(b)}
		k.narrow(&s, chunks[a][:n], chunks[b][:n])
		k.set(a, s[0])
		k.set(b, s[1])
		chunks[a], chunks[b] = chunks[a][n:], chunks[b][n:]
	}
	if len(lanes) > 0 {
		a := lanes[0]
		s := [2]state{k.get(a)}
		k.narrow(&s, chunks[a][:n], nil)
		k.set(a, s[0])
		chunks[a] = chunks[a][n:]
	}
}

func (k *wideKernel) get(lane int) (s state) {
	for i := range s {
		s[i] = k.s[i][lane]
	}
	return s
}

func (k *wideKernel) set(lane int, s state) {
	for i, w := range s {
		k.s[i][lane] = w
	}
}

func (k *wideKernel) sum(lane int, dst []byte) {
	for i := range k.s {
		binary.BigEndian.PutUint32(dst[4*i:], k.s[i][lane])
	}
	k.set(lane, initial())
}

// borrowed has the compression function of crypto/sha1, for processors with
// AVX-512 but without SHA instructions. Every hash of the standard library can
// give its state away and take it back.
type borrowed struct {
	h      hash.Hash
	frozen []byte
}

// The frozen state of crypto/sha1 begins with a magic number and the five words
// of the state, big-endian.
const frozenMagic = "sha\x01"

func newBorrowed() *borrowed {
	b := &borrowed{h: sha1.New()} //nolint:gosec // see above
	b.freeze()
	return b
}

func (b *borrowed) freeze() {
	frozen, err := b.h.(encoding.BinaryAppender).AppendBinary(b.frozen[:0])
	if err != nil || len(frozen) < len(frozenMagic)+HashSize || string(frozen[:len(frozenMagic)]) != frozenMagic {
		panic("pieces: crypto/sha1 does not give its state away as it used to")
	}
	b.frozen = frozen
}

// couple is couple for one stream after the other. What crypto/sha1 thinks of
// the streams' lengths is of no interest: their ends are padded already.
func (b *borrowed) couple(s *[2]state, first, second []byte) {
	for i, blocks := range [][]byte{first, second} {
		for j, w := range s[i] {
			binary.BigEndian.PutUint32(b.frozen[len(frozenMagic)+4*j:], w)
		}
		if err := b.h.(encoding.BinaryUnmarshaler).UnmarshalBinary(b.frozen); err != nil {
			panic("pieces: crypto/sha1 does not take its state back: " + err.Error())
		}
		b.h.Write(blocks)
		b.freeze()
		for j := range s[i] {
			s[i][j] = binary.BigEndian.Uint32(b.frozen[len(frozenMagic)+4*j:])
		}
	}
}
