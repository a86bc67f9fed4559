package agent

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/gitsource"
	"seedtree/internal/pulse"
	"seedtree/manifests"
)

// A client's call that never comes back is noticed, told with the place where it
// hangs, and forgiven when it ends.
func TestWatchdogBarks(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	site := &stepSite{}
	hang := make(chan struct{})
	site.execute = func(context.Context, apply.Desired) (*apply.Result, error) {
		hangHere(hang)
		return &apply.Result{Applied: true, Complete: true}, nil
	}
	cfg, said := c.config(site)
	cfg.Watchdog = 300 * time.Millisecond
	a := newAgent(t, cfg)
	if err := a.Health(); err != nil {
		t.Errorf("before the start: %v", err)
	}
	stop := start(t, a)
	waitFor(t, "the watchdog", func() bool { return a.Health() != nil })
	if err := a.Health(); !strings.Contains(err.Error(), "pass: no progress") {
		t.Errorf("health: %v", err)
	}
	if a.Ready() == nil {
		t.Error("ready although nothing was applied")
	}
	close(hang)
	waitFor(t, "health after the call came back", func() bool { return a.Health() == nil })
	waitFor(t, "readiness", func() bool { return a.Ready() == nil })
	time.Sleep(2 * cfg.Watchdog) // being idle is no reason to bark
	if err := a.Health(); err != nil {
		t.Errorf("while idle: %v", err)
	}
	stop()
	log := said.String()
	if strings.Count(log, "watchdog: no progress") != 1 || !strings.Contains(log, "hangHere") || !strings.Contains(log, "gets on again") {
		t.Errorf("log: %s", log)
	}
}

//go:noinline
func hangHere(hang chan struct{}) { <-hang }

// Long work that shows signs of life is left alone, however long it takes.
func TestWatchdogLeavesLongWorkAlone(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	site := &stepSite{}
	const limit = time.Second
	var ended atomic.Bool
	site.execute = func(ctx context.Context, _ apply.Desired) (*apply.Result, error) {
		for begun := time.Now(); time.Since(begun) < 3*limit; time.Sleep(limit / 50) {
			pulse.Of(ctx)()
		}
		ended.Store(true)
		return &apply.Result{Applied: true, Complete: true}, nil
	}
	cfg, said := c.config(site)
	cfg.Watchdog = limit
	a := newAgent(t, cfg)
	stop := start(t, a)
	waitFor(t, "the end of the work", ended.Load)
	stop()
	if strings.Contains(said.String(), "watchdog") {
		t.Errorf("log: %s", said)
	}
}

func TestReadiness(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	site := &stepSite{}
	cfg, _ := c.config(site)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	cfg.Clock = func() time.Time { return now }
	cfg.Schedule = Times{Sync: "@every 5m", Location: time.UTC, Jitter: 0.1}
	a := newAgent(t, cfg)
	want := func(when, reason string) {
		t.Helper()
		err := a.Ready()
		if (err == nil) != (reason == "") || err != nil && !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v, want %q", when, err, reason)
		}
	}
	want("at the start", "no revision was applied")
	if _, err := a.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("after a pass", "")
	now = now.Add(15 * time.Minute)
	want("three intervals later", "")
	now = now.Add(time.Minute)
	want("a minute more", "16m0s ago")
	site.observe = func() error { return errors.New("no") }
	_, _ = a.Reconcile(t.Context())
	want("after a pass that failed", "16m0s ago")
	site.observe = nil
	if _, err := a.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("after one that went well", "")
}
