package pieces

import (
	"bytes"
	"crypto/sha1"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// holed is a recorder that knows of holes.
type holed struct {
	*recorder
	holes [][2]int64
}

func (h holed) Hole(at int64) int64 {
	for _, hole := range h.holes {
		if hole[0] <= at && at < hole[1] {
			return hole[1]
		}
	}
	return at
}

// Pieces that are nothing but a hole have the hash of zeros without being read,
// wherever the holes begin and end; all others are read once.
func TestHolesAreNotRead(t *testing.T) {
	const piece, n = 20 << 10, 60
	data := randomBytes(n*piece+17, 3)
	holes := [][2]int64{{0, 3 * piece}, {5*piece - 1, 6 * piece}, {8 * piece, 10*piece - 1}, {20*piece + 7, 40*piece + 7}, {58*piece - 1, n*piece + 17}}
	for _, h := range holes {
		clear(data[h[0]:h[1]])
	}
	name := writeFile(t, data)
	var want []byte
	for p := range slices.Chunk(data, piece) {
		sum := sha1.Sum(p)
		want = append(want, sum[:]...)
	}
	for poolName, p := range pools() {
		t.Run(poolName, func(t *testing.T) {
			rec := &recorder{mu: new(sync.Mutex), seen: make([]byte, len(data)), enter: func() {}}
			f := fileAt(name, int64(len(data)), piece)
			f.Resume = &Resume{}
			f.Open = func() (Handle, error) {
				h, err := os.Open(name)
				rec.Handle = h
				return holed{rec, holes}, err
			}
			var counted atomic.Int64
			s := hashOne(t, p.Counting(&counted), f)
			if s.Err != nil || !bytes.Equal(s.Pieces, want) {
				t.Fatalf("other hashes, %v", s.Err)
			}
			if counted.Load() != int64(len(data)) {
				t.Errorf("%d bytes were told of, of %d", counted.Load(), len(data))
			}
			if from, to := f.Resume.missing(0, n+1); from != to {
				t.Errorf("pieces %d to %d are not kept", from, to)
			}
			for i := range n + 1 {
				from, to := int64(i)*piece, min(int64(i+1)*piece, int64(len(data)))
				reads := byte(1)
				if to-from == piece && (holed{rec, holes}).Hole(from) >= to {
					reads = 0
				}
				if slices.ContainsFunc(rec.seen[from:to], func(seen byte) bool { return seen != reads }) {
					t.Errorf("piece %d was not read %d times", i, reads)
				}
			}
		})
	}
}
