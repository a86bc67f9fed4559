package pieces

import (
	"crypto/sha1" //nolint:gosec // BEP 3 fixes the hash
	"sync"
)

// zeroSums are the hashes of pieces of zeros, by their length. Each is worked
// out once in a call; there are only a handful of lengths.
type zeroSums struct {
	mu   sync.Mutex
	sums map[int64][HashSize]byte
}

func (z *zeroSums) sum(length int64) [HashSize]byte {
	z.mu.Lock()
	defer z.mu.Unlock()
	if s, ok := z.sums[length]; ok {
		return s
	}
	h := sha1.New() //nolint:gosec // see above
	zeros := make([]byte, chunkBytes)
	for left := length; left > 0; left -= chunkBytes {
		h.Write(zeros[:min(left, chunkBytes)])
	}
	var s [HashSize]byte
	h.Sum(s[:0])
	if z.sums == nil {
		z.sums = map[int64][HashSize]byte{}
	}
	z.sums[length] = s
	return s
}
