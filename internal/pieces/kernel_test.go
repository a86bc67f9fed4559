package pieces

import (
	"crypto/sha1"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// feeding is one stream on its way through a lane.
type feeding struct {
	data  []byte
	given int // bytes of data handed out as chunks
	ended bool
	id    int
}

// chunk hands out the next so many bytes, at an address as odd as can be.
func (f *feeding) chunk(k kernel, n int, rng *rand.Rand) []byte {
	n = min(n, len(f.data)-f.given)
	off := rng.IntN(65)
	buf := make([]byte, off+n, off+n+endBytes)[off:]
	copy(buf, f.data[f.given:])
	if f.given += n; f.given == len(f.data) {
		f.ended = true
		// Whatever stands behind the chunk is not part of it.
		for i, rest := 0, buf[n:cap(buf)]; i < len(rest); i++ {
			rest[i] = 0xa5
		}
		return k.end(buf, int64(len(f.data)))
	}
	return buf
}

// juggle runs streams through a kernel the way a scheduler at its worst could:
// lanes taken at random, left idle at random, fed with chunks of any number of
// blocks. It says whether every digest is right and every chunk is used up.
func juggle(k kernel, streams [][]byte, rng *rand.Rand) error {
	lanes := make([]*feeding, k.lanes())
	chunks := make([][]byte, k.lanes())
	for next, done := 0, 0; done < len(streams); {
		for i := range lanes {
			if lanes[i] == nil && next < len(streams) && rng.IntN(3) > 0 {
				lanes[i] = &feeding{data: streams[next], id: next}
				next++
			}
			if l := lanes[i]; l != nil && len(chunks[i]) == 0 && !l.ended && rng.IntN(4) > 0 {
				chunks[i] = l.chunk(k, 64*(1+rng.IntN(9)), rng)
			}
		}
		waiting := 0
		for _, c := range chunks {
			waiting += len(c)
		}
		k.write(chunks)
		for _, c := range chunks {
			waiting -= len(c)
		}
		if waiting == 0 && slices.ContainsFunc(chunks, func(c []byte) bool { return len(c) > 0 }) {
			return fmt.Errorf("write took nothing of what it was given")
		}
		for i, l := range lanes {
			if l == nil || !l.ended || len(chunks[i]) > 0 {
				continue
			}
			var got [HashSize]byte
			k.sum(i, got[:])
			if got != sha1.Sum(l.data) {
				return fmt.Errorf("lane %d: wrong digest for stream %d of %d bytes", i, l.id, len(l.data))
			}
			lanes[i] = nil
			done++
		}
	}
	return nil
}

// writeAll writes until every chunk is used up.
func writeAll(k kernel, chunks [][]byte) {
	for slices.ContainsFunc(chunks, func(c []byte) bool { return len(c) > 0 }) {
		k.write(chunks)
	}
}

func onEachKernel(t *testing.T, test func(*testing.T, func() kernel)) {
	t.Helper()
	for _, c := range append(choices(), hiddenChoices()...) {
		t.Run(c.name, func(t *testing.T) { test(t, c.make) })
	}
}

// Every tail up to three blocks and more, alone and in any company.
func TestKernelTails(t *testing.T) {
	data := randomBytes(201, 5)
	onEachKernel(t, func(t *testing.T, newKernel func() kernel) {
		k := newKernel()
		var streams [][]byte
		for n := range len(data) {
			streams = append(streams, data[:n])
			if err := juggle(k, [][]byte{data[:n]}, rand.New(rand.NewPCG(1, uint64(n)))); err != nil {
				t.Fatal(err)
			}
		}
		for seed := range uint64(20) {
			if err := juggle(k, streams, rand.New(rand.NewPCG(2, seed))); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestKernelRaggedStreams(t *testing.T) {
	data := randomBytes(1<<16, 6)
	onEachKernel(t, func(t *testing.T, newKernel func() kernel) {
		k := newKernel()
		for seed := range uint64(300) {
			rng := rand.New(rand.NewPCG(3, seed))
			var streams [][]byte
			for range rng.IntN(60) {
				n := rng.IntN(1 << (4 + rng.IntN(10)))
				at := rng.IntN(len(data) - n)
				streams = append(streams, data[at:at+n])
			}
			if err := juggle(k, streams, rng); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	})
}

// Whichever lanes work and however many, the others stay as they are.
func TestIdleLanesKeepTheirState(t *testing.T) {
	onEachKernel(t, func(t *testing.T, newKernel func() kernel) {
		k := newKernel()
		n := k.lanes()
		heads, noise := randomBytes(128*n, 7), randomBytes(1<<12, 8)
		for busy := range n {
			for first := range n {
				chunks := make([][]byte, n)
				for i := range n {
					chunks[i] = heads[128*i : 128*i+64]
				}
				writeAll(k, chunks)
				for i := range busy {
					chunks[(first+i)%n] = noise
				}
				writeAll(k, chunks)
				for i := range n {
					want := slices.Clone(heads[128*i : 128*i+64])
					if (i-first+n)%n < busy {
						want = append(want, noise...)
					} else {
						want = append(want, heads[128*i+64:128*i+128-i]...)
					}
					rest := append(make([]byte, 0, block+endBytes), want[64*((len(want)-1)/64):]...)
					if (i-first+n)%n < busy {
						rest = rest[:0]
					}
					chunks[i] = k.end(rest, int64(len(want)))
					writeAll(k, chunks)
					var got [HashSize]byte
					k.sum(i, got[:])
					if got != sha1.Sum(want) {
						t.Fatalf("%d lanes from %d were busy: lane %d is wrong", busy, first, i)
					}
				}
			}
		}
	})
}

// The length in a digest counts bits and is wider than 32 of them.
func TestKernelLongStream(t *testing.T) {
	const length = 1<<29 + 3<<16 + 65
	data := randomBytes(1<<16, 10)
	want := sha1.New()
	for n := 0; n < length; n += len(data) {
		want.Write(data[:min(len(data), length-n)])
	}
	onEachKernel(t, func(t *testing.T, newKernel func() kernel) {
		k := newKernel()
		chunks := make([][]byte, k.lanes())
		lane := len(chunks) / 2
		for n := 0; n < length; n += len(data) {
			chunks[0] = data // company, of any length
			chunks[lane] = data[:min(len(data), length-n)]
			if n+len(data) >= length {
				clear(chunks)
				last := append(make([]byte, 0, len(data)+endBytes), data[:length-n]...)
				chunks[lane] = k.end(last, length)
			}
			writeAll(k, chunks)
		}
		var got [HashSize]byte
		k.sum(lane, got[:])
		if string(got[:]) != string(want.Sum(nil)) {
			t.Fatalf("wrong digest after %d bytes", length)
		}
	})
}

func FuzzKernels(f *testing.F) {
	f.Add(randomBytes(1000, 1), uint64(1), uint8(5))
	f.Add([]byte{}, uint64(2), uint8(17))
	f.Add(randomBytes(64*64, 2), uint64(3), uint8(40))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, n uint8) {
		for _, c := range append(choices(), hiddenChoices()...) {
			rng := rand.New(rand.NewPCG(seed, 0))
			var streams [][]byte
			for range n {
				from := rng.IntN(len(data) + 1)
				streams = append(streams, data[from:from+rng.IntN(len(data)-from+1)])
			}
			if err := juggle(c.make(), streams, rng); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	})
}

func TestVariable(t *testing.T) {
	for _, c := range choices() {
		t.Setenv(Variable, c.name)
		if got, want := fmt.Sprintf("%T", New(1).newKernel()), fmt.Sprintf("%T", c.make()); got != want {
			t.Errorf("%s=%s made a %s, want %s", Variable, c.name, got, want)
		}
		if err := CheckVariable(c.name); err != nil {
			t.Error(err)
		}
	}
	t.Setenv(Variable, "mmx")
	if _, plain := New(1).newKernel().(*plainKernel); !plain {
		t.Error("a kernel that does not exist is not replaced by the plain one")
	}
	if err := CheckVariable("mmx"); err == nil || !strings.Contains(err.Error(), "plain") {
		t.Errorf("CheckVariable of nonsense says %v, want what there is", err)
	}
	t.Setenv(Variable, "")
	if got, want := fmt.Sprintf("%T", New(1).newKernel()), fmt.Sprintf("%T", choices()[0].make()); got != want {
		t.Errorf("without %s a %s, want %s", Variable, got, want)
	}
}
