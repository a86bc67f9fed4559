package gitsource

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"seedtree/internal/testkit"
)

// behindProxy is a catalog at a name that only the proxy can resolve.
func behindProxy(t *testing.T) (*testkit.Proxy, Config, string) {
	t.Helper()
	g, cfg, repo := overHTTPS(t)
	cfg.URLs = []string{"https://example.com/catalog.git"} // a name on the test server's certificate
	return testkit.ServeProxy(t, g.Server.Listener.Addr().String()), cfg, repo
}

func TestProxy(t *testing.T) {
	t.Parallel()
	p, cfg, repo := behindProxy(t)
	cfg.HTTPS.Proxy = p.URL
	roundTrip(t, cfg, repo)
	if p.Connects.Load() == 0 || slices.Compact(p.Asked())[0] != "example.com:443" {
		t.Errorf("%d connections, to %q", p.Connects.Load(), p.Asked())
	}
}

func TestProxyCredentials(t *testing.T) {
	t.Parallel()
	p, cfg, repo := behindProxy(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	p.Password = "hunter2"
	cfg.HTTPS.Proxy = p.URL
	_, err := with(t, cfg).Fetch(t.Context())
	refusedFor(t, "no credentials", err, "proxy", "407")
	cfg.HTTPS.Proxy = strings.Replace(p.URL, "//", "//seed@", 1)
	cfg.HTTPS.ProxyPasswordFile = filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(cfg.HTTPS.ProxyPasswordFile, []byte("wrong"), 0o600))
	s := with(t, cfg)
	_, err = s.Fetch(t.Context())
	refusedFor(t, "wrong password", err, "proxy", "407")
	must(t, os.WriteFile(cfg.HTTPS.ProxyPasswordFile, []byte("hunter2\n"), 0o600)) // read at each use
	fetched(t, s)
	for code, unreachable := range map[int]bool{http.StatusBadGateway: true, http.StatusForbidden: false, http.StatusTeapot: false} {
		p.Status = code
		if _, err := s.Fetch(t.Context()); errors.Is(err, ErrUnreachable) != unreachable || err == nil ||
			!strings.Contains(err.Error(), fmt.Sprint(code)) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("status %d: %v", code, err)
		}
	}
}

func TestRefusedProxies(t *testing.T) {
	t.Parallel()
	for _, c := range []HTTPS{
		{Proxy: "proxy.example:3128"},
		{Proxy: "socks5://proxy.example:1080"},
		{Proxy: "https://proxy.example"},
		{Proxy: "http://"},
		{Proxy: "http://a:hunter2@proxy.example"},
		{Proxy: "http://a:hunter2@proxy.example:%zz"},
		{Proxy: "http://a@proxy.example"},
		{Proxy: "http://proxy.example", ProxyPasswordFile: "/x"},
		{ProxyPasswordFile: "/x"},
		{Proxy: "http://proxy.example/path"},
	} {
		_, err := Open(Config{URLs: []string{"https://git.example/x"}, HTTPS: c, Dir: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), "proxy") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	// ssh does not go through it, and somebody may count on that it does.
	_, err := Open(Config{URLs: []string{"ssh://git@git.example/x", "/srv/x"}, HTTPS: HTTPS{Proxy: "http://proxy.example:3128"}, Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "ssh") {
		t.Errorf("a proxy for ssh: %v", err)
	}
}

// HTTPS_PROXY and NO_PROXY are read once in the life of a process, so each case is
// a process of its own.
func TestProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	p, cfg, repo := behindProxy(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	fetch := func(env ...string) error {
		cmd := child(t, t.TempDir(), cfg.URLs[0])
		cmd.Env = append(cmd.Env, append(env, "GITSOURCE_TEST_CA="+cfg.HTTPS.CAFile, "GITSOURCE_TEST_PASSWORD="+cfg.HTTPS.PasswordFile)...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatalf("%v\n%s", err, out)
		}
		return err
	}
	if err := fetch("HTTPS_PROXY=" + p.URL); err != nil || p.Connects.Load() == 0 {
		t.Errorf("through the proxy: %v, %d connections", err, p.Connects.Load())
	}
	before := len(p.Asked())
	if err := fetch("HTTPS_PROXY="+p.URL, "NO_PROXY=example.com"); err == nil || len(p.Asked()) != before {
		t.Errorf("NO_PROXY: %v, %q", err, p.Asked())
	}
	if err := fetch("HTTP_PROXY=" + p.URL); err == nil || len(p.Asked()) != before {
		t.Errorf("HTTP_PROXY is for plain http: %v, %q", err, p.Asked())
	}
}

// What cannot be read must not mean no proxy; it may hold a password.
func TestMalformedProxyVariable(t *testing.T) {
	try := func(address string) error {
		s, err := Open(Config{URLs: []string{address}, Dir: t.TempDir()})
		if err == nil {
			must(t, s.Close())
		}
		return err
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		scheme := strings.ToLower(name[:len(name)-len("_proxy")])
		other := map[string]string{"http": "https", "https": "http"}[scheme]
		for _, value := range []string{
			" http://a:hunter2@proxy.example:3128", "http://a:hunter2@proxy.example:3128\n", "http://a:hunter2@proxy.example:port", "http://a:hunter2@",
			"http://a:hunter2%zz@proxy.example", "ftp://a:hunter2@proxy.example", "://a:hunter2@proxy.example", ":3128",
		} {
			t.Setenv(name, value)
			t.Setenv(twin(name), "http://proxy.example:3128") // good, and perhaps not the one that counts
			err := try(scheme + "://git.example/x")
			t.Setenv(twin(name), "")
			if err == nil || !strings.Contains(err.Error(), "variable "+name) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s=%q: %v", name, value, err)
			}
			must(t, try(other+"://git.example/x")) // is not asked about it
			must(t, try("/srv/catalog.git"))
		}
		for _, value := range []string{"", "proxy.example:3128", "10.0.0.1:3128", "proxy.example", "[::1]:3128", "http://a:hunter2@proxy.example:3128/", "https://proxy.example", "socks5://proxy.example"} {
			t.Setenv(name, value)
			must(t, try(scheme+"://git.example/x"))
		}
		t.Setenv(name, "")
	}
}

// twin is a variable's other spelling.
func twin(name string) string {
	if upper := strings.ToUpper(name); upper != name {
		return upper
	}
	return strings.ToLower(name)
}

// A proxy that takes the connection and says nothing is silence like any other.
func TestSilentProxy(t *testing.T) {
	t.Parallel()
	_, cfg, _ := behindProxy(t)
	cfg.HTTPS.Proxy, cfg.Timeout = "http://"+muteListener(t), 300*time.Millisecond
	s := with(t, cfg)
	bounded(t, func() {
		if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrUnreachable) {
			t.Errorf("fetch: %v", err)
		}
	})
}
