package gitsource

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// held is a court whose site asks two remotes in order: one that somebody else may
// hold, over https, and the honest one. Both begin with the same head.
type held struct {
	*court
	captured string // what the first serves
	wrap     func(func(http.Handler) http.Handler)
	password func(string)
	log      *bytes.Buffer
}

func newHeld(t *testing.T) *held {
	t.Helper()
	c := newCourt(t, SignedAll)
	g, over, captured := overHTTPS(t)
	h := &held{court: c, captured: captured, wrap: g.Wrap, password: g.SetPassword, log: new(bytes.Buffer)}
	cfg := c.site.cfg
	cfg.URLs, cfg.HTTPS = append(over.URLs, c.repo), over.HTTPS
	cfg.Log = slog.New(slog.NewTextHandler(h.log, nil))
	c.commit("ada", map[string]string{manifestName: courtManifest("oslo")})
	c.push()
	mustPush(t, c.repo, captured)
	c.site = with(t, cfg)
	c.takes(c.head())
	return h
}

// Whoever holds the first remote cannot keep from a site what the second one has,
// whatever is served. What it was is told once, and by PassedOver as long as it lasts.
func TestCapturedRemoteStopsNobody(t *testing.T) {
	t.Parallel()
	evil := func(who string) func(h *held) {
		return func(h *held) {
			git(h.t, h.work, "checkout", "-q", "-b", "evil")
			h.commit(who, map[string]string{"torrents/photos/evil.empty": "", manifestName: courtManifest("lima")})
			git(h.t, h.work, "push", "-q", "--force", h.captured, "HEAD:main")
			git(h.t, h.work, "checkout", "-q", "main")
		}
	}
	garbage := func(body string) func(h *held) {
		return func(h *held) {
			evil("")(h) // news that cannot be had
			h.wrap(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method != http.MethodPost {
						next.ServeHTTP(w, r)
						return
					}
					_, _ = w.Write([]byte(body))
				})
			})
		}
	}
	for name, c := range map[string]struct {
		capture func(h *held)
		reason  string
	}{
		"unsigned":          {evil(""), "not signed"},
		"a stranger's":      {evil("eve"), "not among the allowed signers"},
		"a site's manifest": {evil("lima"), "only an admin may change"},
		"another history": {func(h *held) {
			git(h.t, h.work, "checkout", "-q", "--orphan", "other")
			h.commit("ada", map[string]string{"x": "y"})
			git(h.t, h.work, "push", "-q", "--force", h.captured, "HEAD:main")
			git(h.t, h.work, "checkout", "-q", "main")
		}, "does not descend"},
		"the branch is gone":   {func(h *held) { git(h.t, h.captured, "update-ref", "-d", "refs/heads/main") }, "the branch is gone"},
		"the repository, too":  {func(h *held) { must(h.t, os.RemoveAll(h.captured)) }, "not found"},
		"another password":     {func(h *held) { h.password("changed") }, "credentials"},
		"garbage for a pack":   {garbage("0008NAK\nPACK\x00\x00\x00\x02\x00\x00\x00\x01garbagegarbagegarbagegarbagegarbage"), "pack"},
		"an answer in riddles": {garbage("\x1b[2Jwhat?"), "neither ACK nor NAK"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHeld(t)
			good := h.commit("ada", map[string]string{"torrents/photos/good.empty": ""})
			h.push()
			c.capture(h)
			for range 3 {
				h.takes(good)
				p := h.site.PassedOver()
				if len(p) != 1 || p[0].Remote != h.site.cfg.URLs[0] || !strings.Contains(p[0].Reason, c.reason) {
					t.Errorf("passed over: %q, want one because of %q", p, c.reason)
				}
			}
			if n := strings.Count(h.log.String(), "is passed over"); n != 1 {
				t.Errorf("said %d times: %s", n, h.log)
			}
			if h.site.URL() != h.repo {
				t.Errorf("answered: %s", h.site.URL())
			}
			// It is no way around the rules: the same at the honest one is refused.
			h.wrap(nil)
			h.commit("eve", map[string]string{"z": "z"})
			h.push()
			if _, err := h.site.Fetch(t.Context()); !errors.Is(err, ErrUntrusted) && !errors.Is(err, ErrRewound) {
				t.Errorf("both refused: %v", err)
			}
			if r, err := h.site.Head(); err != nil || r.ID() != good {
				t.Errorf("head: %v", err)
			}
		})
	}
}

// A head that is refused leaves nothing behind by which the next remote's is judged.
func TestJudgedRemoteByRemote(t *testing.T) {
	t.Parallel()
	h := newHeld(t)
	trusted := h.commit("ada", map[string]string{"a": "a"})
	git(t, h.work, "checkout", "-q", "-b", "evil")
	h.commit("", map[string]string{"evil": "e"}) // has the trusted revision, is not signed
	git(t, h.work, "push", "-q", "--force", h.captured, "HEAD:main")
	git(t, h.work, "checkout", "-q", "main")
	git(t, h.work, "reset", "-q", "--hard", "HEAD~1")
	h.commit("ada", map[string]string{"b": "b"}) // is signed, does not have it
	h.push()
	cfg := h.site.cfg
	cfg.Trust.Revision = trusted
	s := with(t, cfg)
	if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), "does not hold the trusted revision") || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("fetch: %v", err)
	}
	if _, err := s.Head(); !errors.Is(err, ErrEmpty) {
		t.Errorf("head: %v", err)
	}
}

// A mirror that is damaged is made anew from whoever has it whole.
func TestRemadeFromAnotherRemote(t *testing.T) {
	t.Parallel()
	h := newHeld(t)
	head := h.head()
	must(t, h.site.Close())
	rewrite(t, onlyPackOf(t, h.site), half)
	h.wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				_, _ = w.Write([]byte("0008NAK\nPACK\x00\x00\x00\x02\x00\x00\x00\x01garbagegarbagegarbagegarbagegarbage"))
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	s, err := Open(h.site.cfg)
	must(t, err)
	defer s.Close()
	if r := fetched(t, s); r.ID() != head || len(s.URL()) == 0 {
		t.Errorf("head %s from %s", r.ID(), s.URL())
	}
	if got := git(t, filepath.Join(s.cfg.Dir, gitName), "fsck", "--strict", "--full"); strings.Contains(got, "missing") {
		t.Errorf("fsck: %s", got)
	}
}

// A password that was changed at the first remote must not send commits to the second.
func TestCommitsStayWithTheFirstRemote(t *testing.T) {
	t.Parallel()
	_, cfg, repo := overHTTPS(t)
	other := bareRepo(t)
	w := opened(t, repo)
	first := publish(t, w, nil, Commit{Put: some(t, 2)})
	mustPush(t, repo, other)
	cfg.URLs, cfg.Timeout = append(cfg.URLs, other), 20*time.Second
	secret := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(secret, []byte("wrong"), 0o600))
	right := cfg.HTTPS.PasswordFile
	cfg.HTTPS.PasswordFile = secret
	s := with(t, cfg)
	r := fetched(t, s)
	if r.ID() != first.ID() || s.URL() != other {
		t.Errorf("%s from %s", r.ID(), s.URL())
	}
	next, err := s.Commit(t.Context(), r, Commit{Put: []File{torrent(t, "x", 1)}})
	must(t, err)
	if err := s.Push(t.Context(), next); !errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), cfg.URLs[0]) {
		t.Errorf("push: %v", err)
	}
	if got := git(t, other, "rev-parse", "main"); got != first.ID() {
		t.Errorf("the other remote is at %s", got)
	}
	password, err := os.ReadFile(right)
	must(t, err)
	must(t, os.WriteFile(secret, password, 0o600))
	third := publish(t, s, fetched(t, s), Commit{Put: []File{torrent(t, "x", 1)}})
	if got := git(t, repo, "rev-parse", "main"); got != third.ID() || len(s.PassedOver()) != 0 {
		t.Errorf("the first remote is at %s; passed over: %v", got, s.PassedOver())
	}
}
