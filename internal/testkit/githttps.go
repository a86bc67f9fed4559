package testkit

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// GitHTTPS serves git repositories over https with git's own git-http-backend.
type GitHTTPS struct {
	// URL is the address of the root folder: URL + "/catalog.git".
	URL string
	// CAFile holds the certificate to trust.
	CAFile string
	// Username and PasswordFile are accepted for reading and writing.
	Username, PasswordFile string
	// Server can be closed early to make the remote unreachable.
	Server *httptest.Server

	mu       sync.Mutex
	password string
	wrap     func(http.Handler) http.Handler
	clients  *x509.CertPool
}

// ServeGitHTTPS serves the repositories below root until the test ends.
func ServeGitHTTPS(t testing.TB, root string) *GitHTTPS {
	t.Helper()
	g := newGitHTTP(t)
	g.Server = httptest.NewUnstartedServer(g.handler(t, root))
	g.Server.TLS = &tls.Config{GetConfigForClient: g.config}
	g.Server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what tests are about
	g.Server.StartTLS()
	g.URL = g.Server.URL
	t.Cleanup(g.Server.Close)
	g.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Server.Certificate().Raw})
	if err := os.WriteFile(g.CAFile, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	g.Username, g.PasswordFile = "seed", filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(g.PasswordFile, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.SetPassword("s3cret")
	return g
}

// ServeGitHTTP serves the repositories below root over plain http, to everyone, for
// reading.
func ServeGitHTTP(t testing.TB, root string) *GitHTTPS {
	t.Helper()
	g := newGitHTTP(t)
	g.Server = httptest.NewServer(g.handler(t, root))
	g.URL = g.Server.URL
	t.Cleanup(g.Server.Close)
	return g
}

func newGitHTTP(t testing.TB) *GitHTTPS {
	Need(t, "git", "git")
	return &GitHTTPS{wrap: func(h http.Handler) http.Handler { return h }}
}

// SetPassword changes what the server accepts; "" lets everyone in.
func (g *GitHTTPS) SetPassword(p string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.password = p
}

// ClientCA makes the server ask every client for a certificate from ca; nil asks nobody.
func (g *GitHTTPS) ClientCA(ca *CA) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clients = nil
	if ca != nil {
		g.clients = x509.NewCertPool()
		g.clients.AddCert(ca.cert)
	}
}

func (g *GitHTTPS) config(*tls.ClientHelloInfo) (*tls.Config, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.clients == nil {
		return nil, nil
	}
	c := g.Server.TLS.Clone()
	c.GetConfigForClient = nil
	c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, g.clients
	return c, nil
}

// Wrap puts something between clients and git: delays, cut answers, wrong ones. nil
// takes it away.
func (g *GitHTTPS) Wrap(wrap func(http.Handler) http.Handler) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if wrap == nil {
		wrap = func(h http.Handler) http.Handler { return h }
	}
	g.wrap = wrap
}

func (g *GitHTTPS) handler(t testing.TB, root string) http.Handler {
	t.Helper()
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		password, wrap := g.password, g.wrap
		g.mu.Unlock()
		env := []string{
			"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		}
		user, given, _ := r.BasicAuth()
		if password != "" {
			if given != password || user != g.Username {
				w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			env = append(env, "REMOTE_USER="+user) // git takes pushes from named users only
		}
		wrap(&cgi.Handler{Path: backend, Env: env}).ServeHTTP(w, r)
	})
}
