package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"seedtree/apply"
	"seedtree/gitsource"
	"seedtree/internal/pulse"
	"seedtree/manifests"
)

// Outcome is what one pass did. Fields are nil where it did not get that far.
type Outcome struct {
	Revision string // the one that was worked on, a full commit id
	Plan     *apply.Plan
	Result   *apply.Result
	Status   manifests.Status
}

// target is a revision on its way into a site.
type target struct {
	revision *gitsource.Revision
	desired  apply.Desired
	bytes    int64 // of everything this site shall hold
}

// errSuperseded ends a pass whose revision is no longer the newest.
var errSuperseded = errors.New("a newer revision arrived")

// Reconcile does one pass.
//
// An error says what kept the pass from being everything it should be; the
// Outcome says what happened all the same. When git cannot be reached, for
// one, the error is gitsource.ErrUnreachable and the pass was about the last
// good revision.
func (a *Agent) Reconcile(ctx context.Context) (*Outcome, error) {
	release, err := a.hold()
	if err != nil {
		return &Outcome{Status: a.Status()}, err
	}
	defer release()
	a.working.Lock()
	defer a.working.Unlock()
	return a.reconcile(ctx, false)
}

func (a *Agent) reconcile(ctx context.Context, watch bool) (*Outcome, error) {
	out, started := &Outcome{}, a.clock()
	newest, err := a.pass(ctx, out, watch)
	switch {
	case ctx.Err() != nil: // being stopped is nothing to report
		return out, ctx.Err()
	case errors.Is(err, errSuperseded):
		return out, err
	}
	err = errors.Join(newest, err)
	a.notePass(out, err)
	a.report(ctx, out, err, started)
	return out, err
}

// pass goes from fetch to execute. newest is why it is not about the newest
// revision, err why it did not get to its end.
func (a *Agent) pass(ctx context.Context, out *Outcome, watch bool) (newest, err error) {
	t, newest := a.target(ctx)
	if t == nil {
		return newest, nil
	}
	out.Revision = t.revision.ID()
	a.tell(t)
	if out.Plan, err = a.plan(ctx, t); err != nil {
		return newest, err
	}
	if err = a.remember(func(s *state) { s.begin(out.Revision) }); err != nil {
		return newest, err // without it, what we put here would not be known as ours
	}
	a.current = t
	out.Result, err = a.execute(ctx, t, out.Plan, watch)
	pulse.Step(ctx, "noting what was applied")
	err = errors.Join(err, a.conclude(out.Revision, out.Result))
	return newest, errors.Join(err, a.settled(out.Revision, out.Plan.Role, out.Result))
}

// target fetches the newest revision and reads it. When that fails it falls
// back to the last one that was good, so that a site goes on seeding, placing
// and healing whatever happens to git; the error is returned beside it.
func (a *Agent) target(ctx context.Context) (*target, error) {
	rev, err := a.cfg.Source.Fetch(ctx)
	if err == nil {
		var t *target
		if t, err = a.read(ctx, rev); err == nil {
			t, err = a.stepDown(ctx, t)
		}
		if err == nil {
			return t, a.remember(func(s *state) { s.Attempted = rev.ID() })
		}
		err = fmt.Errorf("revision %s: %w", rev.Short(), err)
	}
	if a.state.Attempted == "" || ctx.Err() != nil {
		return nil, err
	}
	// Whoever asks for more trust than the last one has may well mean that one.
	if u := (*gitsource.UntrustedError)(nil); errors.As(err, &u) && u.Lax {
		return nil, err
	}
	last, lastErr := a.cfg.Source.Revision(ctx, a.state.Attempted)
	if lastErr != nil {
		return nil, errors.Join(err, fmt.Errorf("last good revision: %w", lastErr))
	}
	t, lastErr := a.read(ctx, last)
	if lastErr != nil {
		return nil, errors.Join(err, fmt.Errorf("last good revision %s: %w", last.Short(), lastErr))
	}
	a.log.Warn("going on with the last good revision", "revision", last.Short(), "err", err)
	return t, err
}

// read makes a target of a revision: everything that can be wrong with a
// commit's content comes out here, before anything is changed.
func (a *Agent) read(ctx context.Context, rev *gitsource.Revision) (*target, error) {
	m, err := rev.Manifest(ctx)
	if err != nil {
		return nil, err
	}
	l, err := rev.Listing(ctx)
	if err != nil {
		return nil, err
	}
	d := apply.Desired{Revision: rev.ID(), Manifest: m, Listing: l, Metainfo: rev.Metainfo}
	a.keepListings(rev.ID())
	mine := a.listings[rev.ID()]
	if mine == nil {
		mine = apply.Wanted(m, a.cfg.Site, l)
		a.listings[rev.ID()] = mine // most often it is what was applied as well: not to be read twice
	}
	d.Owned = a.owned(ctx, a.state.Applied)
	for _, id := range a.earlier() {
		if l := a.owned(ctx, id); l != nil {
			d.Earlier = append(d.Earlier, l)
		}
	}
	return &target{revision: rev, desired: d, bytes: mine.Bytes()}, nil
}

// owned reads what an earlier revision put here. If that cannot be known, less
// is removed.
func (a *Agent) owned(ctx context.Context, id string) *manifests.Listing {
	if id == "" {
		return nil
	}
	rev, err := a.cfg.Source.Revision(ctx, id)
	if err == nil {
		var l *manifests.Listing
		if l, err = a.wanted(ctx, rev); err == nil {
			return l
		}
	}
	a.log.Warn("an earlier revision cannot be read, what it put here is left alone", "revision", id, "err", err)
	return nil
}

// keepListings forgets the listings no pass needs any more.
func (a *Agent) keepListings(rev string) {
	keep := map[string]bool{rev: true}
	for _, id := range a.ownedIDs() {
		keep[id] = true
	}
	for id := range a.listings {
		if !keep[id] {
			delete(a.listings, id)
		}
	}
}

func (a *Agent) tell(t *target) {
	if a.cfg.OnRevision != nil && a.told != t.revision.ID() {
		a.cfg.OnRevision(t.desired.Manifest, t.desired.Listing)
		a.told = t.revision.ID()
	}
}

// plan observes and plans. Only if removals are held is it worth finding out
// whether they were approved.
func (a *Agent) plan(ctx context.Context, t *target) (*apply.Plan, error) {
	a.pinAllowed(ctx)
	seen, err := a.cfg.Apply.Observe(ctx, t.desired)
	if err != nil {
		return nil, err
	}
	pulse.Step(ctx, "planning")
	plan := apply.NewPlan(t.desired, seen)
	if len(plan.Held) > 0 && a.allowPrune(ctx, t) {
		t.desired.AllowPrune = true
		plan = apply.NewPlan(t.desired, seen)
	}
	return plan, nil
}

// Plan says what a pass would do now. It reads only.
func (a *Agent) Plan(ctx context.Context) (*apply.Plan, *gitsource.Revision, error) {
	a.working.Lock()
	defer a.working.Unlock()
	rev, err := a.cfg.Source.Fetch(ctx)
	if err != nil {
		return nil, nil, err
	}
	t, err := a.read(ctx, rev)
	if err != nil {
		return nil, rev, fmt.Errorf("revision %s: %w", rev.Short(), err)
	}
	plan, err := a.plan(ctx, t)
	return plan, rev, err
}

// execute carries the plan out. While it does, news of a newer revision ends
// it between two actions; errSuperseded is returned then.
func (a *Agent) execute(ctx context.Context, t *target, plan *apply.Plan, watch bool) (*apply.Result, error) {
	if !watch {
		return a.cfg.Apply.Execute(ctx, t.desired, plan)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var watcher sync.WaitGroup
	// Its fetches, with every trigger, are no sign that the work itself gets on.
	beside := pulse.Unseen(ctx)
	watcher.Go(func() { a.watch(beside, t.revision.ID(), cancel) })
	result, err := a.cfg.Apply.Execute(ctx, t.desired, plan)
	superseded := errors.Is(context.Cause(ctx), errSuperseded)
	cancel(nil)
	watcher.Wait()
	if err != nil && superseded {
		return result, errSuperseded
	}
	return result, err
}

// watch looks, at every trigger, whether the catalog has moved on. The letter
// stays in the mailbox: a pass follows in any case.
func (a *Agent) watch(ctx context.Context, working string, cancel context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.mail.news:
		}
		rev, err := a.cfg.Source.Fetch(ctx)
		if err == nil && rev.ID() != working {
			a.log.Info("superseded", "working", working[:10], "newest", rev.Short())
			cancel(errSuperseded)
			return
		}
	}
}

// rememberer is a site that keeps the applied revision with the files, where it
// outlives the state folder. No stand-in has to.
type rememberer interface{ Remember(revision string) error }

var _ rememberer = (*apply.Site)(nil)

// conclude remembers how far a revision got.
func (a *Agent) conclude(rev string, r *apply.Result) error {
	if r == nil {
		return nil
	}
	if site, ok := a.cfg.Apply.(rememberer); ok && r.Applied && a.marked != rev {
		if err := site.Remember(rev); err != nil {
			a.log.Warn("the drives' markers do not know what was applied; it matters only if the state folder is lost", "err", err)
		}
		a.marked = rev
	}
	return a.remember(func(s *state) {
		if r.Applied {
			s.applied(rev)
		}
		if r.Complete {
			s.Complete = rev
		}
	})
}

// remember changes the state and writes it if that made a difference.
func (a *Agent) remember(change func(*state)) error {
	next := a.state
	change(&next)
	if next.equal(a.state) {
		return nil
	}
	if err := next.save(a.cfg.StateDir); err != nil {
		return err
	}
	a.state = next
	return nil
}

// Settle puts in place what has arrived since the last pass, and says how many
// transfers are left in its Outcome's Result. Before the first pass it does
// nothing, and its Result is nil.
func (a *Agent) Settle(ctx context.Context) (*Outcome, error) {
	release, err := a.hold()
	if err != nil {
		return &Outcome{Status: a.Status()}, err
	}
	defer release()
	a.working.Lock()
	defer a.working.Unlock()
	if a.current == nil {
		return &Outcome{Status: a.Status()}, nil
	}
	out := &Outcome{Revision: a.current.revision.ID()}
	out.Result, err = a.cfg.Apply.Settle(ctx, a.current.desired)
	if ctx.Err() != nil {
		return out, ctx.Err()
	}
	err = errors.Join(err, a.conclude(out.Revision, out.Result))
	a.reportSettled(ctx, out, err)
	return out, err
}
