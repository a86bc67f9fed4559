package agent

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"seedtree/apply"
	"seedtree/gitsource"
	"seedtree/manifests"
)

// The paces of the worker, on a clock that costs no time.
func TestWorkerPaces(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	cfg, _ := c.config(nil)
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("no engine")
		var at []time.Duration
		began := time.Now()
		var works atomic.Bool
		site := &stepSite{observe: func() error {
			at = append(at, time.Since(began))
			if !works.Load() {
				return broken
			}
			return nil
		}}
		cfg.Apply = site
		a := newAgent(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.Run(ctx) }()
		time.Sleep(20 * time.Minute)
		synctest.Wait()
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
		tries := len(at)
		time.Sleep(23 * time.Hour)
		synctest.Wait()
		if len(at) != tries {
			t.Errorf("%d passes that nobody asked for", len(at)-tries)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Settling slows down while nothing moves, never to more than ten seconds.
func TestSettlePace(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	cfg, _ := c.config(nil)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		var waiting atomic.Int32
		waiting.Store(3)
		cfg.Apply = &stepSite{
			execute: func(context.Context, apply.Desired) (*apply.Result, error) {
				return &apply.Result{Applied: true, Waiting: int(waiting.Load())}, nil
			},
			settle: func() (*apply.Result, error) {
				at = append(at, time.Since(began))
				return &apply.Result{Applied: true, Waiting: int(waiting.Load())}, nil
			},
		}
		a := newAgent(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.Run(ctx) }()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		n := len(at)
		if n < 3 || at[0] != settleFirst || at[n-1]-at[n-2] != settleLast {
			t.Fatalf("settled at %v", at)
		}
		waiting.Store(2)
		time.Sleep(settleLast + settleFirst)
		synctest.Wait()
		soon := false
		for i := n; i < len(at); i++ {
			soon = soon || at[i]-at[i-1] == settleFirst
		}
		if !soon {
			t.Errorf("settled at %v: nothing came sooner after something moved", at[n-1:])
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Triggers during a pass are one pass more, not as many.
func TestTriggersCoalesce(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	cfg, _ := c.config(nil)
	synctest.Test(t, func(t *testing.T) {
		site := &stepSite{execute: func(context.Context, apply.Desired) (*apply.Result, error) {
			time.Sleep(time.Minute)
			return &apply.Result{Applied: true, Complete: true}, nil
		}}
		cfg.Apply = site
		a := newAgent(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.Run(ctx) }()
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			a.Trigger()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := len(site.passes()); got != 2 {
			t.Errorf("%d passes, want 2", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
