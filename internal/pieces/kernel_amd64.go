//go:build amd64 && !purego

package pieces

import (
	"crypto/sha1" //nolint:gosec // BEP 3 fixes the hash
	"encoding"
	"encoding/binary"
	"hash"
	"math"
	"math/bits"
	"strings"

	"golang.org/x/sys/cpu"
)

//go:generate go run -C avo . -out ../sha1x16_amd64.s -stubs ../sha1x16_amd64.go -pkg pieces

// vectorChoices looks at the processor and at what the operating system saves
// of its registers.
func vectorChoices() []choice {
	// A frozen state that looks unlike this one could not be handed to and fro.
	if !cpu.X86.HasAVX512F || !cpu.X86.HasAVX512BW || !strings.HasPrefix(string(freeze(sha1.New(), nil)), frozenStart) { //nolint:gosec // see above
		return nil
	}
	return []choice{{"avx512", newWideKernel}}
}

const (
	wide  = 16 // 32-bit columns of a 512-bit register
	block = sha1.BlockSize
	// fewLanes are hashed one after the other: a step of the vector kernel
	// takes as long for one lane as for sixteen.
	fewLanes = 2
)

// The frozen state of crypto/sha1: a magic number, the five words of the state,
// an unfinished block and the length, numbers big-endian.
const (
	frozenMagic = "sha\x01"
	frozenStart = frozenMagic + "\x67\x45\x23\x01"
	frozenBytes = len(frozenMagic) + HashSize + block + 8
)

// freeze appends the state of h, which every hash of the standard library can
// give away and take back.
func freeze(h hash.Hash, to []byte) []byte {
	b, err := h.(encoding.BinaryAppender).AppendBinary(to)
	if err != nil {
		panic("pieces: crypto/sha1 does not give its state away: " + err.Error())
	}
	return b
}

// wideKernel hashes sixteen streams side by side, word i of each in one vector
// register. Whole blocks go through the registers; the end of a stream, and
// streams that have too few neighbours, go through crypto/sha1.
type wideKernel struct {
	state  [5][wide]uint32 // word i of each lane
	start  [5]uint32       // the same of an empty stream
	length [wide]uint64    // bytes in state, whole blocks
	tail   [wide][]byte    // the bytes after them, once the stream has ended
	data   [wide]*byte
	h      hash.Hash
	frozen []byte // of h, to copy states through
}

func newWideKernel() kernel {
	k := &wideKernel{h: sha1.New()} //nolint:gosec // see above
	k.frozen = freeze(k.h, make([]byte, 0, frozenBytes))
	for i := range k.start {
		k.start[i] = binary.BigEndian.Uint32(k.word(i))
	}
	tails := make([]byte, wide*block)
	for lane := range wide {
		k.tail[lane] = tails[lane*block : lane*block : (lane+1)*block]
		k.reset(lane)
	}
	return k
}

func (k *wideKernel) lanes() int { return wide }

func (k *wideKernel) write(chunks [][]byte) {
	var busy uint16
	blocks := math.MaxInt
	for i, c := range chunks {
		if len(c) >= block {
			busy |= 1 << i
			blocks = min(blocks, len(c)/block)
		}
	}
	if bits.OnesCount16(busy) > fewLanes {
		k.together(chunks, busy, blocks)
	} else {
		k.oneByOne(chunks)
	}
	for i, c := range chunks {
		if len(c) < block && len(c) > 0 {
			k.tail[i] = append(k.tail[i], c...)
			chunks[i] = nil
		}
	}
}

// together hashes so many blocks of each busy lane.
func (k *wideKernel) together(chunks [][]byte, busy uint16, blocks int) {
	readable := &chunks[bits.TrailingZeros16(busy)][0]
	for i, c := range chunks {
		k.data[i] = readable // for an idle lane anything that is long enough
		if busy&(1<<i) != 0 {
			k.data[i] = &c[0]
			k.length[i] += uint64(blocks * block)
			chunks[i] = c[blocks*block:]
		}
	}
	blocks16(&k.state, &k.data, blocks, busy)
}

// oneByOne hashes all whole blocks of each lane.
func (k *wideKernel) oneByOne(chunks [][]byte) {
	for i, c := range chunks {
		n := len(c) / block * block
		if n == 0 {
			continue
		}
		k.thaw(i)
		k.h.Write(c[:n])
		k.frozen = freeze(k.h, k.frozen[:0])
		for j := range k.state {
			k.state[j][i] = binary.BigEndian.Uint32(k.word(j))
		}
		k.length[i] += uint64(n)
		chunks[i] = c[n:]
	}
}

func (k *wideKernel) sum(lane int, dst []byte) {
	k.thaw(lane)
	k.h.Write(k.tail[lane])
	k.h.Sum(dst[:0])
	k.reset(lane)
}

// thaw makes h the stream of a lane, without its tail.
func (k *wideKernel) thaw(lane int) {
	for i := range k.state {
		binary.BigEndian.PutUint32(k.word(i), k.state[i][lane])
	}
	binary.BigEndian.PutUint64(k.frozen[frozenBytes-8:], k.length[lane])
	if err := k.h.(encoding.BinaryUnmarshaler).UnmarshalBinary(k.frozen); err != nil {
		panic("pieces: crypto/sha1 does not take its state back: " + err.Error())
	}
}

// word is where word i of the state stands in frozen.
func (k *wideKernel) word(i int) []byte { return k.frozen[len(frozenMagic)+4*i:] }

func (k *wideKernel) reset(lane int) {
	for i, w := range k.start {
		k.state[i][lane] = w
	}
	k.length[lane] = 0
	k.tail[lane] = k.tail[lane][:0]
}
