package gitsource

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seedtree/internal/testkit"
)

// overHTTPS serves a fresh catalog and returns its folder, too.
func overHTTPS(t *testing.T) (*testkit.GitHTTPS, Config, string) {
	t.Helper()
	repo := bareRepo(t)
	g := testkit.ServeGitHTTPS(t, filepath.Dir(repo))
	return g, Config{
		URLs: []string{g.URL + "/catalog.git"}, Timeout: 20 * time.Second,
		HTTPS: HTTPS{Username: g.Username, PasswordFile: g.PasswordFile, CAFile: g.CAFile},
	}, repo
}

// with opens a Source on a fresh mirror.
func with(t *testing.T, cfg Config) *Source {
	t.Helper()
	cfg.Dir = t.TempDir()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// roundTrip is what every transport must do.
func roundTrip(t *testing.T, cfg Config, repo string) {
	t.Helper()
	s := with(t, cfg)
	if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrEmpty) {
		t.Fatalf("fetch from an empty repository: %v", err)
	}
	first := publish(t, s, nil, Commit{Put: some(t, 250)})
	other := with(t, cfg)
	if r := fetched(t, other); r.ID() != first.ID() || len(paths(t, r)) != 250 {
		t.Errorf("fetched %s with %d entries", r.ID(), len(paths(t, r)))
	}
	second := publish(t, s, first, Commit{Put: []File{torrent(t, "new", 3)}, Delete: []string{torrent(t, "d0/e0/f0.jpg", 1).Name}})
	if r := fetched(t, other); r.ID() != second.ID() || len(paths(t, r)) != 250 {
		t.Errorf("fetched %s with %d entries", r.ID(), len(paths(t, r)))
	}
	if err := s.PushStatus(t.Context(), "lima", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := s.PushStatus(t.Context(), "lima", []byte("2")); err != nil {
		t.Fatal(err)
	}
	if got, err := other.Statuses(t.Context()); err != nil || string(got["lima"]) != "2" || len(got) != 1 {
		t.Errorf("statuses %q, %v", got, err)
	}
	stale, err := other.Commit(t.Context(), first, Commit{Put: []File{torrent(t, "lost", 3)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Push(t.Context(), stale); !errors.Is(err, ErrMoved) {
		t.Errorf("push on top of an old head: %v", err)
	}
	git(t, repo, "fsck", "--strict", "--full")
	if s.URL() != s.remotes[0].String() {
		t.Errorf("answered: %q", s.URL())
	}
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	_, cfg, repo := overHTTPS(t)
	roundTrip(t, cfg, repo)
}

func TestHTTPSCredentials(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overHTTPS(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	s := with(t, cfg)
	g.SetPassword("changed")
	if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrAuth) || errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("wrong password: %v", err)
	}
	// The file is read at each use.
	if err := os.WriteFile(g.PasswordFile, []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	fetched(t, s)
	if err := os.WriteFile(g.PasswordFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrAuth) {
		t.Errorf("empty password file: %v", err)
	}
	must(t, os.Remove(g.PasswordFile))
	if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), g.PasswordFile) {
		t.Errorf("no password file: %v", err)
	}
	if err := os.WriteFile(g.PasswordFile, []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	fetched(t, s)
	stranger := cfg
	stranger.HTTPS.Username = "stranger"
	if _, err := with(t, stranger).Fetch(t.Context()); !errors.Is(err, ErrAuth) || errors.Is(err, ErrUnreachable) {
		t.Errorf("wrong user: %v", err)
	}

	noCA := cfg
	noCA.HTTPS.CAFile = ""
	if _, err := with(t, noCA).Fetch(t.Context()); !errors.Is(err, ErrAuth) || errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("unknown authority: %v", err)
	}
	missing := cfg
	missing.URLs = []string{g.URL + "/none.git"}
	if _, err := with(t, missing).Fetch(t.Context()); !errors.Is(err, ErrAuth) && !errors.Is(err, ErrNotFound) {
		t.Errorf("no such repository: %v", err)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	t.Parallel()
	garbage := filepath.Join(t.TempDir(), "garbage.pem")
	if err := os.WriteFile(garbage, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{
		"no url":                 {},
		"credentials over http":  {URLs: []string{"http://git.example/x"}, HTTPS: HTTPS{Username: "a", PasswordFile: garbage}},
		"user in http url":       {URLs: []string{"http://a@git.example/x"}},
		"password in url":        {URLs: []string{"https://a:hunter2@git.example/x"}},
		"password in ssh url":    {URLs: []string{"ssh://a:hunter2@git.example/x"}},
		"garbage authorities":    {URLs: []string{"https://git.example/x"}, HTTPS: HTTPS{CAFile: garbage}},
		"absent authorities":     {URLs: []string{"https://git.example/x"}, HTTPS: HTTPS{CAFile: garbage + "x"}},
		"certificate, no key":    {URLs: []string{"https://git.example/x"}, HTTPS: HTTPS{CertFile: garbage}},
		"user without password":  {URLs: []string{"https://git.example/x"}, HTTPS: HTTPS{Username: "a"}},
		"relative path":          {URLs: []string{"some/where"}},
		"git protocol":           {URLs: []string{"git://git.example/x"}},
		"remote file url":        {URLs: []string{"file://server/x"}},
		"ssh without path":       {URLs: []string{"ssh://git.example"}},
		"branch with a traverse": {URLs: []string{"/x"}, Branch: "../../x"},
		"branch with a newline":  {URLs: []string{"/x"}, Branch: "a\nb"},
	} {
		cfg.Dir = t.TempDir()
		_, err := Open(cfg)
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
	// A folder with somebody's files is not turned into a mirror.
	if _, err := Open(Config{URLs: []string{"/x"}, Dir: filepath.Dir(garbage)}); err == nil {
		t.Error("a folder with foreign files was taken")
	}
}

func TestPlainHTTPForReading(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	g := testkit.ServeGitHTTP(t, filepath.Dir(repo))
	s := with(t, Config{URLs: []string{g.URL + "/catalog.git"}})
	r := fetched(t, s)
	next, err := s.Commit(t.Context(), r, Commit{Put: []File{torrent(t, "x", 1)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Push(t.Context(), next); !errors.Is(err, ErrAuth) {
		t.Errorf("push without credentials: %v", err)
	}
}

// fault stands between a client and git.
type fault func(git http.Handler, w http.ResponseWriter, r *http.Request)

// stall holds a request until its client gives up.
func stall(r *http.Request) { <-r.Context().Done() }

// cutAt answers with the beginning of git's answer to a POST, which keep chooses.
func cutAt(keep func(size int) int, then func(*http.Request)) fault {
	return func(git http.Handler, w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		git.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		body := rec.Body.Bytes()
		if r.Method == http.MethodGet {
			_, _ = w.Write(body)
			return
		}
		_, _ = w.Write(body[:keep(len(body))])
		w.(http.Flusher).Flush()
		then(r)
	}
}

func TestBrokenServers(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overHTTPS(t)
	writer := opened(t, repo)
	first := publish(t, writer, nil, Commit{Put: some(t, 120)})
	s := with(t, cfg)
	fetched(t, s)
	publish(t, writer, first, Commit{Put: []File{torrent(t, "x", 1)}})
	cfg.Dir, cfg.Timeout = s.cfg.Dir, 500*time.Millisecond
	hasty, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer hasty.Close()
	for name, f := range map[string]fault{
		"silent":                         func(_ http.Handler, _ http.ResponseWriter, r *http.Request) { stall(r) },
		"silent after the advertisement": cutAt(func(int) int { return 0 }, stall),
		"silent in the pack":             cutAt(func(int) int { return 100 }, stall),
		"cut in the pack":                cutAt(func(n int) int { return n * 2 / 3 }, func(*http.Request) { panic(http.ErrAbortHandler) }),
		"ends in the pack":               cutAt(func(n int) int { return n * 2 / 3 }, func(*http.Request) {}),
		"ends before the pack":           cutAt(func(int) int { return 8 }, func(*http.Request) {}),
		"500": func(_ http.Handler, w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "out of order", http.StatusInternalServerError)
		},
	} {
		g.Wrap(func(git http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(git, w, r) })
		})
		if _, err := hasty.Fetch(t.Context()); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
		if r, err := hasty.Head(); err != nil || r.ID() != first.ID() {
			t.Errorf("%s: head %v, %v", name, r, err)
		}
	}
	g.Wrap(nil)
	if r := fetched(t, s); len(paths(t, r)) != 121 {
		t.Errorf("after all: %d entries", len(paths(t, r)))
	}
}

func TestSlowServerWithPatience(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overHTTPS(t)
	writer := opened(t, repo)
	head := publish(t, writer, nil, Commit{Put: some(t, 3)})
	g.Wrap(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(500 * time.Millisecond) // the slowness is the subject
			h.ServeHTTP(w, r)
		})
	})
	short := cfg
	short.Timeout = 100 * time.Millisecond
	hasty := with(t, short)
	if _, err := hasty.Fetch(t.Context()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("short deadline: %v", err)
	}
	if _, err := hasty.Head(); !errors.Is(err, ErrEmpty) {
		t.Errorf("head: %v", err)
	}
	s := with(t, cfg)
	fetched(t, s)
	next := publish(t, writer, head, Commit{Put: []File{torrent(t, "x", 1)}})
	if r := fetched(t, s); r.ID() != next.ID() || len(paths(t, r)) != 4 {
		t.Errorf("fetched %s", r.Short())
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overHTTPS(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	var leaked string
	thief := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked = r.Header.Get("Authorization")
	}))
	defer thief.Close()
	target := thief.URL
	g.Wrap(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/short/") {
				http.Redirect(w, r, target+strings.Replace(r.URL.Path, "/short/", "/catalog.git/", 1)+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	cfg.URLs = []string{g.URL + "/short"}
	s := with(t, cfg)
	if _, err := s.Fetch(t.Context()); err == nil || leaked != "" || !strings.Contains(err.Error(), thief.URL) {
		t.Errorf("sent to another server: %v, which got %q", err, leaked)
	}
	target = "" // the same server, another name
	fetched(t, s)
}

func TestNextURLAnswers(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overHTTPS(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	good := cfg.URLs[0]
	cfg.URLs = []string{"https://" + dead + "/catalog.git", filepath.Join(repo, "absent"), good}
	s := with(t, cfg)
	publish(t, s, fetched(t, s), Commit{Put: []File{torrent(t, "x", 1)}})
	if s.URL() != good {
		t.Errorf("answered: %s", s.URL())
	}
	g.Server.Close()
	_, err = s.Fetch(t.Context())
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), dead) || !strings.Contains(err.Error(), good) {
		t.Errorf("nobody answers: %v", err)
	}
	cfg.URLs = cfg.URLs[:1]
	if _, err := with(t, cfg).Fetch(t.Context()); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), cfg.URLs[0]+":") {
		t.Errorf("the only one does not answer: %v", err)
	}
	// What is here stays readable.
	if r, err := s.Head(); err != nil || len(paths(t, r)) != 3 {
		t.Errorf("offline: %v, %v", r, err)
	}
}

func TestHookDeclines(t *testing.T) {
	t.Parallel()
	_, cfg, repo := overHTTPS(t)
	s := with(t, cfg)
	r := publish(t, s, nil, Commit{Put: some(t, 2)})
	hook := filepath.Join(repo, "hooks", "pre-receive")
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho only on Sundays >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	next, err := s.Commit(t.Context(), r, Commit{Put: []File{torrent(t, "x", 1)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Push(t.Context(), next); !errors.Is(err, ErrRefused) || errors.Is(err, ErrMoved) || !strings.Contains(err.Error(), "only on Sundays") {
		t.Errorf("refused push: %v", err)
	}
	// A local push would walk around the hook, so it is refused, too.
	if err := opened(t, repo).PushStatus(t.Context(), "lima", nil); !errors.Is(err, ErrRefused) {
		t.Errorf("local push beside a hook: %v", err)
	}
	if head := fetched(t, s); head.ID() != r.ID() {
		t.Errorf("head is %s", head.ID())
	}
}

func TestLostAnswerToAPush(t *testing.T) {
	t.Parallel()
	g, cfg, _ := overHTTPS(t)
	s := with(t, cfg)
	r := publish(t, s, nil, Commit{Put: some(t, 2)})
	next, err := s.Commit(t.Context(), r, Commit{Put: []File{torrent(t, "x", 1)}})
	if err != nil {
		t.Fatal(err)
	}
	g.Wrap(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, receivePack) {
				h.ServeHTTP(httptest.NewRecorder(), r) // git takes it, and nobody hears
				panic(http.ErrAbortHandler)
			}
			h.ServeHTTP(w, r)
		})
	})
	if err := s.Push(t.Context(), next); err != nil {
		t.Errorf("a push that arrived: %v", err)
	}
	if head, err := s.Head(); err != nil || head.ID() != next.ID() {
		t.Errorf("head %v, %v", head, err)
	}
}
