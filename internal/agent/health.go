package agent

import (
	"errors"
	"fmt"
	"time"
)

// Health is nil while the agent is alive, and an error that says what hangs after
// the watchdog found something. It never waits.
func (a *Agent) Health() error { return a.dog.stuck() }

// staleAfter is how many intervals of the schedule the last success may be old.
const staleAfter = 3

// readiness is what passes leave behind for Ready.
type readiness struct {
	applied bool      // a revision was applied since the start
	good    time.Time // the end of the last pass without an error, or the start
}

// Ready is nil when a revision was applied since the start and the last pass that
// went well is not older than three intervals of the schedule. It never waits.
func (a *Agent) Ready() error {
	a.readyMu.Lock()
	r := a.ready
	a.readyMu.Unlock()
	if !r.applied {
		return errors.New("no revision was applied yet")
	}
	if a.sync.IsZero() {
		return nil
	}
	due := r.good
	for range staleAfter {
		due = a.sync.Next(due)
	}
	// Passes come later by a share of the interval, the jitter.
	due = due.Add(time.Duration(a.cfg.Schedule.Jitter * float64(a.sync.Next(due).Sub(due))))
	if now := a.clock(); now.After(due) {
		return fmt.Errorf("the last pass that went well ended %v ago", now.Sub(r.good).Round(time.Second))
	}
	return nil
}

// notePass remembers how a pass ended, for Ready.
func (a *Agent) notePass(out *Outcome, err error) {
	a.readyMu.Lock()
	defer a.readyMu.Unlock()
	a.ready.applied = a.ready.applied || out.Result != nil && out.Result.Applied
	if err == nil {
		a.ready.good = a.clock()
	}
}
