package pieces

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"runtime"
)

// chunkBytes is read for each lane at a time. Smaller costs system calls,
// larger falls out of the processor's cache between reading and hashing.
//
// It is read, not mapped, though the copy costs as much as the hashing. In warm
// runs a mapping saves from nothing to nearly half of the processor time, by how
// large the windows are and the folios in the page cache. But cold files are
// slower mapped, and one that is truncated meanwhile raises SIGBUS, which would
// have to become an error of that file instead of the end of the process.
const chunkBytes = 64 << 10

// lane is one stream of the kernel and the piece that runs through it.
type lane struct {
	job   *job // nil: idle
	piece int
	at    int64  // next byte to read
	end   int64  // first byte after the piece
	buf   []byte // a chunk and its end
}

// worker keeps the lanes of one kernel filled with pieces of whatever file
// comes next.
type worker struct {
	s      *schedule
	kernel kernel
	lanes  []lane
	chunks [][]byte // what is read and not yet hashed, for each lane
	cur    unit     // pieces taken from the queue and not yet in a lane
	queued []unit   // what comes after cur
	more   bool     // the queue may have further units
	busy   int      // lanes with a piece
	beat   func()   // tells whoever watches that hashing gets on
	done   []*job   // finished and not yet delivered
	rounds int      // since the last delivery
}

// They wait until there are so many, or for so many rounds, or until there is
// nothing else to do.
const (
	doneJobs   = 8
	doneRounds = 64
)

// newWorker makes no kernel yet: where there is one small file, the workers
// that get nothing cost nothing.
func newWorker(s *schedule) *worker { return &worker{s: s, more: true, beat: s.beat} }

// run hashes until the queue is closed and every lane is idle. When the
// context ends it drops what it holds and empties the queue, so that every
// file is closed.
func (w *worker) run() {
	if !w.receive() {
		return
	}
	w.kernel = w.s.pool.newKernel()
	w.lanes, w.chunks = make([]lane, w.kernel.lanes()), make([][]byte, w.kernel.lanes())
	for {
		w.fill()
		if w.busy == 0 {
			w.deliver()
			return
		}
		w.read()
		w.kernel.write(w.chunks)
		w.beat()
		w.settle()
		if w.rounds++; len(w.done) >= doneJobs || w.rounds >= doneRounds {
			w.deliver()
		}
	}
}

func (w *worker) deliver() {
	w.s.deliver(w.done)
	w.done, w.rounds = nil, 0
}

// release gives a piece back.
func (w *worker) release(j *job) {
	if j.release(1) {
		w.done = append(w.done, j)
	}
}

// fill gives each idle lane the next piece. It waits for the queue only when
// all lanes are idle.
func (w *worker) fill() {
	for i := range w.lanes {
		l := &w.lanes[i]
		if l.job != nil {
			continue
		}
		j, piece, ok := w.next()
		if !ok {
			return
		}
		l.job, l.piece = j, piece
		l.at = int64(piece) * j.file.PieceLength
		l.end = l.at + j.size(piece)
		l.makeRoom()
		w.busy++
	}
}

// makeRoom gives the lane a buffer: for a whole chunk, but what the first piece
// needs is enough for it, since it may be the only one of a small file.
func (l *lane) makeRoom() {
	need := min(chunkBytes, l.end-l.at) + endBytes
	switch {
	case l.buf == nil:
		l.buf = make([]byte, need)
	case int64(len(l.buf)) < need:
		l.buf = make([]byte, chunkBytes+endBytes)
	}
}

// next returns the next piece worth hashing, false when there is none to be
// had without leaving busy lanes waiting.
func (w *worker) next() (*job, int, bool) {
	for {
		if w.cur.from < w.cur.to {
			piece := w.cur.from
			w.cur.from++
			if j := w.cur.job; !w.dropped(j) && !w.skipped(j, piece) {
				return j, piece, true
			}
			continue
		}
		if !w.receive() {
			return nil, 0, false
		}
	}
}

// skipped gives a piece back that is nothing but a hole: its hash is known.
func (w *worker) skipped(j *job, piece int) bool {
	from, size := int64(piece)*j.file.PieceLength, j.file.PieceLength
	if j.sparse == nil || j.size(piece) < size || j.sparse.Hole(from)-from < size {
		return false
	}
	w.beat() // a file may be one large hole
	sum := w.s.zeros.sum(size)
	j.done(piece, sum[:])
	w.s.pool.count(size)
	w.release(j)
	return true
}

// dropped gives a piece back unhashed when its job is lost already.
func (w *worker) dropped(j *job) bool {
	if w.s.ctx.Err() != nil {
		j.fail(context.Cause(w.s.ctx))
	}
	if !j.broken() {
		return false
	}
	w.release(j)
	return true
}

// receive takes the next unit from the queue. The queue is closed even when
// the context ends, and units in it hold open files: so it is always emptied.
func (w *worker) receive() bool {
	if len(w.queued) == 0 && w.more {
		w.queued = w.take()
	}
	if len(w.queued) == 0 {
		return false
	}
	w.cur, w.queued = w.queued[0], w.queued[1:]
	return true
}

// take returns a batch of units, which is empty when there is none. With busy
// lanes it does not wait, but lets those run who may be about to send one.
func (w *worker) take() (units []unit) {
	if w.busy == 0 {
		w.deliver()
		units, w.more = <-w.s.units
		return units
	}
	if len(w.s.units) == 0 {
		runtime.Gosched()
	}
	select {
	case units, w.more = <-w.s.units:
		return units
	default:
		return nil
	}
}

// read fills the chunk of each busy lane that has used up its last one.
func (w *worker) read() {
	ended := w.s.ctx.Err() != nil
	for i := range w.lanes {
		l := &w.lanes[i]
		if l.job == nil {
			continue
		}
		if ended {
			l.job.fail(context.Cause(w.s.ctx))
			w.chunks[i] = nil
			continue
		}
		if len(w.chunks[i]) > 0 {
			continue
		}
		buf := l.buf[:min(chunkBytes, l.end-l.at)]
		n, err := l.job.f.ReadAt(buf, l.at)
		if n < len(buf) {
			l.job.fail(readError(l.job, l.at+int64(n), err))
			continue
		}
		w.chunks[i] = buf
		if l.at += int64(n); l.at == l.end {
			w.chunks[i] = w.kernel.end(buf, l.job.size(l.piece))
		}
		w.s.pool.count(int64(n))
	}
}

func readError(j *job, at int64, err error) error {
	if errors.Is(err, io.EOF) {
		return j.file.errorf("%w: it ends at byte %d", ErrChanged, at)
	}
	// Say the name the caller knows, not the one the file was opened by.
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return j.file.errorf("reading at byte %d: %w", at, err)
}

// settle takes the digests of finished pieces and frees the lanes of lost ones.
func (w *worker) settle() {
	for i := range w.lanes {
		l := &w.lanes[i]
		if l.job == nil {
			continue
		}
		var digest [HashSize]byte
		switch {
		case l.job.broken():
			w.chunks[i] = nil
			w.kernel.sum(i, digest[:]) // only to empty the lane
		case l.at < l.end, len(w.chunks[i]) > 0:
			continue
		default:
			w.kernel.sum(i, digest[:])
			l.job.done(l.piece, digest[:])
		}
		j := l.job
		l.job = nil
		w.busy--
		w.release(j)
	}
}
