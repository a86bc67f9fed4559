package dirat

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
)

// Holes are zeros, wherever they begin and end and however they are read.
func (c *kit[D, F]) sparse(t *testing.T) {
	dir := t.TempDir()
	d := c.at(t, dir)
	const size = 8<<20 + 4711
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 8 {
		want := make([]byte, size)
		w, err := os.Create(dir + "/f")
		must(t, err)
		must(t, w.Truncate(size))
		for range round { // the first is one hole
			at, n := rng.IntN(size), 1+rng.IntN(1<<20)
			piece := want[at:min(at+n, size)]
			for i := range piece {
				piece[i] = byte(rng.Uint32())
			}
			_, err := w.WriteAt(piece, int64(at))
			must(t, err)
		}
		must(t, w.Close())
		f, err := d.OpenFile("f", 0)
		must(t, err)
		for _, step := range []int{64 << 10, 1<<20 + 1, size, size + 1} {
			var got []byte
			buf := make([]byte, step)
			for err == nil {
				var n int
				n, err = f.ReadAt(buf, int64(len(got)))
				got = append(got, buf[:n]...)
			}
			if err != io.EOF || !bytes.Equal(got, want) {
				t.Fatalf("round %d, %d bytes at a time: %v, %d bytes, %v", round, step, err, len(got), bytes.Equal(got, want))
			}
			err = nil
		}
		if n, err := f.ReadAt(make([]byte, 10), size+holesAfter); n != 0 || err != io.EOF {
			t.Fatalf("behind the end: %d, %v", n, err)
		}
		must(t, errors.Join(f.Close(), os.Remove(dir+"/f")))
	}
}

const holesAfter = 5 << 20
