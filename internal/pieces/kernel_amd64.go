//go:build amd64 && !purego

package pieces

import (
	"encoding/binary"

	"golang.org/x/sys/cpu"
)

//go:generate go run -C avo . -out ../blocks_amd64.s -stubs ../blocks_amd64.go -pkg pieces

// vectorChoices looks at the processor and at what the operating system saves
// of its registers.
func vectorChoices() []choice {
	var all []choice
	shani := hasSHA()
	switch wide := cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW; {
	case wide && shani:
		all = append(all, choice{"avx512", newWideKernel})
	case wide:
		all = append(all, choice{"avx512", newWideKernelWithoutSHA})
	}
	if shani {
		all = append(all, choice{"shani", newPairKernel})
	}
	return all
}

func hasSHA() bool {
	const sha = 1 << 29
	return features7()&sha != 0 && cpu.X86.HasSSSE3 && cpu.X86.HasSSE41
}

// state is the five words of a stream between two blocks.
type state = [HashSize / 4]uint32

// initial is the state of an empty stream (FIPS 180-4, 5.3.1).
func initial() state {
	return state{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}
}

// couple hashes the whole blocks of a, and of b, which is as long or empty.
func couple(s *[2]state, a, b []byte) {
	if len(b) == 0 {
		blocks1(&s[0], &a[0], len(a)/block)
		return
	}
	blocks2(&s[0], &s[1], &a[0], &b[0], len(a)/block)
}

// pairKernel hashes two streams side by side with the SHA instructions.
type pairKernel struct{ s [2]state }

func newPairKernel() kernel { return &pairKernel{[2]state{initial(), initial()}} }

func (k *pairKernel) lanes() int { return len(k.s) }

func (k *pairKernel) end(chunk []byte, length int64) []byte { return padded(chunk, length) }

func (k *pairKernel) write(chunks [][]byte) {
	a, b := chunks[0], chunks[1]
	switch {
	case len(a) > 0 && len(b) > 0:
		n := min(len(a), len(b))
		couple(&k.s, a[:n], b[:n])
		chunks[0], chunks[1] = a[n:], b[n:]
	case len(a) > 0:
		blocks1(&k.s[0], &a[0], len(a)/block)
		chunks[0] = nil
	case len(b) > 0:
		blocks1(&k.s[1], &b[0], len(b)/block)
		chunks[1] = nil
	}
}

func (k *pairKernel) sum(lane int, dst []byte) {
	for i, w := range k.s[lane] {
		binary.BigEndian.PutUint32(dst[4*i:], w)
	}
	k.s[lane] = initial()
}
