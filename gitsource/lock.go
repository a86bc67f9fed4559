package gitsource

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"seedtree/internal/pulse"
)

// Paces of those who wait for the mirror, and of those they wait for.
const (
	lockPause = 20 * time.Millisecond
	signPause = time.Second // between two signs of life that other processes see
)

// lock waits for our turn among goroutines and processes, and reads the state.
func (s *Source) lock(ctx context.Context) (unlock func(), err error) {
	if err := s.waitTurn(ctx); err != nil {
		return nil, fmt.Errorf("the mirror in %s is busy: %w", s.cfg.Dir, err)
	}
	if err := s.waitProcesses(ctx); err != nil {
		<-s.turn
		return nil, fmt.Errorf("the mirror in %s is in use by another process: %w", s.cfg.Dir, err)
	}
	s.beat = s.signing(pulse.Of(ctx))
	if s.store != nil {
		s.store.beat = s.beat
	}
	unlock = func() {
		if err := s.flock.Unlock(); err != nil {
			s.log.Warn("unlock the mirror", "dir", s.cfg.Dir, "err", err)
		}
		<-s.turn
	}
	s.st, err = loadState(s.path(stateName), s.cfg.Branch)
	if err != nil {
		// Without it there is no telling a rewind from progress; say so once and go on.
		s.log.Warn("the mirror's state is lost; the remote's head will be taken as it is", "err", err)
		if err := saveState(s.path(stateName), s.st); err != nil {
			unlock()
			return nil, err
		}
	}
	return unlock, nil
}

// lockQuick is lock for a look that has no context; it waits for a fetch under way as
// long as a remote may stay silent.
func (s *Source) lockQuick() (func(), error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Timeout)
	defer cancel()
	return s.lock(ctx)
}

// waitTurn waits for the goroutine whose turn it is. Waiting is no sign of life, but
// what it waits for may give some: a fetch of hours is no reason to take those who
// wait for it for stuck, and one that hangs is.
func (s *Source) waitTurn(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	default:
	}
	pulse.Step(ctx, "waiting for the mirror, which other work here uses")
	beat, seen := pulse.Of(ctx), s.signs.Load()
	tick := time.NewTicker(lockPause)
	defer tick.Stop()
	for {
		select {
		case s.turn <- struct{}{}:
			pulse.Step(ctx, "using the mirror")
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if now := s.signs.Load(); now != seen {
			seen = now
			beat()
		}
	}
}

// waitProcesses waits for the process that has the mirror; the kernel takes it from a
// dead one. A living one shows that it gets on by the time of the lock's file.
func (s *Source) waitProcesses(ctx context.Context) error {
	free, err := s.flock.TryLock()
	if free || err != nil {
		return err
	}
	pulse.Step(ctx, "waiting for the mirror, which another process uses")
	beat, seen := pulse.Of(ctx), s.signed()
	tick := time.NewTicker(lockPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if free, err = s.flock.TryLock(); free || err != nil {
			pulse.Step(ctx, "using the mirror")
			return err
		}
		if now := s.signed(); !now.Equal(seen) {
			seen = now
			beat()
			s.signs.Add(1) // for those here who wait for us
		}
	}
}

// signed is when the process that has the mirror last showed that it gets on.
func (s *Source) signed() (at time.Time) {
	if info, err := os.Stat(s.path(lockName)); err == nil {
		at = info.ModTime()
	}
	return at
}

// signing makes signs of life seen by those who wait as well. Work that is over soon
// leaves no trace: a look without news writes nothing.
func (s *Source) signing(beat func()) func() {
	var last atomic.Int64
	begun := time.Now()
	return func() {
		beat()
		s.signs.Add(1)
		was, now := last.Load(), int64(time.Since(begun))
		if now-was < int64(signPause) || !last.CompareAndSwap(was, now) {
			return
		}
		at := time.Now()
		_ = os.Chtimes(s.path(lockName), at, at) // unseen, a wait for us may be taken for stuck
	}
}

// beating is the context of what works for the present holder of the mirror.
func (s *Source) beating(ctx context.Context) context.Context {
	beat := s.beat
	return pulse.With(ctx, func(string) { beat() })
}
