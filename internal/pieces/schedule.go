package pieces

import (
	"context"
	"iter"
	"sync"

	"seedtree/internal/pulse"
)

// The shape of the work in flight.
const (
	openers = 2 // files are opened ahead of the workers, so that small cold files do not wait for each other
	backlog = 4 // batches waiting between one stage and the next
	// So many files, and so many more for each worker, may be on their way:
	// each is open and, if its caller likes, so is its directory.
	aheadFiles     = 48
	aheadPerWorker = 24
	// Small files go from stage to stage in batches: waking somebody for each
	// costs as much as hashing it. Batches of fewer go to whoever waits.
	batchFiles = 8
	batchBytes = 1 << 20
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
	files    chan []*File
	units    chan []unit
	finished chan []*job
	zeros    zeroSums
	beat     func() // tells whoever watches that files are looked at
	onTheWay int    // files taken from the caller and not yet handed back
}

// run opens, hashes and finishes every file. files and finish run in the
// calling goroutine. When it returns, every file is closed and every goroutine
// it started has ended.
func (p *Pool) run(ctx context.Context, files iter.Seq[*File], pol policy, finish func(*job)) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &schedule{
		pool: p, policy: pol, ctx: ctx, finish: finish,
		files: make(chan []*File, backlog), units: make(chan []unit, backlog), finished: make(chan []*job, backlog),
		beat: pulse.Of(ctx),
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
	for jobs := range s.finished {
		s.hand(jobs)
	}
	return context.Cause(ctx)
}

// hand gives outcomes to the caller. Once the context has ended there are no
// outcomes any more: a job may just have been cut off by that.
func (s *schedule) hand(jobs []*job) {
	s.onTheWay -= len(jobs)
	for _, j := range jobs {
		if s.ctx.Err() == nil {
			s.finish(j)
		}
	}
}

// feed hands files to the openers and takes finished jobs meanwhile, so that
// neither end can block the other.
func (s *schedule) feed(files iter.Seq[*File]) {
	var batch []*File
	most := aheadFiles + aheadPerWorker*s.pool.workers
	for f := range files {
		batch = append(batch, f)
		s.onTheWay++
		// While there is enough to do for the openers the batch may grow.
		if len(batch) < batchFiles && s.onTheWay < most && len(s.files) > 0 {
			continue
		}
		if !s.offer(batch) {
			return
		}
		batch = nil
		for s.onTheWay >= most {
			select {
			case jobs := <-s.finished:
				s.hand(jobs)
			case <-s.ctx.Done():
				return
			}
		}
	}
	if len(batch) > 0 {
		s.offer(batch)
	}
}

func (s *schedule) offer(batch []*File) bool {
	for {
		select {
		case s.files <- batch:
			return true
		case jobs := <-s.finished:
			s.hand(jobs)
		case <-s.ctx.Done():
			return false
		}
	}
}

// open opens files and cuts them into units until there are no more.
func (s *schedule) open() {
	for {
		select {
		case files, more := <-s.files:
			if !more {
				return
			}
			o := opener{s: s}
			for _, f := range files {
				o.cut(f)
			}
			o.send()
			s.deliver(o.lost)
		case <-s.ctx.Done():
			return
		}
	}
}

// opener makes one batch of files into batches of units.
type opener struct {
	s     *schedule
	units []unit
	bytes int64  // in units
	lost  []*job // that need no worker: most could not be opened
}

func (o *opener) cut(f *File) {
	if o.s.ctx.Err() != nil {
		return
	}
	o.s.beat() // one that cannot be opened gets to no worker
	j, err := openJob(f, o.s.policy)
	if err != nil {
		o.lost = append(o.lost, &job{file: f, err: err})
		return
	}
	j.refs.Store(1)
	step := o.s.unitPieces(j)
	for next := 0; next < j.count && !j.broken(); {
		from, to := f.Resume.missing(next, min(next+step, j.count))
		next = to
		if from == to {
			continue
		}
		j.refs.Add(int64(to - from))
		o.units = append(o.units, unit{job: j, from: from, to: to})
		o.bytes += int64(to-from) * min(f.PieceLength, f.Length)
		if o.bytes >= batchBytes {
			o.send()
		}
	}
	if j.release(1) {
		o.lost = append(o.lost, j)
	}
}

// send hands the units to the workers.
func (o *opener) send() {
	if len(o.units) == 0 {
		return
	}
	select {
	case o.s.units <- o.units:
	case <-o.s.ctx.Done():
		for _, u := range o.units {
			u.job.fail(context.Cause(o.s.ctx))
			u.job.release(int64(u.to - u.from))
		}
	}
	o.units, o.bytes = nil, 0
}

// unitPieces shares a file among the workers, several units for each so that
// they end together, none longer than unitBytes.
func (s *schedule) unitPieces(j *job) int {
	fair := j.count / (4 * s.pool.workers)
	return int(max(1, min(int64(fair), unitBytes/j.file.PieceLength)))
}

// deliver hands over outcomes.
func (s *schedule) deliver(jobs []*job) {
	if len(jobs) == 0 {
		return
	}
	select {
	case s.finished <- jobs:
	case <-s.ctx.Done():
	}
}
