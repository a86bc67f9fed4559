package agent

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/gitsource"
	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// patience of the watchdogs here. It may be short where work shall be found stuck.
const patience = time.Second

// overHTTPS makes an agent's source fetch the catalog from a git server.
func (c *catalog) overHTTPS(addr func(*testkit.GitHTTPS) string) (*testkit.GitHTTPS, *gitsource.Source) {
	c.t.Helper()
	g := testkit.ServeGitHTTPS(c.t, filepath.Dir(c.dir))
	src, err := gitsource.Open(gitsource.Config{
		URLs: []string{addr(g) + "/catalog.git"}, Dir: c.t.TempDir(), Timeout: time.Minute,
		HTTPS: gitsource.HTTPS{CAFile: g.CAFile, Username: g.Username, PasswordFile: g.PasswordFile},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = src.Close() })
	return g, src
}

// While a pass hangs, everything that looks at it gets on: whoever asks how it is, and
// each trigger, whose fetch moves bytes. None of it is a sign of life, neither before
// the watchdog barks nor after.
func TestWatchdogIsNotCalmedByLooks(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	site := &stepSite{}
	var hangs atomic.Bool
	hang := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(hang) })
	site.execute = func(context.Context, apply.Desired) (*apply.Result, error) {
		hangs.Store(true)
		hangHere(hang)
		return &apply.Result{Applied: true, Complete: true}, nil
	}
	cfg, said := c.config(site)
	g, src := c.overHTTPS(func(g *testkit.GitHTTPS) string { return g.URL })
	cfg.Source, cfg.Watchdog = src, patience
	var asked atomic.Int64
	g.Wrap(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); h.ServeHTTP(w, r) })
	})
	a := newAgent(t, cfg)
	stop := start(t, a)
	t.Cleanup(letGo) // before the agent is stopped
	waitFor(t, "the pass to hang", hangs.Load)
	look := func() error {
		a.Trigger()
		_, _ = a.Status(), a.Ready()
		return a.Health()
	}
	before := asked.Load()
	waitFor(t, "the watchdog beside looks", func() bool { return look() != nil })
	if asked.Load() == before {
		t.Error("no look reached the git server while the watchdog waited")
	}
	before = asked.Load()
	waitFor(t, "looks after it barked", func() bool {
		if look() == nil {
			t.Fatal("a look is taken for progress")
		}
		return asked.Load() > before+5
	})
	letGo()
	waitFor(t, "health after the pass came back", func() bool { return a.Health() == nil })
	stop()
	if log := said.String(); strings.Count(log, "watchdog: no progress") != 1 {
		t.Errorf("log: %s", log)
	}
}

