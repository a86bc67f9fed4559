package pieces

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
)

// policy says what a job thinks of a file whose size is not the expected one.
type policy uint8

const (
	exact policy = iota // it is an error
	lax                 // whole pieces that are there are hashed
)

// job is one open file and the hashes found so far.
type job struct {
	file *File
	f    Handle
	// sparse is f where that knows of holes, else nil.
	sparse Sparse
	info   fs.FileInfo // as it was opened
	sums   []byte
	count  int // pieces that can be read: the first count of them
	err    error

	// refs counts the opener and every piece that is handed out and not yet
	// hashed. Who takes it to zero owns the job and finishes it.
	refs   atomic.Int64
	failed atomic.Pointer[error]
}

// openJob opens the file and looks at it for the first time.
func openJob(file *File, p policy) (*job, error) {
	if err := file.validate(); err != nil {
		return nil, err
	}
	f, err := file.Open()
	if err != nil {
		return nil, err
	}
	j := &job{file: file, f: f}
	j.sparse, _ = f.(Sparse)
	if err := j.prepare(p); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

func (j *job) prepare(p policy) error {
	info, err := j.f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return j.file.errorf("is not a regular file (%s)", info.Mode().Type())
	}
	length := j.file.Length
	if info.Size() != length && p == exact {
		return j.file.errorf("%w: %d bytes, expected %d", ErrChanged, info.Size(), length)
	}
	n := j.file.NumPieces()
	j.info, j.count = info, int(n)
	if r := j.file.Resume; r == nil {
		j.sums = make([]byte, n*HashSize)
	} else if err := r.begin(n, info); err != nil {
		return j.file.errorf("%w", err)
	} else {
		j.sums = r.Sums
	}
	if info.Size() < length {
		j.count = int(info.Size() / j.file.PieceLength)
	}
	return nil
}

// size returns the number of bytes of piece i.
func (j *job) size(i int) int64 {
	return min(j.file.PieceLength, j.file.Length-int64(i)*j.file.PieceLength)
}

// done keeps the hash of a piece.
func (j *job) done(piece int, sum []byte) {
	copy(j.sums[piece*HashSize:], sum)
	j.file.Resume.mark(piece)
}

// fail remembers the first error; what is left of the job is dropped.
func (j *job) fail(err error) { j.failed.CompareAndSwap(nil, &err) }

func (j *job) broken() bool { return j.failed.Load() != nil }

// release gives back n references. The last finishes the job and says so: it
// is to be delivered.
func (j *job) release(n int64) bool {
	if j.refs.Add(-n) > 0 {
		return false
	}
	j.finish()
	return true
}

// finish takes the last look at the file and closes it.
func (j *job) finish() {
	if err := j.failed.Load(); err != nil {
		j.err = *err
	} else {
		j.err = j.unchanged()
	}
	if err := j.f.Close(); err != nil && j.err == nil {
		j.err = err
	}
	if errors.Is(j.err, ErrChanged) {
		j.file.Resume.void()
	}
}

// unchanged compares the open file with what it was before the first read.
// Stores through a shared mapping may leave every time stamp alone until they
// are written back; nobody can see those.
func (j *job) unchanged() error {
	now, err := j.f.Stat()
	if err != nil {
		return err
	}
	what := ""
	switch {
	case now.Size() != j.info.Size():
		what = fmt.Sprintf("%d bytes became %d", j.info.Size(), now.Size())
	case !now.ModTime().Equal(j.info.ModTime()):
		what = "it was written"
	case changeTime(now) != changeTime(j.info):
		what = "it was written or its attributes were set"
	default:
		return nil
	}
	return j.file.errorf("%w: %s", ErrChanged, what)
}
