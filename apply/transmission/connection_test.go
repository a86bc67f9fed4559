package transmission

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// wantError fails unless err is of the kind and says all of the words.
func wantError(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestClientDown(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		e := open(t, Config{URL: d.URL})
		if _, err := e.List(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.Kill()
		_, err := e.List(t.Context())
		wantError(t, err, apply.ErrEngineUnreachable, d.URL, "connection refused")
		f, root := inTree(t, "a.jpg", 1000)
		wantError(t, e.Add(t.Context(), additions(root, f)), apply.ErrEngineUnreachable)
		wantError(t, e.Remove(t.Context(), []manifests.InfoHash{f.Entry.InfoHash}), apply.ErrEngineUnreachable)
		wantError(t, e.Move(t.Context(), f.Entry.InfoHash, root), apply.ErrEngineUnreachable)
		if _, err := e.Check(t.Context()); err == nil {
			t.Error("check finds a dead daemon in order")
		}
		d.Start(t)
		if _, err := e.List(t.Context()); err != nil {
			t.Fatalf("after the daemon is back: %v", err)
		}
	})
}

func TestWrongPassword(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := testkit.StartTransmission(t, testkit.TransmissionOptions{Command: v.Command, Username: "seed", Password: "right"})
		// Counts what reaches the daemon: it locks everybody out after too many.
		var asked atomic.Int64
		target, err := url.Parse(d.URL)
		if err != nil {
			t.Fatal(err)
		}
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: target.Host})
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); proxy.ServeHTTP(w, r) }))
		defer front.Close()
		secret := filepath.Join(t.TempDir(), "password")
		write(t, secret, "wrong\n")
		e := open(t, Config{URL: front.URL, Username: "seed", PasswordFile: secret})
		for range 5 {
			_, err := e.List(t.Context())
			wantError(t, err, apply.ErrEngineConfig, "401", `"seed"`, secret)
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("the wrong password was offered %d times", n)
		}
		write(t, secret, "right\n")
		if _, err := e.List(t.Context()); err != nil {
			t.Fatalf("with the password put right: %v", err)
		}
		if _, err := e.canSee(t.Context(), "/"); err != nil {
			t.Fatalf("a raw call with the password put right: %v", err)
		}
		write(t, secret, "wrong again")
		wantError(t, e.rpc.call(t.Context(), "session-stats", nil, nil), apply.ErrEngineConfig, "401")
		if err := os.Remove(secret); err != nil {
			t.Fatal(err)
		}
		_, err = e.List(t.Context())
		wantError(t, err, os.ErrNotExist, secret)

		anonymous := open(t, Config{URL: d.URL})
		_, err = anonymous.List(t.Context())
		wantError(t, err, apply.ErrEngineConfig, "username and passwordFile")
	})
}

func TestPasswordChanged(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := testkit.StartTransmission(t, testkit.TransmissionOptions{Command: v.Command, Username: "seed", Password: "first"})
		secret := filepath.Join(t.TempDir(), "password")
		write(t, secret, "first")
		e := open(t, Config{URL: d.URL, Username: "seed", PasswordFile: secret})
		if _, err := e.List(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.Stop()
		d.SetPassword(t, "second")
		d.Start(t)
		_, err := e.List(t.Context())
		wantError(t, err, apply.ErrEngineConfig, "401")
		write(t, secret, "second")
		if _, err := e.List(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNotTransmission(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		kind   error
		words  string
	}{
		{"a web page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello</html>") }, apply.ErrEngineConfig, "not as Transmission"},
		{"another path", http.NotFound, apply.ErrEngineConfig, "/transmission/rpc"},
		{"whitelist", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, apply.ErrEngineConfig, "rpc-whitelist"},
		{"host whitelist", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(421) }, apply.ErrEngineConfig, "rpc-host-whitelist"},
		{"a proxy without a daemon", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, apply.ErrEngineUnreachable, "502"},
		{"cut in the middle", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"result":`)
		}, apply.ErrEngineUnreachable, "unexpected EOF"},
		{"for ever 409", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(sessionHeader, "x")
			w.WriteHeader(409)
		}, nil, "CSRF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.answer)
			defer server.Close()
			_, err := open(t, Config{URL: server.URL}).List(t.Context())
			if err == nil || c.kind != nil && !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// An RPC older than labels: no Debian carries such a daemon any more, so its
// answer is played.
func TestTooOld(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(playRPC(t, `{"rpc-version": 15, "version": "2.94 (d8e60ee44f)", "session-id": "x"}`))
	defer server.Close()
	_, err := open(t, Config{URL: server.URL}).List(t.Context())
	wantError(t, err, apply.ErrEngineConfig, "2.94", "RPC 15", "3.00")
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	for _, cfg := range []Config{
		{},
		{URL: "localhost:9091"},
		{URL: "ftp://localhost/"},
		{URL: "http://user:secret@localhost:9091/"},
		{URL: "http://localhost:9091/", PasswordFile: missing},
		{URL: "http://localhost:9091/", CAFile: missing},
		{URL: "https://localhost:9091/", CAFile: missing},
		{URL: "https://localhost:9091/", CAFile: "connection_test.go"},
		{URL: "https://localhost:9091/", CertFile: missing, KeyFile: missing},
		{URL: "http://localhost:9091/", Paths: map[string]string{"a": "b"}},
	} {
		e, err := Open(t.Context(), cfg)
		if err == nil {
			_ = e.Close()
			t.Errorf("accepted %+v", cfg)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q tells the password", err)
		}
	}
}

// A daemon behind a TLS front that has a private CA and wants a certificate.
func TestTLS(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := testkit.StartTransmission(t, testkit.TransmissionOptions{Command: v.Command, Username: "seed", Password: "right"})
		dir := t.TempDir()
		serverPair, _ := certificate(t, dir, "server")
		_, clients := certificate(t, dir, "client")
		target, err := url.Parse(d.URL)
		if err != nil {
			t.Fatal(err)
		}
		behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: target.Host})
		behind.ErrorLog = quiet()
		front := httptest.NewUnstartedServer(behind)
		front.TLS = &tls.Config{Certificates: []tls.Certificate{serverPair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
		front.Config.ErrorLog = quiet()
		front.StartTLS()
		defer front.Close()
		secret := filepath.Join(dir, "password")
		write(t, secret, "right")
		cfg := Config{
			URL: front.URL + "/transmission/rpc", Username: "seed", PasswordFile: secret,
			ManageSettings: true, CAFile: dir + "/server.crt", CertFile: dir + "/client.crt", KeyFile: dir + "/client.key",
		}
		e := open(t, cfg)
		f, root := inTree(t, "a.jpg", 1000)
		if err := e.Add(t.Context(), additions(root, f)); err != nil {
			t.Fatal(err)
		}
		requireDone(t, e, root, f)
		write(t, secret, "wrong")
		_, err = e.List(t.Context())
		wantError(t, err, apply.ErrEngineConfig, "401")

		without := cfg
		without.CertFile, without.KeyFile = "", ""
		_, err = open(t, without).List(t.Context())
		wantError(t, err, apply.ErrEngineConfig, "certificate")
		strange := cfg
		strange.CAFile = dir + "/client.crt"
		_, err = open(t, strange).List(t.Context())
		wantError(t, err, apply.ErrEngineConfig, "caFile")
		d.Kill()
		write(t, secret, "right")
		_, err = e.List(t.Context())
		wantError(t, err, apply.ErrEngineUnreachable, "502")
		front.Close()
		_, err = e.List(t.Context())
		wantError(t, err, apply.ErrEngineUnreachable, "refused")

		// The relay is for this process alone.
		resp, err := http.Post("http://"+net.JoinHostPort(e.rpc.relay.host, e.rpc.relay.port)+"/transmission/rpc", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		http.DefaultClient.CloseIdleConnections()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("a stranger at the relay gets %s", resp.Status)
		}
	})
}

// certificate makes a self-signed pair NAME.crt and NAME.key.
func certificate(t *testing.T, dir, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, name+".crt"), string(crt))
	write(t, filepath.Join(dir, name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(crt)
	return pair, pool
}
