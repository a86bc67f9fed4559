package pieces

import (
	"fmt"
	"io/fs"
	"slices"
	"sync"
)

// Resume is what is known of a file that was hashed in part. The caller gives
// one with the File, empty or from a former call, and finds in it what is known
// once the call has returned, also when that was cut short by its context.
//
// Pieces marked in Done are not read again and their Sums are taken on trust.
// That is right only for the very file they came from: Open is the place to
// compare what it opened with what Info said then.
type Resume struct {
	Info fs.FileInfo // the open file's, before the first read; nil if it was not opened
	Sums []byte      // HashSize bytes per piece, those not marked in Done mean nothing
	Done []byte      // a bit per piece, as in Have.Bits

	// Workers end pieces of one file side by side, and eight share a byte.
	mu sync.Mutex
}

// begin makes room for n pieces, or checks that what is there is for so many.
func (r *Resume) begin(n int64, info fs.FileInfo) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.Sums) == 0 && len(r.Done) == 0 {
		r.Sums, r.Done = make([]byte, n*HashSize), make([]byte, (n+7)/8)
	}
	if int64(len(r.Sums)) != n*HashSize || int64(len(r.Done)) != (n+7)/8 {
		return fmt.Errorf("cannot go on with %d pieces from %d bytes of hashes and %d of marks", n, len(r.Sums), len(r.Done))
	}
	r.Info = info
	return nil
}

// mark says that the piece's hash is in Sums. A nil Resume marks nothing.
func (r *Resume) mark(piece int) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Done[piece/8] |= 0x80 >> (piece % 8)
}

// void forgets all pieces: they are of a file that is no more.
func (r *Resume) void() {
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		clear(r.Done)
	}
}

// Snapshot copies what is known so far, also while the file is hashed.
func (r *Resume) Snapshot() *Resume {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &Resume{Info: r.Info, Sums: make([]byte, len(r.Sums)), Done: slices.Clone(r.Done)}
	for i := range len(r.Sums) / HashSize {
		if r.Done[i/8]&(0x80>>(i%8)) != 0 { // a worker may be at the others
			copy(s.Sums[i*HashSize:], r.Sums[i*HashSize:(i+1)*HashSize])
		}
	}
	return s
}

// missing returns the next run of pieces not marked, from the given one on and
// before end; an empty one is at the end.
func (r *Resume) missing(from, end int) (int, int) {
	if r == nil {
		return from, end
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	marked := func(i int) bool { return r.Done[i/8]&(0x80>>(i%8)) != 0 }
	for from < end && marked(from) {
		from++
	}
	to := from
	for to < end && !marked(to) {
		to++
	}
	return from, to
}
