package gitsource

import (
	"bytes"
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

// refusedFor fails unless an error is about trust, names what, and does not pass for
// silence.
func refusedFor(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if !errors.Is(err, ErrAuth) || errors.Is(err, ErrUnreachable) {
		t.Errorf("%s: %v", what, err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: want %q in: %v", what, w, err)
		}
	}
}

func TestHTTPSClientCertificates(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overHTTPS(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	ours, others := testkit.NewCA(t), testkit.NewCA(t)
	g.ClientCA(ours)
	tomorrow := time.Now().Add(24 * time.Hour)
	for range 5 { // the server's refusal races our request over the same connection
		_, err := with(t, cfg).Fetch(t.Context())
		refusedFor(t, "no certificate", err, "certificate required")
	}
	c := cfg
	c.HTTPS.CertFile, c.HTTPS.KeyFile = others.Issue("stranger", tomorrow)
	_, err := with(t, c).Fetch(t.Context())
	refusedFor(t, "another authority's certificate", err, "TLS")
	c.HTTPS.CertFile, c.HTTPS.KeyFile = ours.Issue("late", time.Now().Add(-time.Hour))
	_, err = with(t, c).Fetch(t.Context())
	refusedFor(t, "expired certificate", err, "TLS")

	c.HTTPS.CertFile, c.HTTPS.KeyFile = ours.Issue("lima", tomorrow)
	s := with(t, c)
	head := publish(t, s, fetched(t, s), Commit{Put: []File{torrent(t, "x", 1)}})
	// Both files are read at each use: a rotation needs no restart.
	_, wrongKey := ours.Issue("other", tomorrow)
	right, err := os.ReadFile(c.HTTPS.KeyFile)
	must(t, err)
	wrong, err := os.ReadFile(wrongKey)
	must(t, err)
	must(t, os.WriteFile(c.HTTPS.KeyFile, wrong, 0o600))
	if _, err := s.Fetch(t.Context()); err == nil || errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), c.HTTPS.CertFile) {
		t.Errorf("key of another certificate: %v", err)
	}
	must(t, os.WriteFile(c.HTTPS.KeyFile, right, 0o600))
	if r := fetched(t, s); r.ID() != head.ID() {
		t.Errorf("head %s", r.ID())
	}
}

func TestHTTPSAuthorities(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overHTTPS(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	good, err := os.ReadFile(g.CAFile)
	must(t, err)
	other, err := os.ReadFile(testkit.NewCA(t).File)
	must(t, err)
	bundle := func(parts ...[]byte) Config {
		c := cfg
		c.HTTPS.CAFile = filepath.Join(t.TempDir(), "bundle.pem")
		must(t, os.WriteFile(c.HTTPS.CAFile, bytes.Join(parts, []byte("\n# and\n")), 0o600))
		return c
	}
	fetched(t, with(t, bundle(other, good)))
	_, err = with(t, bundle(other)).Fetch(t.Context())
	refusedFor(t, "another authority", err, "server's certificate")
	for name, c := range map[string]Config{
		"empty":                  bundle(nil),
		"garbage":                bundle([]byte("garbage")),
		"one good and one cut":   bundle(good, other[:len(other)/2]),
		"one good and a key":     bundle(good, []byte("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n")),
		"one good, one of noise": bundle(good, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
	} {
		c.Dir = t.TempDir()
		if _, err := Open(c); err == nil || !strings.Contains(err.Error(), c.HTTPS.CAFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The file is read at each use, and garbage that appears later is told, too.
	s := with(t, cfg)
	fetched(t, s)
	must(t, os.WriteFile(g.CAFile, []byte("garbage"), 0o600))
	if _, err := s.Fetch(t.Context()); err == nil || errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), g.CAFile) {
		t.Errorf("garbage in a bundle that was good: %v", err)
	}
	must(t, os.WriteFile(g.CAFile, good, 0o600))
	fetched(t, s)
}

// Credentials go where the configuration says, over TLS, and nowhere else.
func TestCredentialsDoNotFollow(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overHTTPS(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	var leaked []string
	listen := func(start func(http.Handler) *httptest.Server) *httptest.Server {
		srv := start(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			leaked = append(leaked, r.URL.String()+" "+r.Header.Get("Authorization"))
		}))
		t.Cleanup(srv.Close)
		return srv
	}
	plain, secure := listen(httptest.NewServer), listen(httptest.NewTLSServer)
	target := ""
	g.Wrap(func(git http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target+r.URL.Path+"?"+r.URL.RawQuery, http.StatusFound)
		})
	})
	_, port, err := net.SplitHostPort(g.Server.Listener.Addr().String())
	must(t, err)
	for name, to := range map[string]string{
		"plain http": plain.URL, "another server": secure.URL, "another name": "https://localhost:" + port,
		"this server without TLS": strings.Replace(g.URL, "https", "http", 1),
	} {
		target = to
		_, err := with(t, cfg).Fetch(t.Context())
		if err == nil || errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), to) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("redirect to %s: %v", name, err)
		}
	}
	if len(leaked) > 0 {
		t.Errorf("somebody else was asked: %q", leaked)
	}
}
