package gitsource

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// asked counts the packs that are asked for at a server of the court's catalog.
func (c *court) asked(cfg *Config) *atomic.Int64 {
	g, over, repo := overHTTPS(c.t)
	must(c.t, os.RemoveAll(repo))
	must(c.t, os.Symlink(c.repo, repo))
	cfg.URLs, cfg.HTTPS = over.URLs, over.HTTPS
	n := new(atomic.Int64)
	g.Wrap(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				n.Add(1)
			}
			h.ServeHTTP(w, r)
		})
	})
	return n
}

// A mirror that was made anew while the head was refused is whole: what is refused is
// looked at with each pass, and fetched once.
func TestRemadeUnderARefusedHead(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(c *court, good string) error{
		"untrusted": func(c *court, _ string) error {
			c.commit("", map[string]string{"torrents/photos/a.empty": ""})
			return ErrUntrusted
		},
		"rewound, the tip is lost": func(c *court, good string) error {
			git(c.t, c.work, "reset", "-q", "--hard", good+"~1")
			return ErrRewound
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCourt(t, SignedAll)
			cfg := c.site.cfg
			packs := c.asked(&cfg)
			c.site = with(t, cfg)
			c.begin()
			good := c.commit("ada", map[string]string{"torrents/photos/b.empty": ""})
			c.push()
			c.takes(good)
			want := refuse(c, good)
			c.push()
			rewrite(t, onlyPackOf(t, c.site), half)
			for pass := range 4 {
				before := packs.Load()
				if pass%2 == 0 { // another process, which reads the packs anew
					must(t, c.site.Close())
					s, err := Open(c.site.cfg)
					must(t, err)
					c.site = s
					t.Cleanup(func() { must(t, s.Close()) })
				}
				if _, err := c.site.Fetch(t.Context()); !errors.Is(err, want) {
					t.Fatalf("pass %d: %v, want %v", pass, err, want)
				}
				if n := packs.Load() - before; pass > 0 && n != 0 {
					t.Errorf("pass %d asked for %d packs", pass, n)
				}
			}
			// The head that was known comes back, and with it everything.
			git(t, c.work, "reset", "-q", "--hard", good)
			c.push()
			c.takes(good)
			if r, err := c.site.Head(); err != nil || r.ID() != good {
				t.Errorf("head: %v", err)
			}
		})
	}
}

// onlyPackOf is a pack of a mirror, whichever.
func onlyPackOf(t *testing.T, s *Source) string {
	t.Helper()
	names, err := packNames(filepath.Join(s.cfg.Dir, gitName))
	must(t, err)
	if len(names) == 0 {
		t.Fatal("the mirror has no pack")
	}
	name := filepath.Join(s.cfg.Dir, gitName, "objects", "pack", strings.TrimSuffix(names[0], ".pack")+".pack")
	must(t, os.Chmod(name, 0o644))
	return name
}
