package pieces

import (
	"context"
	"iter"
	"sync"
)

// The shape of the work in flight.
const (
	openers = 2  // files are opened ahead of the workers, so that small cold files do not wait for each other
	backlog = 32 // units handed out ahead; with the lanes it bounds the open files
	// unitBytes is the longest run of pieces one worker takes from a file: it
	// reads them in sequence, as disks like it, while the others take the next.
	unitBytes = 64 << 20
)

// unit is a run of pieces of one file.
type unit struct {
	job      *job
	from, to int // pieces from <= i < to
}

// schedule is one call's work: openers feed units to workers, workers feed
// finished jobs back to the caller.
type schedule struct {
	pool     *Pool
	policy   policy
	ctx      context.Context
	finish   func(*job)
	files    chan *File
	units    chan unit
	finished chan *job
}

// run opens, hashes and finishes every file. files and finish run in the
// calling goroutine. When it returns, every file is closed and every goroutine
// it started has ended.
func (p *Pool) run(ctx context.Context, files iter.Seq[*File], pol policy, finish func(*job)) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &schedule{
		pool: p, policy: pol, ctx: ctx, finish: finish,
		files: make(chan *File), units: make(chan unit, backlog), finished: make(chan *job, backlog),
	}
	var opening, all sync.WaitGroup
	// Also when files or finish panics: whoever recovers finds no goroutine
	// left behind.
	defer all.Wait()
	defer cancel()

	for range openers {
		opening.Go(s.open)
	}
	for range p.workers {
		all.Go(func() { newWorker(s).run() })
	}
	all.Go(func() { opening.Wait(); close(s.units) })
	s.feed(files)
	close(s.files)
	go func() { all.Wait(); close(s.finished) }()
	for j := range s.finished {
		s.hand(j)
	}
	return context.Cause(ctx)
}

// hand gives an outcome to the caller. Once the context has ended there are no
// outcomes any more: a job may just have been cut off by that.
func (s *schedule) hand(j *job) {
	if s.ctx.Err() == nil {
		s.finish(j)
	}
}

// feed hands files to the openers and takes finished jobs meanwhile, so that
// neither end can block the other.
func (s *schedule) feed(files iter.Seq[*File]) {
	for f := range files {
		for taken := false; !taken; {
			select {
			case s.files <- f:
				taken = true
			case j := <-s.finished:
				s.hand(j)
			case <-s.ctx.Done():
				return
			}
		}
	}
}

// open opens files and cuts them into units until there are no more.
func (s *schedule) open() {
	for {
		select {
		case f, more := <-s.files:
			if !more {
				return
			}
			s.cut(f)
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *schedule) cut(f *File) {
	j, err := openJob(f, s.policy)
	if err != nil {
		s.deliver(&job{file: f, err: err})
		return
	}
	j.refs.Store(1)
	defer s.release(j, 1)
	step := s.unitPieces(j)
	for next := 0; next < j.count && !j.broken(); {
		from, to := j.file.Resume.missing(next, min(next+step, j.count))
		next = to
		if from == to {
			continue
		}
		u := unit{job: j, from: from, to: to}
		n := int64(to - from)
		j.refs.Add(n)
		select {
		case s.units <- u:
		case <-s.ctx.Done():
			j.fail(context.Cause(s.ctx))
			s.release(j, n)
		}
	}
}

// unitPieces shares a file among the workers, several units for each so that
// they end together, none longer than unitBytes.
func (s *schedule) unitPieces(j *job) int {
	fair := j.count / (4 * s.pool.workers)
	return int(max(1, min(int64(fair), unitBytes/j.file.PieceLength)))
}

// release gives back n references and finishes the job with the last.
func (s *schedule) release(j *job, n int64) {
	if j.refs.Add(-n) > 0 {
		return
	}
	j.finish()
	s.deliver(j)
}

func (s *schedule) deliver(j *job) {
	select {
	case s.finished <- j:
	case <-s.ctx.Done():
	}
}
