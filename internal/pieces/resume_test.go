package pieces

import (
	"bytes"
	"context"
	"errors"
	"math/bits"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// recorder is a file that writes down which bytes were read from it, and calls
// back at each read.
type recorder struct {
	Handle
	mu    *sync.Mutex
	seen  []byte // how often each byte was read
	enter func()
}

func (r *recorder) ReadAt(p []byte, at int64) (int, error) {
	r.enter()
	n, err := r.Handle.ReadAt(p, at)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range n {
		r.seen[at+int64(i)]++
	}
	return n, err
}

// Cut off again and again, a file is hashed in the end, and nothing that was
// ever hashed is read a second time.
func TestResume(t *testing.T) {
	const piece = 20 << 10
	data := randomBytes(99*piece+17, 11)
	name := writeFile(t, data)
	for poolName, p := range pools() {
		t.Run(poolName, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 5))
			f := fileAt(name, int64(len(data)), piece)
			f.Resume = &Resume{}
			for round := 0; ; round++ {
				before := slices.Clone(f.Resume.Done)
				ctx, cancel := context.WithCancel(t.Context())
				var reads atomic.Int64
				stopAt := int64(20 + rng.IntN(60))
				rec := &recorder{mu: new(sync.Mutex), seen: make([]byte, len(data)), enter: func() {
					if reads.Add(1) == stopAt {
						cancel()
					}
				}}
				f.Open = func() (Handle, error) {
					h, err := os.Open(name)
					rec.Handle = h
					return rec, err
				}
				var got Sum
				err := p.Hash(ctx, slices.Values([]*File{f}), func(_ *File, s Sum) { got = s })
				cancel()
				for at := 0; at < len(data); at += piece {
					i := at / piece
					if round > 0 && before[i/8]&(0x80>>(i%8)) != 0 && rec.seen[at] > 0 {
						t.Fatalf("round %d read piece %d, which was done", round, i)
					}
				}
				if f.Resume.Info == nil || f.Resume.Info.Size() != int64(len(data)) {
					t.Fatalf("round %d left no stat of the file", round)
				}
				checkMarked(t, f.Resume, naive(data, piece))
				if err == nil {
					if got.Err != nil || !bytes.Equal(got.Pieces, naive(data, piece)) {
						t.Fatalf("after %d interruptions: wrong hashes, error %v", round, got.Err)
					}
					if round == 0 {
						t.Fatal("it was not interrupted")
					}
					return
				}
				if round > 50 {
					t.Fatal("it gets no further")
				}
			}
		})
	}
}

// checkMarked wants every marked piece to have its right hash.
func checkMarked(t *testing.T, r *Resume, want []byte) {
	t.Helper()
	for i := range len(want) / HashSize {
		at := i * HashSize
		if r.Done[i/8]&(0x80>>(i%8)) != 0 && !bytes.Equal(r.Sums[at:at+HashSize], want[at:at+HashSize]) {
			t.Fatalf("piece %d is marked and wrong", i)
		}
	}
}

// Exactly the missing pieces are read, byte by byte.
func TestResumeReadsOnlyWhatIsMissing(t *testing.T) {
	const piece = 1000
	data := randomBytes(50*piece+1, 12)
	want := naive(data, piece)
	name := writeFile(t, data)
	for poolName, p := range pools() {
		t.Run(poolName, func(t *testing.T) {
			var counted atomic.Int64
			missing := []int{0, 7, 8, 9, 31, 50}
			r := &Resume{Sums: slices.Clone(want), Done: bytes.Repeat([]byte{0xff}, 7)}
			for _, i := range missing {
				r.Done[i/8] &^= 0x80 >> (i % 8)
				clear(r.Sums[i*HashSize : (i+1)*HashSize])
			}
			f := fileAt(name, int64(len(data)), piece)
			f.Resume = r
			s := hashOne(t, p.Counting(&counted), f)
			if s.Err != nil || !bytes.Equal(s.Pieces, want) {
				t.Fatalf("wrong hashes, error %v", s.Err)
			}
			if want := int64(5*piece + 1); counted.Load() != want {
				t.Fatalf("%d bytes were read, want %d", counted.Load(), want)
			}
			// All is known now: a third call reads nothing.
			counted.Store(0)
			if s := hashOne(t, p.Counting(&counted), f); s.Err != nil || !bytes.Equal(s.Pieces, want) || counted.Load() != 0 {
				t.Fatalf("%d bytes were read of a file that was done, error %v", counted.Load(), s.Err)
			}
		})
	}
}

// What was hashed of a file that changed meanwhile is worth nothing.
func TestResumeOfAChangedFile(t *testing.T) {
	data := randomBytes(8*chunkBytes, 13)
	name := writeFile(t, data)
	p := New(1)
	p.newKernel = func() kernel {
		return &pausing{kernel: newPlainKernel(), at: 4, do: func() {
			if err := os.Truncate(name, 5*chunkBytes); err != nil {
				t.Error(err)
			}
		}}
	}
	f := fileAt(name, int64(len(data)), chunkBytes)
	f.Resume = &Resume{}
	s := hashOne(t, p, f)
	if !errors.Is(s.Err, ErrChanged) || slices.ContainsFunc(f.Resume.Done, func(b byte) bool { return bits.OnesCount8(b) > 0 }) {
		t.Fatalf("error %v, pieces still marked %08b", s.Err, f.Resume.Done)
	}
}

func TestResumeOfAnotherSize(t *testing.T) {
	f := fileAt(writeFile(t, []byte("abcd")), 4, 2)
	for _, r := range []*Resume{
		{Sums: make([]byte, 3*HashSize), Done: make([]byte, 1)},
		{Sums: make([]byte, 2*HashSize), Done: make([]byte, 2)},
		{Done: make([]byte, 1)},
	} {
		f.Resume = r
		if s := hashOne(t, New(1), f); s.Err == nil || !strings.HasPrefix(s.Err.Error(), f.Name+": cannot go on with 2 pieces") {
			t.Errorf("%d bytes of hashes, %d of marks: error %v", len(r.Sums), len(r.Done), s.Err)
		}
	}
}
