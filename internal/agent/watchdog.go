package agent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime/pprof"
	"sync"
	"time"

	"seedtree/internal/pulse"
)

// maxStacks bounds what the watchdog logs, in bytes.
const maxStacks = 64 << 10

// watchdog notices work that does not get on although everything in it has its
// deadline: a disk that hangs, a client's library that waits for itself. It goes by
// signs of life and not by time: hashing for a week is no reason to bark. What only
// computes, as a plan does, gives none: a catalog has a few million entries at most.
type watchdog struct {
	limit time.Duration // 0: it sleeps
	log   *slog.Logger

	mu     sync.Mutex
	doing  string // "": nothing, and nothing is expected
	step   string // what of it; "" at its beginning
	last   time.Time
	barked time.Time // when the present silence was noticed; zero: it was not
}

// watch gives work a name, until the returned function is called.
func (d *watchdog) watch(ctx context.Context, what string) (watched context.Context, done func()) {
	d.set(what)
	return pulse.With(ctx, d.beat), func() { d.set("") }
}

func (d *watchdog) set(what string) {
	d.mu.Lock()
	d.doing, d.step = what, ""
	d.mu.Unlock()
	d.beat("")
}

// beat is a sign of life, and says what is being done from now on unless that is "".
func (d *watchdog) beat(step string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if step != "" {
		d.step = step
	}
	d.last = time.Now()
	if !d.barked.IsZero() {
		d.log.Info("watchdog: it gets on again", "after", d.last.Sub(d.barked)+d.limit)
		d.barked = time.Time{}
	}
}

// run looks until ctx ends.
func (d *watchdog) run(ctx context.Context) {
	if d.limit <= 0 {
		return
	}
	tick := time.NewTicker(max(d.limit/10, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			d.look(now)
		}
	}
}

func (d *watchdog) look(now time.Time) {
	d.mu.Lock()
	stuck := d.doing != "" && d.barked.IsZero() && now.Sub(d.last) > d.limit
	if stuck {
		d.barked = now
	}
	doing, step, last := d.doing, d.step, d.last
	d.mu.Unlock()
	if stuck {
		d.log.Error("watchdog: no progress", "doing", doing, "step", step, "since", last.UTC().Truncate(time.Second), "stacks", stacks())
	}
}

// stuck says what does not get on, at which step and since when; nil while all is well.
// Asking is no sign of life.
func (d *watchdog) stuck() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.barked.IsZero() {
		return nil
	}
	where := ""
	if d.step != "" {
		where = ", while " + d.step
	}
	return fmt.Errorf("%s: no progress for %v, since %s%s", d.doing, time.Since(d.last).Round(time.Second), d.last.UTC().Format(time.RFC3339), where)
}

// stacks lists where goroutines stand, equal ones once.
func stacks() string {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return err.Error()
	}
	return string(b.Bytes()[:min(b.Len(), maxStacks)])
}
