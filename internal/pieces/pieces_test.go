package pieces

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lanesKernel has many lanes and holds the scheduler to the kernel's contract.
type lanesKernel struct {
	hashes []hash.Hash
	ended  []bool // got a chunk that ends the stream
}

func newLanesKernel(n int) kernel {
	k := &lanesKernel{ended: make([]bool, n)}
	for range n {
		k.hashes = append(k.hashes, sha1.New())
	}
	return k
}

func (k *lanesKernel) lanes() int { return len(k.hashes) }

func (k *lanesKernel) end(chunk []byte, _ int64) []byte { return chunk }

// write takes whole blocks from all lanes until one has used up its chunk.
func (k *lanesKernel) write(chunks [][]byte) {
	shortest := math.MaxInt
	for _, c := range chunks {
		if len(c) > 0 {
			shortest = min(shortest, len(c))
		}
	}
	for i, c := range chunks {
		if len(c) > 0 && k.ended[i] {
			panic("a chunk after one that was not a multiple of 64 bytes")
		}
		n := len(c)
		if n > shortest {
			n = shortest / 64 * 64
		}
		k.hashes[i].Write(c[:n])
		k.ended[i] = k.ended[i] || n%64 != 0
		chunks[i] = c[n:]
	}
}

func (k *lanesKernel) sum(lane int, dst []byte) {
	k.hashes[lane].Sum(dst[:0])
	k.hashes[lane].Reset()
	k.ended[lane] = false
}

// pools returns every kind of pool the tests go through.
func pools() map[string]*Pool {
	out := map[string]*Pool{}
	for _, c := range append(choices(), hiddenChoices()...) {
		for _, workers := range []int{1, 3} {
			p := New(workers)
			p.newKernel = c.make
			out[fmt.Sprintf("%s-%d", c.name, workers)] = p
		}
	}
	for _, lanes := range []int{2, 16} {
		p := New(2)
		p.newKernel = func() kernel { return newLanesKernel(lanes) }
		out[fmt.Sprintf("lanes-%d", lanes)] = p
	}
	return out
}

// naive is the textbook: one piece after the other.
func naive(data []byte, pieceLength int64) []byte {
	var out []byte
	for piece := range slices.Chunk(data, int(pieceLength)) {
		sum := sha1.Sum(piece)
		out = append(out, sum[:]...)
	}
	return out
}

func randomBytes(n int, seed uint64) []byte {
	b := make([]byte, n)
	chacha := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(n)})
	_, _ = chacha.Read(b)
	return b
}

func writeFile(t testing.TB, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func fileAt(name string, length, pieceLength int64) *File {
	return &File{
		Name: name, Length: length, PieceLength: pieceLength,
		Open: func() (Handle, error) { return os.Open(name) },
	}
}

func hashOne(t testing.TB, p *Pool, f *File) Sum {
	t.Helper()
	var got []Sum
	err := p.Hash(t.Context(), slices.Values([]*File{f}), func(_ *File, s Sum) { got = append(got, s) })
	if err != nil || len(got) != 1 {
		t.Fatalf("Hash: %d outcomes, error %v", len(got), err)
	}
	return got[0]
}

// Every length up to a few pieces, so every tail there is, in one call.
func TestEveryTail(t *testing.T) {
	const piece, longest = 256, 4*256 + 3
	data := randomBytes(longest, 1)
	dir := t.TempDir()
	var files []*File
	for n := range longest {
		name := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(name, data[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, fileAt(name, int64(n), piece))
	}
	for name, p := range pools() {
		t.Run(name, func(t *testing.T) {
			seen := map[*File]bool{}
			err := p.Hash(t.Context(), slices.Values(files), func(f *File, s Sum) {
				if seen[f] {
					t.Errorf("%s: handed out twice", f.Name)
				}
				seen[f] = true
				if s.Err != nil {
					t.Error(s.Err)
				} else if !bytes.Equal(s.Pieces, naive(data[:f.Length], piece)) {
					t.Errorf("wrong hashes for %d bytes", f.Length)
				}
			})
			if err != nil || len(seen) != len(files) {
				t.Fatalf("%d of %d files, error %v", len(seen), len(files), err)
			}
		})
	}
}

// Lengths around the edges of blocks, chunks, pieces and units.
func TestEdges(t *testing.T) {
	const piece = 256 << 10
	data := randomBytes(2*piece+chunkBytes+200, 2)
	var lengths []int
	for _, edge := range []int{chunkBytes, piece - chunkBytes, piece, piece + chunkBytes, 2 * piece, 2*piece + chunkBytes} {
		for _, d := range []int{-65, -64, -63, -1, 0, 1, 63, 64, 65} {
			lengths = append(lengths, edge+d)
		}
	}
	for name, p := range pools() {
		t.Run(name, func(t *testing.T) {
			for _, n := range lengths {
				s := hashOne(t, p, fileAt(writeFile(t, data[:n]), int64(n), piece))
				if s.Err != nil || !bytes.Equal(s.Pieces, naive(data[:n], piece)) {
					t.Fatalf("%d bytes: wrong hashes, error %v", n, s.Err)
				}
				if s.Info.Size() != int64(n) {
					t.Fatalf("info says %d bytes, want %d", s.Info.Size(), n)
				}
			}
		})
	}
}

// One large file and many small ones together: nothing may leak from one
// piece into another.
func TestMixture(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	dir := t.TempDir()
	want := map[string][]byte{}
	var files []*File
	for i := range 300 {
		n := rng.IntN(5000)
		if i%100 == 50 {
			n = 9<<20 + rng.IntN(1<<20)
		}
		piece := int64(1) << (9 + rng.IntN(9))
		data := randomBytes(n, uint64(i))
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		want[name] = naive(data, piece)
		files = append(files, fileAt(name, int64(n), piece))
	}
	for name, p := range pools() {
		t.Run(name, func(t *testing.T) {
			var counted atomic.Int64
			var total int64
			for _, f := range files {
				total += f.Length
			}
			err := p.Counting(&counted).Hash(t.Context(), slices.Values(files), func(f *File, s Sum) {
				if s.Err != nil || !bytes.Equal(s.Pieces, want[f.Name]) {
					t.Errorf("%s: wrong hashes, error %v", f.Name, s.Err)
				}
			})
			if err != nil || counted.Load() != total {
				t.Fatalf("counted %d of %d bytes, error %v", counted.Load(), total, err)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	const piece = 1000
	data := randomBytes(10*piece+1, 3)
	want := naive(data, piece)
	wrong := slices.Clone(data)
	wrong[2*piece] ^= 1
	wrong[10*piece] ^= 1
	bits := func(n ...int) []byte {
		b := make([]byte, 2)
		for _, i := range n {
			b[i/8] |= 0x80 >> (i % 8)
		}
		return b
	}
	for _, c := range []struct {
		name string
		disk []byte
		have []byte
		ok   bool
	}{
		{"whole", data, bits(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), true},
		{"two pieces rotten", wrong, bits(0, 1, 3, 4, 5, 6, 7, 8, 9), false},
		{"last byte missing", data[:10*piece], bits(0, 1, 2, 3, 4, 5, 6, 7, 8, 9), false},
		{"cut within a piece", data[:3*piece+7], bits(0, 1, 2), false},
		{"empty", nil, bits(), false},
		{"too long", append(slices.Clone(data), 0), bits(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), false},
	} {
		for name, p := range pools() {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				f := fileAt(writeFile(t, c.disk), int64(len(data)), piece)
				have, ok, err := p.Check(t.Context(), f, want)
				if err != nil || ok != c.ok || !bytes.Equal(have, c.have) {
					t.Fatalf("Check = %08b, %v, %v; want %08b, %v", have, ok, err, c.have, c.ok)
				}
			})
		}
	}
}

func TestCheckRefusesWrongHashCount(t *testing.T) {
	f := fileAt(writeFile(t, []byte("abc")), 3, 2)
	if _, ok, err := New(1).Check(t.Context(), f, make([]byte, 3*HashSize)); ok || err == nil {
		t.Fatalf("Check with too many hashes: ok %v, error %v", ok, err)
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	name := writeFile(t, []byte("abc"))
	open := func() (Handle, error) { return os.Open(dir) }
	for _, c := range []struct {
		name string
		f    *File
		want error
	}{
		{"absent", fileAt(filepath.Join(dir, "no"), 3, 2), os.ErrNotExist},
		{"shorter than said", fileAt(name, 4, 2), ErrChanged},
		{"longer than said", fileAt(name, 2, 2), ErrChanged},
		{"negative length", fileAt(name, -1, 2), nil},
		{"no piece length", fileAt(name, 3, 0), nil},
		{"too many pieces", fileAt(name, MaxPieces+1, 1), nil},
		{"longest length", fileAt(name, 1<<63-1, 16<<20), nil},
		{"read error", &File{Name: "tree/f", Open: func() (Handle, error) { return os.OpenFile(name, os.O_WRONLY, 0) }, Length: 3, PieceLength: 2}, syscall.EBADF},
		{"directory", &File{Name: "dir", Open: open, Length: 3, PieceLength: 2}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := hashOne(t, New(2), c.f)
			if s.Err == nil || s.Pieces != nil || s.Info != nil {
				t.Fatalf("got %+v, want an error and nothing else", s)
			}
			if c.f.Name == "tree/f" && !strings.HasPrefix(s.Err.Error(), "tree/f: reading at byte ") {
				t.Errorf("the error does not say what failed on what: %v", s.Err)
			}
			if c.want != nil && !errors.Is(s.Err, c.want) {
				t.Fatalf("got %v, want %v", s.Err, c.want)
			}
		})
	}
}

// After cancelling in the middle of a file that would take hours, the call
// ends, no outcome is made up, and every file is closed.
func TestCancel(t *testing.T) {
	name := writeFile(t, nil)
	const length = 1 << 40
	if err := os.Truncate(name, length); err != nil {
		t.Fatal(err)
	}
	var open []*os.File
	f := fileAt(name, length, 16<<20)
	f.Open = func() (Handle, error) {
		h, err := os.Open(name)
		open = append(open, h)
		return h, err
	}
	stop := errors.New("enough")
	for name, p := range pools() {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			var n atomic.Int64
			go func() {
				for n.Load() < 1<<20 && t.Context().Err() == nil {
				}
				cancel(stop)
			}()
			err := p.Counting(&n).Hash(ctx, slices.Values([]*File{f}), func(_ *File, s Sum) {
				t.Errorf("unfinished file handed out: %v", s.Err)
			})
			if !errors.Is(err, stop) {
				t.Fatalf("Hash returned %v", err)
			}
			for _, h := range open {
				if err := h.Close(); !errors.Is(err, os.ErrClosed) {
					t.Errorf("a file was left open: %v", err)
				}
			}
		})
	}
}
