package agent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"seedtree/apply"
	"seedtree/gitsource"
	"seedtree/manifests"
)

// moments is when something happened, counted from its making.
type moments struct {
	mu    sync.Mutex
	began time.Time
	at    []time.Duration
}

func (m *moments) add() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = append(m.at, time.Since(m.began))
}

func (m *moments) all() []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.at)
}

// empty is a catalog with main and no files, and the configuration of its main.
func empty(t *testing.T) (*catalog, Config) {
	t.Helper()
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	cfg, _ := c.config(nil)
	return c, cfg
}

// runs starts an agent; end stops it, and waits until it has.
func runs(t *testing.T, cfg Config) (a *Agent, end func()) {
	t.Helper()
	a = newAgent(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	return a, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// The paces of the worker, on a clock that costs no time.
func TestWorkerPaces(t *testing.T) {
	_, cfg := empty(t)
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("no engine")
		tries := &moments{began: time.Now()}
		var works atomic.Bool
		site := &stepSite{observe: func() error {
			tries.add()
			if !works.Load() {
				return broken
			}
			return nil
		}}
		cfg.Apply = site
		a, end := runs(t, cfg)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		at := tries.all()
		want := []time.Duration{0, 15 * time.Second, 45 * time.Second, 105 * time.Second, 225 * time.Second}
		for i, w := range want {
			if i >= len(at) || at[i].Round(time.Second) != w {
				t.Fatalf("a failing pass is tried at %v, want %v and then every %v", at, want, retryLast)
			}
		}
		if got := at[len(at)-1] - at[len(at)-2]; got.Round(time.Second) != retryLast {
			t.Errorf("the last two tries are %v apart, want %v", got, retryLast)
		}
		works.Store(true)
		a.Trigger()
		synctest.Wait()
		asked := len(tries.all())
		time.Sleep(23 * time.Hour)
		synctest.Wait()
		if n := len(tries.all()); n != asked {
			t.Errorf("%d passes that nobody asked for", n-asked)
		}
		end()
	})
}

// Settling slows down while nothing moves, never to more than ten seconds.
func TestSettlePace(t *testing.T) {
	_, cfg := empty(t)
	synctest.Test(t, func(t *testing.T) {
		settles := &moments{began: time.Now()}
		var waiting atomic.Int32
		waiting.Store(3)
		cfg.Apply = &stepSite{
			execute: func(context.Context, apply.Desired) (*apply.Result, error) {
				return &apply.Result{Applied: true, Waiting: int(waiting.Load())}, nil
			},
			settle: func() (*apply.Result, error) {
				settles.add()
				return &apply.Result{Applied: true, Waiting: int(waiting.Load())}, nil
			},
		}
		_, end := runs(t, cfg)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		at := settles.all()
		n := len(at)
		if n < 3 || at[0] != settleFirst || at[n-1]-at[n-2] != settleLast {
			t.Fatalf("settled at %v", at)
		}
		waiting.Store(2)
		time.Sleep(settleLast + settleFirst)
		synctest.Wait()
		at = settles.all()
		soon := false
		for i := n; i < len(at); i++ {
			soon = soon || at[i]-at[i-1] == settleFirst
		}
		if !soon {
			t.Errorf("settled at %v: nothing came sooner after something moved", at[n-1:])
		}
		end()
	})
}

// Triggers during a pass are one pass more, not as many.
func TestTriggersCoalesce(t *testing.T) {
	_, cfg := empty(t)
	synctest.Test(t, func(t *testing.T) {
		site := &stepSite{execute: func(context.Context, apply.Desired) (*apply.Result, error) {
			time.Sleep(time.Minute)
			return &apply.Result{Applied: true, Complete: true}, nil
		}}
		cfg.Apply = site
		a, end := runs(t, cfg)
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			a.Trigger()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := len(site.passes()); got != 2 {
			t.Errorf("%d passes, want 2", got)
		}
		end()
	})
}

// A builder that commits faster than a pass does not keep passes from ending.
func TestSupersedingEnds(t *testing.T) {
	c, cfg := empty(t)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var complete atomic.Int32
		site := &stepSite{execute: func(ctx context.Context, _ apply.Desired) (*apply.Result, error) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-release:
				complete.Add(1)
				return &apply.Result{Applied: true, Complete: true}, nil
			}
		}}
		cfg.Apply = site
		a, end := runs(t, cfg)
		synctest.Wait()
		for i := range maxSuperseded + 2 {
			want := min(i, maxSuperseded) + 1
			if got := len(site.passes()); got != want {
				t.Fatalf("after %d newer revisions %d passes, want %d", i, got, want)
			}
			c.commit([]gitsource.File{put("torrents/photos/"+string(rune('a'+i))+".empty", nil)})
			a.Trigger()
			synctest.Wait()
		}
		close(release)
		synctest.Wait()
		if len(site.passes()) != maxSuperseded+2 || complete.Load() != 2 {
			t.Errorf("%d passes, %d of them complete", len(site.passes()), complete.Load())
		}
		end()
	})
}

// Who has completed as a follower and is main now finds out without waiting
// for the schedule, and without a circle if it is not.
func TestPendingMainLooksAgain(t *testing.T) {
	_, cfg := empty(t)
	synctest.Test(t, func(t *testing.T) {
		site := &stepSite{execute: func(context.Context, apply.Desired) (*apply.Result, error) {
			return &apply.Result{Role: apply.PendingMain, Applied: true, Complete: true}, nil
		}}
		cfg.Apply = site
		_, end := runs(t, cfg)
		synctest.Wait()
		if got := len(site.passes()); got != 2 {
			t.Errorf("%d passes, want 2", got)
		}
		end()
	})
}
