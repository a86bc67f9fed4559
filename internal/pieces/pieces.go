// Package pieces hashes files into SHA-1 pieces (BEP 3) and checks files
// against them. One scheduler spreads many files, and many pieces of one file
// alike, over all cores: a thousand photos and one disk image are the same work
// to it. Memory and open files are bounded whatever it is given.
package pieces

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"runtime"
	"sync/atomic"
)

// HashSize is the length of one piece hash in bytes.
const HashSize = 20

// MaxPieces is the largest number of pieces one file may have. At 16 MiB per
// piece that is 64 TiB. It keeps a sparse file of absurd length from asking for
// as much memory as it pretends to have content.
const MaxPieces = 1 << 22

// ErrChanged is wrapped by errors about files that were written, truncated,
// replaced or touched between the first and the last look at them: what was
// hashed may be a mixture of old and new.
var ErrChanged = errors.New("file changed while it was read")

// Handle is an open file; *os.File is one. Workers read it side by side.
type Handle interface {
	io.ReaderAt
	// Stat's Sys should be a *syscall.Stat_t where there is such a thing: it
	// has the change time, which no writer can set back.
	Stat() (fs.FileInfo, error)
	io.Closer
}

// Sparse is a Handle that knows where its file has holes. A piece that is nothing
// but a hole is neither read nor hashed: a virtual disk of a terabyte with a few
// files on it is as much work as those.
type Sparse interface {
	// Hole returns where the hole ends that a position is in, or the position
	// itself, which is never wrong.
	Hole(at int64) (end int64)
}

// File is one file to hash or to check.
type File struct {
	Name        string                 // what messages begin with; "": they are the caller's to name
	Open        func() (Handle, error) // called once, from any goroutine; the pool closes what it returns
	Length      int64                  // bytes the file should have
	PieceLength int64                  // bytes per piece, the last one may be shorter
	Resume      *Resume                // what an interrupted call left, and where this one leaves it; nil: of no interest
	Tag         any                    // the caller's own
}

// NumPieces returns how many pieces the file has.
func (f *File) NumPieces() int64 {
	n := f.Length / f.PieceLength
	if f.Length%f.PieceLength != 0 {
		n++
	}
	return n
}

func (f *File) errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if f.Name != "" {
		err = fmt.Errorf("%s: %w", f.Name, err)
	}
	return err
}

func (f *File) validate() error {
	if f.Length < 0 || f.PieceLength <= 0 {
		return f.errorf("cannot hash %d bytes in pieces of %d", f.Length, f.PieceLength)
	}
	if n := f.NumPieces(); n > MaxPieces {
		return f.errorf("%d bytes are %d pieces, more than %d", f.Length, n, MaxPieces)
	}
	return nil
}

// Sum is the outcome of hashing one file.
type Sum struct {
	Pieces []byte      // HashSize bytes per piece, in order; nil if Err is set
	Info   fs.FileInfo // the open file's, the same before and after reading; nil if Err is set
	Err    error       // wraps ErrChanged when trying again makes sense
}

// Have is the outcome of checking one file.
type Have struct {
	// Bits has a bit for each piece whose bytes are right: bit i, counted from
	// the most significant bit of byte 0 (BEP 3), is piece i. nil if Err is set.
	Bits     []byte
	Complete bool        // every piece is right and nothing follows them
	Info     fs.FileInfo // the open file's, the same before and after reading; nil if Err is set
	Err      error
}

// Pool says how many workers hash. It holds no goroutine between calls, needs
// no closing, and may be used by any number of goroutines at once; each call
// brings its own workers.
type Pool struct {
	workers   int
	newKernel func() kernel
	counters  []*atomic.Int64
}

// New returns a pool of so many workers; 0 or less means one per usable core.
// It hashes with the fastest instructions the machine has, unless Variable says
// otherwise.
func New(workers int) *Pool {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return &Pool{workers: workers, newKernel: choose(os.Getenv(Variable))}
}

// Counting returns a pool that also adds each byte it has hashed to n, while
// it goes along.
func (p *Pool) Counting(n *atomic.Int64) *Pool {
	q := *p
	q.counters = append(append([]*atomic.Int64(nil), p.counters...), n)
	return &q
}

func (p *Pool) count(n int64) {
	for _, c := range p.counters {
		c.Add(n)
	}
}

// Hash hashes files and hands each outcome to done, in any order. Both files
// and done run in the calling goroutine, so they need no locks between them.
// A file that is not exactly Length bytes long is an ErrChanged.
//
// The error is that of ctx and nothing else; files that were not finished when
// it ended are not handed to done.
func (p *Pool) Hash(ctx context.Context, files iter.Seq[*File], done func(*File, Sum)) error {
	return p.run(ctx, files, exact, func(j *job) {
		if j.err != nil {
			done(j.file, Sum{Err: j.err})
			return
		}
		done(j.file, Sum{Pieces: j.sums, Info: j.info})
	})
}

// Check compares a file with the piece hashes in want. Pieces beyond the end
// of a short file are not set in have; a file that is too long is not ok.
func (p *Pool) Check(ctx context.Context, f *File, want []byte) (have []byte, ok bool, err error) {
	var h Have
	one := func(yield func(*File) bool) { yield(f) }
	if err := p.CheckAll(ctx, one, func(*File) []byte { return want }, func(_ *File, got Have) { h = got }); err != nil {
		return nil, false, err
	}
	return h.Bits, h.Complete, h.Err
}

// CheckAll compares files with the piece hashes that want returns for each.
// It is to Check what Hash is to one file; want runs in the calling goroutine.
func (p *Pool) CheckAll(ctx context.Context, files iter.Seq[*File], want func(*File) []byte, done func(*File, Have)) error {
	return p.run(ctx, files, lax, func(j *job) {
		if j.err != nil {
			done(j.file, Have{Err: j.err})
			return
		}
		done(j.file, compare(j, want(j.file)))
	})
}

func compare(j *job, want []byte) Have {
	n := j.file.NumPieces()
	if int64(len(want)) != n*HashSize {
		return Have{Err: j.file.errorf("%d bytes of piece hashes for %d pieces", len(want), n)}
	}
	h := Have{Bits: make([]byte, (n+7)/8), Info: j.info, Complete: j.info.Size() == j.file.Length}
	for i := range n {
		at := i * HashSize
		if i < int64(j.count) && string(j.sums[at:at+HashSize]) == string(want[at:at+HashSize]) {
			h.Bits[i/8] |= 0x80 >> (i % 8)
		} else {
			h.Complete = false
		}
	}
	return h
}
