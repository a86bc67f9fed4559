package agent

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/gitsource"
	"seedtree/internal/testkit"
	"seedtree/internal/web"
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

// healthz asks as a kubelet does.
func healthz(a *Agent) (code int, words string) {
	w := httptest.NewRecorder()
	web.Handler(a).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	return w.Code, w.Body.String()
}

// sick waits until /healthz fails, and wants it to say where and since when.
func sick(t *testing.T, a *Agent, began time.Time, step string) {
	t.Helper()
	waitFor(t, "the watchdog", func() bool { code, _ := healthz(a); return code == http.StatusServiceUnavailable })
	_, words := healthz(a)
	since := regexp.MustCompile(`^pass: no progress for \d+s, since (\S+), while (.+)\n$`).FindStringSubmatch(words)
	if since == nil || since[2] != step {
		t.Fatalf("healthz: %q, want it to be about %q", words, step)
	}
	at, err := time.Parse(time.RFC3339, since[1])
	if err != nil || at.Before(began.Truncate(time.Second)) || at.After(time.Now()) {
		t.Errorf("healthz: %q, begun at %v: %v", words, began, err)
	}
}

// well waits until /healthz is well again, and the agent has done a pass.
func well(t *testing.T, a *Agent) {
	t.Helper()
	waitFor(t, "health", func() bool { code, _ := healthz(a); return code == http.StatusOK })
	waitFor(t, "a pass that goes well", func() bool { a.Trigger(); return a.Ready() == nil })
	if code, words := healthz(a); code != http.StatusOK {
		t.Errorf("healthz after a pass: %d %q", code, words)
	}
}

// A git server that accepts and says nothing is given all of catalog.timeout, which here
// is longer than the watchdog's patience.
func TestGitServerThatNeverAnswers(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	var relay *testkit.Relay
	cfg, _ := c.config(&stepSite{})
	_, cfg.Source = c.overHTTPS(func(g *testkit.GitHTTPS) string {
		relay = testkit.ServeRelay(t, g.Server.Listener.Addr().String())
		return "https://" + relay.Addr
	})
	cfg.Watchdog = patience
	relay.Set(testkit.Fault{Then: testkit.Stall})
	a, began := newAgent(t, cfg), time.Now()
	start(t, a)
	sick(t, a, began, "fetching the catalog")
	relay.Set(testkit.Fault{})
	well(t, a)
}

// A thin line is no hanging one: the catalog comes in small steps that take several
// times the patience together.
func TestThinLineIsLongHonestWork(t *testing.T) {
	const (
		patience = 3 * time.Second
		step     = 256 // bytes
		pause    = patience / 60
		steps    = 200
	)
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo")), put("noise", enginetest.Random(1, steps*step))})
	var relay *testkit.Relay
	site := &stepSite{}
	cfg, said := c.config(site)
	_, cfg.Source = c.overHTTPS(func(g *testkit.GitHTTPS) string {
		relay = testkit.ServeRelay(t, g.Server.Listener.Addr().String())
		return "https://" + relay.Addr
	})
	cfg.Watchdog = patience
	relay.Set(testkit.Fault{Then: testkit.Throttle(step, pause)})
	a, began := newAgent(t, cfg), time.Now()
	stop := start(t, a)
	waitFor(t, "the pass", func() bool {
		if code, words := healthz(a); code != http.StatusOK {
			t.Fatalf("after %v: %d %s", time.Since(began), code, words)
		}
		return len(site.passes()) > 0
	})
	if took := time.Since(began); took < 3*patience {
		t.Errorf("it took %v, which tests nothing", took)
	}
	stop()
	if strings.Contains(said.String(), "watchdog") {
		t.Errorf("log: %s", said)
	}
}

// slowSite reads each torrent of the catalog in no time, and sleeps before.
type slowSite struct {
	*apply.Site
	sleep func()
}

func (s slowSite) slow(d apply.Desired) apply.Desired {
	real := d.Metainfo
	d.Metainfo = func(ctx context.Context, e manifests.Entry) ([]byte, error) { s.sleep(); return real(ctx, e) }
	return d
}

// Execute implements Site.
func (s slowSite) Execute(ctx context.Context, d apply.Desired, p *apply.Plan) (*apply.Result, error) {
	return s.Site.Execute(ctx, s.slow(d), p)
}

// Settle implements Site.
func (s slowSite) Settle(ctx context.Context, d apply.Desired) (*apply.Result, error) {
	return s.Site.Settle(ctx, s.slow(d))
}

// slowEngine sleeps before each call.
type slowEngine struct {
	*enginetest.Memory
	sleep func()
}

// List implements apply.Engine.
func (e slowEngine) List(ctx context.Context) ([]apply.Torrent, error) {
	e.sleep()
	return e.Memory.List(ctx)
}

// Add implements apply.Engine.
func (e slowEngine) Add(ctx context.Context, all []apply.Addition) error {
	e.sleep()
	return e.Memory.Add(ctx, all)
}

// Move implements apply.Engine.
func (e slowEngine) Move(ctx context.Context, h manifests.InfoHash, root string) error {
	e.sleep()
	return e.Memory.Move(ctx, h, root)
}

// Remove implements apply.Engine.
func (e slowEngine) Remove(ctx context.Context, all []manifests.InfoHash) error {
	e.sleep()
	return e.Memory.Remove(ctx, all)
}

// On a clock that costs no time a real site takes days for twenty files: each torrent
// that is read, and each call of the client, is just not slow enough to be stuck.
func TestSlowSiteIsLongHonestWork(t *testing.T) {
	const patience = 10 * time.Minute
	c := newCatalog(t)
	files := photos(t, 0, 20)
	c.commit(append(listed(files...), put(manifests.ManifestName, manifest("oslo"))))
	lima := newPlace(t, c, "lima", manifests.RoleCopy, func(cfg *Config) { cfg.Watchdog = patience })
	engine := lima.engine
	engine.Offer(files...)
	synctest.Test(t, func(t *testing.T) {
		sleep := func() { time.Sleep(patience * 9 / 10) }
		site, err := apply.Open(apply.Config{Name: "lima", Engine: slowEngine{engine, sleep}, Trees: map[string]string{"photos": lima.root}})
		if err != nil {
			t.Fatal(err)
		}
		cfg := lima.cfg
		cfg.Apply = slowSite{site, sleep}
		a, end := runs(t, cfg)
		began := time.Now()
		for a.Status().Complete == "" && time.Since(began) < 100*24*time.Hour {
			if err := engine.Feed(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if err := a.Health(); err != nil {
				t.Errorf("after %v: %v", time.Since(began), err)
				break
			}
		}
		end()
		if took := time.Since(began); a.Status().Complete == "" || took < 20*patience {
			t.Errorf("complete: %q, after %v", a.Status().Complete, took)
		}
	})
	if strings.Contains(lima.said.String(), "watchdog") {
		t.Errorf("log: %s", lima.said)
	}
}
