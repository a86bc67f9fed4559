package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/gitsource"
	"seedtree/manifests"
)

func TestPassIsTold(t *testing.T) {
	c := newCatalog(t)
	first := c.commit(append(listed(enginetest.NewFile(t, "photos", "a.jpg", []byte("a"))), put(manifests.ManifestName, manifest("oslo"))))
	site := &stepSite{}
	cfg, _ := c.config(site)
	var told []int
	cfg.OnRevision = func(_ *manifests.Manifest, l *manifests.Listing) { told = append(told, l.Len()) }
	cfg.ReportStatus = true
	a := newAgent(t, cfg)
	for range 2 {
		out, err := a.Reconcile(t.Context())
		if err != nil || out.Revision != first || out.Plan == nil || out.Result == nil {
			t.Fatalf("%+v, %v", out, err)
		}
	}
	c.commit(listed(enginetest.NewFile(t, "photos", "b.jpg", []byte("b"))))
	if _, err := a.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1, 2}, told); diff != "" {
		t.Errorf("OnRevision is told of each revision once: %s", diff)
	}
	// The same words on disk, on the status branch and in memory.
	statuses, err := c.src.Statuses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	onDisk, err := os.ReadFile(filepath.Join(cfg.StateDir, StatusName))
	if err != nil {
		t.Fatal(err)
	}
	for where, data := range map[string][]byte{"branch": statuses["lima"], "disk": onDisk, "memory": a.Status().Encode()} {
		st, err := manifests.DecodeStatus(data)
		if err != nil || st.Complete != c.head.ID() || st.Applied != st.Complete || st.Attempted != st.Complete || st.Engine != "memory" || st.Time.IsZero() || st.Remote != c.dir {
			t.Errorf("status on %s: %+v, %v", where, st, err)
		}
	}
}

// Nothing changed: the branch is left alone until the heartbeat.
func TestStatusIsPushedWhenItChanges(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	cfg, _ := c.config(&stepSite{})
	cfg.ReportStatus = true
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	cfg.Clock = func() time.Time { return now }
	a := newAgent(t, cfg)
	published := func() time.Time {
		t.Helper()
		if _, err := a.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := c.src.Statuses(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		st, err := manifests.DecodeStatus(all["lima"])
		if err != nil {
			t.Fatal(err)
		}
		return st.Time
	}
	first := published()
	now = now.Add(5 * time.Hour)
	if got := published(); !got.Equal(first) {
		t.Errorf("nothing changed, and the status of %v became that of %v", first, got)
	}
	now = now.Add(time.Hour)
	if got := published(); !got.Equal(now) {
		t.Errorf("after six hours the status is of %v, want %v", got, now)
	}
	now = now.Add(time.Minute)
	c.commit(listed(enginetest.NewFile(t, "photos", "b.jpg", []byte("b"))))
	if got := published(); !got.Equal(now) {
		t.Errorf("after a new revision the status is of %v, want %v", got, now)
	}
}

// A site that may not push works, and says so once.
func TestStatusRefusedIsOneWarning(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	hook := filepath.Join(c.dir, "hooks", "pre-receive")
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg, said := c.config(&stepSite{})
	cfg.ReportStatus = true
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	cfg.Clock = func() time.Time { return now }
	a := newAgent(t, cfg)
	passes := func(n int) {
		t.Helper()
		for range n {
			now = now.Add(11 * time.Minute)
			if _, err := a.Reconcile(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	passes(12) // it asks again now and then, and says nothing
	if n := strings.Count(said.String(), "may not report"); n != 1 {
		t.Errorf("said %d times:\n%s", n, said)
	}
	if err := os.Remove(hook); err != nil {
		t.Fatal(err)
	}
	passes(3)
	if all, err := c.src.Statuses(t.Context()); err != nil || len(all) != 1 || !strings.Contains(said.String(), "again") {
		t.Errorf("after it was allowed: %v, %v\n%s", all, err, said)
	}
}

// With git away, a site goes on with the last good revision, also after a
// restart; the error is told.
func TestGitUnreachable(t *testing.T) {
	c := newCatalog(t)
	first := c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	site := &stepSite{}
	cfg, said := c.config(site)
	cfg.ReportStatus = true
	if _, err := newAgent(t, cfg).Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(c.dir, c.dir+".away"); err != nil {
		t.Fatal(err)
	}
	out, err := newAgent(t, cfg).Reconcile(t.Context())
	if !errors.Is(err, gitsource.ErrUnreachable) || out.Revision != first || out.Result == nil {
		t.Errorf("after a restart without git: %+v, %v", out, err)
	}
	if strings.Contains(said.String(), "cannot push") {
		t.Errorf("a remote that is away is asked twice in one pass:\n%s", said)
	}
	if len(site.passes()) != 2 || len(out.Status.Errors) == 0 {
		t.Errorf("passes %v, status errors %q", site.passes(), out.Status.Errors)
	}
	if err := os.Rename(c.dir+".away", c.dir); err != nil {
		t.Fatal(err)
	}
	out, err = newAgent(t, cfg).Reconcile(t.Context())
	if err != nil || len(out.Status.Errors) != 0 {
		t.Errorf("once it answers again: status errors %q, %v", out.Status.Errors, err)
	}
	if err := os.Rename(c.dir, c.dir+".away"); err != nil {
		t.Fatal(err)
	}
	// A site that never had a revision has nothing to go on with.
	fresh, _ := c.config(site)
	out, err = newAgent(t, fresh).Reconcile(t.Context())
	if !errors.Is(err, gitsource.ErrUnreachable) || out.Plan != nil || len(site.passes()) != 3 {
		t.Errorf("a fresh site without git: %+v, %v", out, err)
	}
}

// A revision that cannot be read changes nothing; the last good one stays the goal.
func TestBadRevision(t *testing.T) {
	for name, bad := range map[string]gitsource.File{
		"manifest": put(manifests.ManifestName, []byte("apiVersion: seedtree/v2\n")),
		"listing":  put("torrents/photos/x.torrent", []byte("not bencode")),
	} {
		t.Run(name, func(t *testing.T) {
			c := newCatalog(t)
			good := c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
			site := &stepSite{}
			cfg, _ := c.config(site)
			a := newAgent(t, cfg)
			if _, err := a.Reconcile(t.Context()); err != nil {
				t.Fatal(err)
			}
			badID := c.commit([]gitsource.File{bad})
			out, err := a.Reconcile(t.Context())
			if err == nil || !strings.Contains(err.Error(), badID[:10]) || out.Revision != good {
				t.Errorf("%+v, %v", out, err)
			}
			if st := a.Status(); st.Attempted != good || len(st.Errors) == 0 {
				t.Errorf("status %+v", st)
			}
		})
	}
}

// What a pass began and did not finish is remembered as ours, across restarts,
// until a revision is applied.
func TestOwnershipIsRemembered(t *testing.T) {
	c := newCatalog(t)
	one := c.commit(append(listed(enginetest.NewFile(t, "photos", "a.jpg", []byte("a"))), put(manifests.ManifestName, manifest("oslo"))))
	site := &stepSite{}
	cfg, _ := c.config(site)
	pass := func(applied bool, fail error) state {
		t.Helper()
		site.execute = func(context.Context, apply.Desired) (*apply.Result, error) {
			return &apply.Result{Applied: applied}, fail
		}
		if _, err := newAgent(t, cfg).Reconcile(t.Context()); !errors.Is(err, fail) {
			t.Fatal(err)
		}
		st, damaged, err := loadState(cfg.StateDir)
		if err != nil || damaged != nil {
			t.Fatal(err, damaged)
		}
		return st
	}
	broken := errors.New("disk full")
	if got := pass(false, broken); got.Applied != "" || !cmp.Equal(got.Earlier, []string{one}) {
		t.Errorf("after a broken first pass: %+v", got)
	}
	if got := pass(true, nil); got.Applied != one || got.Earlier != nil {
		t.Errorf("after the first good pass: %+v", got)
	}
	two := c.commit(listed(enginetest.NewFile(t, "photos", "b.jpg", []byte("b"))))
	pass(false, broken)
	if got := pass(false, broken); got.Applied != one || !cmp.Equal(got.Earlier, []string{two}) {
		t.Errorf("after two broken passes: %+v", got)
	}
	three := c.commit(nil, "torrents/photos/a.jpg.torrent", "torrents/photos/b.jpg.torrent")
	if got := pass(false, broken); !cmp.Equal(got.Earlier, []string{two, three}) {
		t.Errorf("after a third revision: %+v", got)
	}
	if d := site.desired; d.Owned.Len() != 1 || len(d.Earlier) != 1 || d.Earlier[0].Len() != 2 || d.Listing.Len() != 0 {
		t.Errorf("the site is told that it owns %d and %d listings", d.Owned.Len(), len(d.Earlier))
	}
	if got := pass(true, nil); got.Applied != three || got.Earlier != nil || got.Complete != "" {
		t.Errorf("at last: %+v", got)
	}
}

func TestDamagedStateIsDisposable(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	for _, data := range []string{"", "{", `{"applied": 7}`, "\x00\x00"} {
		cfg, said := c.config(&stepSite{})
		if err := os.WriteFile(filepath.Join(cfg.StateDir, stateName), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := newAgent(t, cfg).Reconcile(t.Context()); err != nil || out.Status.Complete == "" {
			t.Errorf("%q: %+v, %v", data, out, err)
		}
		if !strings.Contains(said.String(), "state file") {
			t.Errorf("%q: nothing said", data)
		}
	}
}

func TestEngineUnreachableIsTold(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	gone := errors.New("engine unreachable")
	cfg, _ := c.config(&stepSite{observe: func() error { return gone }})
	out, err := newAgent(t, cfg).Reconcile(t.Context())
	if !errors.Is(err, gone) || out.Plan != nil || !strings.Contains(strings.Join(out.Status.Errors, " "), gone.Error()) {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestPlanReadsOnly(t *testing.T) {
	c := newCatalog(t)
	id := c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	site := &stepSite{}
	cfg, _ := c.config(site)
	cfg.OnRevision = func(*manifests.Manifest, *manifests.Listing) { t.Error("told of a revision that is not applied") }
	plan, rev, err := newAgent(t, cfg).Plan(t.Context())
	if err != nil || rev.ID() != id || plan.Revision != id {
		t.Fatalf("%+v, %v, %v", plan, rev, err)
	}
	if left, err := os.ReadDir(cfg.StateDir); err != nil || len(left) != 0 || len(site.passes()) != 0 {
		t.Errorf("the state folder holds %v (%v), passes %v", left, err, site.passes())
	}
}

func TestTwoAgentsOnOneState(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	site := &stepSite{}
	cfg, _ := c.config(site)
	first := newAgent(t, cfg)
	stop := start(t, first)
	waitFor(t, "the first pass", func() bool { return first.Status().Complete != "" })
	second := newAgent(t, cfg)
	if _, err := second.Reconcile(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("a pass beside a running agent: %v", err)
	}
	if err := second.Run(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("an agent beside a running agent: %v", err)
	}
	if _, err := first.Reconcile(t.Context()); err != nil {
		t.Errorf("the running agent itself: %v", err)
	}
	stop()
	if _, err := second.Reconcile(t.Context()); err != nil {
		t.Errorf("after the first ended: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	c := newCatalog(t)
	good, _ := c.config(&stepSite{})
	for name, change := range map[string]func(*Config){
		"site name":      func(c *Config) { c.Site = "Über" },
		"no source":      func(c *Config) { c.Source = nil },
		"no site":        func(c *Config) { c.Apply = nil },
		"no state":       func(c *Config) { c.StateDir = "" },
		"jitter":         func(c *Config) { c.Schedule.Jitter = 1 },
		"sync schedule":  func(c *Config) { c.Schedule.Sync = "TZ=UTC" },
		"build schedule": func(c *Config) { c.Schedule.Build = "0 0 31 2 *" },
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A newer revision ends the pass in flight, and the next pass is about it.
func TestNewerRevisionSupersedes(t *testing.T) {
	c := newCatalog(t)
	first := c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	site := &stepSite{execute: func(ctx context.Context, d apply.Desired) (*apply.Result, error) {
		if d.Revision == first {
			<-ctx.Done() // a pass that would take for ever
			return nil, ctx.Err()
		}
		return &apply.Result{Applied: true, Complete: true}, nil
	}}
	cfg, said := c.config(site)
	a := newAgent(t, cfg)
	start(t, a)
	waitFor(t, "the first pass", func() bool { return len(site.passes()) == 1 })
	second := c.commit(listed(enginetest.NewFile(t, "photos", "b.jpg", []byte("b"))))
	a.Trigger()
	waitFor(t, "the second revision", func() bool { return a.Status().Complete == second })
	if strings.Contains(said.String(), "pass failed") || len(a.Status().Errors) != 0 {
		t.Errorf("a superseded pass counts as failed: %v\n%s", a.Status().Errors, said)
	}
	if diff := cmp.Diff([]string{first, second}, site.passes()); diff != "" {
		t.Error(diff)
	}
}

// Transfers that wait are settled every few seconds, without a pass.
func TestSettleUntilComplete(t *testing.T) {
	c := newCatalog(t)
	id := c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	left := 2
	site := &stepSite{
		execute: func(context.Context, apply.Desired) (*apply.Result, error) {
			return &apply.Result{Applied: true, Waiting: left, Complete: left == 0}, nil
		},
		settle: func() (*apply.Result, error) {
			left--
			return &apply.Result{Applied: true, Waiting: left, Complete: left == 0}, nil
		},
	}
	cfg, _ := c.config(site)
	a := newAgent(t, cfg)
	start(t, a)
	waitFor(t, "completion", func() bool { return a.Status().Complete == id })
	waitFor(t, "a last look at everything", func() bool { return len(site.passes()) == 2 })
}
