package agent

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/gitsource"
	"seedtree/manifests"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// catalog is a repository that a test commits to.
type catalog struct {
	t    *testing.T
	dir  string
	src  *gitsource.Source
	head *gitsource.Revision
}

func newCatalog(t *testing.T) *catalog {
	t.Helper()
	c := &catalog{t: t, dir: filepath.Join(t.TempDir(), "catalog.git")}
	if err := gitsource.InitBare(c.dir); err != nil {
		t.Fatal(err)
	}
	c.src = c.open(t.TempDir())
	return c
}

// open opens a mirror of the catalog.
func (c *catalog) open(mirror string) *gitsource.Source {
	c.t.Helper()
	src, err := gitsource.Open(gitsource.Config{URLs: []string{c.dir}, Dir: mirror, Timeout: 10 * time.Second})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = src.Close() })
	return src
}

// manifest is oslo's catalog of one tree, changed by edits.
func manifest(main string, edits ...func([]byte) ([]byte, error)) []byte {
	data := manifests.NewManifest(main, []string{"photos"}, nil, map[string]manifests.SiteSpec{"oslo": {}, "lima": {}})
	for _, edit := range edits {
		var err error
		if data, err = edit(data); err != nil {
			panic(err)
		}
	}
	return data
}

// put is a file of the catalog repository.
func put(name string, data []byte) gitsource.File { return gitsource.File{Name: name, Data: data} }

// listed are the catalog files of some data files.
func listed(files ...enginetest.File) []gitsource.File {
	var out []gitsource.File
	for _, f := range files {
		out = append(out, put(manifests.CatalogName(f.Entry), f.Metainfo))
	}
	return out
}

// commit publishes files on top of the head and returns the new head's id.
func (c *catalog) commit(files []gitsource.File, remove ...string) string {
	c.t.Helper()
	ctx := context.Background() // clean-up functions commit too
	rev, err := c.src.Commit(ctx, c.head, gitsource.Commit{Message: "change", Put: files, Delete: remove})
	if err == nil {
		err = c.src.Push(ctx, rev)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.head = rev
	return rev.ID()
}

// logs collects what an agent says.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }

func (l *logs) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// config is that of an agent called lima on a mirror and a state of its own.
func (c *catalog) config(site Site) (Config, *logs) {
	said := &logs{}
	return Config{
		Site: "lima", Source: c.open(c.t.TempDir()), Apply: site, Engine: "memory", StateDir: c.t.TempDir(),
		Log: slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, said
}

func newAgent(t *testing.T, cfg Config) *Agent {
	t.Helper()
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// start runs an agent until the test ends, or stop is called.
func start(t *testing.T, a *Agent) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// waitFor polls a condition for up to 30 seconds.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// stepSite is a Site whose answers a test sets. It counts what is asked of it.
type stepSite struct {
	mu       sync.Mutex
	executed []string // revisions
	desired  apply.Desired
	settled  int
	observe  func() error
	execute  func(context.Context, apply.Desired) (*apply.Result, error)
	settle   func() (*apply.Result, error)
}

func (s *stepSite) Observe(context.Context, apply.Desired) (*apply.Observation, error) {
	if s.observe != nil {
		if err := s.observe(); err != nil {
			return nil, err
		}
	}
	return &apply.Observation{Site: "lima"}, nil
}

func (s *stepSite) Execute(ctx context.Context, d apply.Desired, _ *apply.Plan) (*apply.Result, error) {
	s.mu.Lock()
	s.executed = append(s.executed, d.Revision)
	s.desired = d
	s.mu.Unlock()
	if s.execute != nil {
		return s.execute(ctx, d)
	}
	return &apply.Result{Applied: true, Complete: true}, nil
}

func (s *stepSite) Settle(context.Context, apply.Desired) (*apply.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled++
	if s.settle == nil {
		return &apply.Result{Applied: true, Complete: true}, nil
	}
	return s.settle()
}

func (s *stepSite) passes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.executed...)
}
