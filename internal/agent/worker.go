package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	"seedtree/apply"
)

// Paces of the worker.
const (
	settleFirst = 2 * time.Second
	settleLast  = 10 * time.Second
	retryFirst  = 15 * time.Second
	retryLast   = 5 * time.Minute

	// maxSuperseded is how many passes in a row may be given up for a newer
	// revision: prunes come last, and a busy builder must not keep them away.
	maxSuperseded = 3
)

// Run works until ctx ends, then waits for everything it started and returns
// nil. It begins with a pass.
//
// Another process on the same state folder makes it fail with ErrBusy.
func (a *Agent) Run(ctx context.Context) error {
	release, err := a.hold()
	if err != nil {
		return err
	}
	defer release()
	var clocks sync.WaitGroup
	defer clocks.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, c := range []struct {
		schedule Schedule
		build    bool
	}{{a.sync, false}, {a.build, true}} {
		if !c.schedule.IsZero() && !(c.build && a.cfg.Build == nil) {
			t := newTimer(c.schedule, a.cfg.Site, a.cfg.Schedule.Jitter, a.clock())
			clocks.Go(func() { a.follow(ctx, t, c.build) })
		}
	}
	// What is committed from here on is seen by the first pass, or wakes.
	last := a.touched()
	clocks.Go(func() { a.followWakes(ctx, last) })
	clocks.Go(func() { a.dog.run(ctx) })
	a.Trigger()
	w := worker{Agent: a}
	for {
		again := time.NewTimer(w.pause())
		select {
		case <-ctx.Done():
			again.Stop()
			return nil
		case <-a.mail.letter:
			w.letter(ctx)
		case <-again.C:
			w.again(ctx)
		}
		again.Stop()
	}
}

// follow posts a letter whenever the schedule is due.
func (a *Agent) follow(ctx context.Context, t *timer, build bool) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(t.sleep(a.clock())):
		}
		if t.tick(a.clock()) {
			a.mail.post(build)
		}
	}
}

// worker is the one who does passes, and knows when to look again unasked.
type worker struct {
	*Agent
	waiting    int           // transfers that settle may put in place
	settle     time.Duration // between two settles; grows while nothing moves
	retry      time.Duration // before a failed pass is tried again; 0: it did not fail
	failures   int           // passes failed in a row
	superseded int           // passes given up in a row
	pending    bool          // the last pass completed what this site needs to become main

	settleAt, retryAt time.Time // of the process's own clock, which nobody sets
}

// pause is how long to wait when nobody posts a letter.
func (w *worker) pause() time.Duration {
	pause := 24 * time.Hour
	if w.retry > 0 {
		pause = min(pause, time.Until(w.retryAt))
	}
	if w.waiting > 0 {
		pause = min(pause, time.Until(w.settleAt))
	}
	return max(pause, 0)
}

// letter takes a turn, and builds between two of them where that was asked for.
func (w *worker) letter(ctx context.Context) {
	build := w.mail.build.Swap(false)
	out := w.turn(ctx)
	if !build || ctx.Err() != nil {
		return
	}
	if out.Plan == nil || out.Plan.Role != apply.Main {
		w.log.Debug("not building: this site is not main")
		return
	}
	w.log.Info("building")
	watched, done := w.dog.watch(ctx, "build")
	err := w.cfg.Build(watched)
	done()
	if err != nil && ctx.Err() == nil {
		w.log.Error("build failed", "err", err)
	}
	w.working.Lock()
	w.built = err
	w.working.Unlock()
	w.turn(ctx)
}

// turn is one pass, and what follows from it for the time until the next.
func (w *worker) turn(ctx context.Context) *Outcome {
	select { // older news than this pass
	case <-w.mail.news:
	default:
	}
	watched, done := w.dog.watch(ctx, "pass")
	w.working.Lock()
	out, err := w.reconcile(watched, w.superseded < maxSuperseded)
	w.working.Unlock()
	done()
	if errors.Is(err, errSuperseded) {
		w.superseded++
		return out
	}
	w.superseded = 0
	w.waiting = 0
	if out.Result != nil {
		w.waiting = out.Result.Waiting
	}
	w.settleIn(settleFirst)
	w.crowned(out, err)
	if w.retry = 0; err != nil && ctx.Err() == nil {
		w.failures++
		w.retry = min(retryFirst<<min(w.failures-1, 10), retryLast)
		w.retryAt = time.Now().Add(w.retry)
		w.log.Error("pass failed", "err", err, "retry", w.retry)
	} else {
		w.failures = 0
	}
	return out
}

func (w *worker) settleIn(d time.Duration) {
	w.settle, w.settleAt = d, time.Now().Add(d)
}

// crowned looks at once at a site that has just completed what it needed to
// become main: until somebody looks, it does not build. Once, in case it is
// pending still: nobody waits for that in a circle.
func (w *worker) crowned(out *Outcome, err error) {
	r := out.Result
	pending := err == nil && r != nil && r.Role == apply.PendingMain && r.Complete
	if pending && !w.pending {
		w.Trigger()
	}
	w.pending = pending
}

// again is what the worker does unasked: try a failed pass once more, or
// settle while transfers wait.
func (w *worker) again(ctx context.Context) {
	switch now := time.Now(); {
	case w.retry > 0 && !now.Before(w.retryAt):
		w.turn(ctx)
	case w.waiting > 0 && !now.Before(w.settleAt):
		w.settleOnce(ctx)
	}
}

func (w *worker) settleOnce(ctx context.Context) {
	watched, done := w.dog.watch(ctx, "placing what arrived")
	out, err := w.Settle(watched)
	done()
	before := w.waiting
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		w.log.Warn("settle failed", "err", err)
	case out.Result == nil:
		w.waiting = 0
	default:
		w.waiting = out.Result.Waiting
		if w.waiting == 0 && before > 0 {
			w.Trigger() // a last look at everything: settle sees only what it waited for
		}
	}
	if err == nil && w.waiting != before {
		w.settleIn(settleFirst)
	} else {
		w.settleIn(min(w.settle*3/2, settleLast))
	}
}
