package transmission

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

const relayUser = "seedtree"

// relay lends our TLS to the transmissionrpc library, which brings its own
// HTTP client and knows neither a private CA nor client certificates. It
// listens on loopback and serves only who knows a secret that was drawn at
// random and never leaves this process, so that no other user of the machine
// gains what the certificate opens.
type relay struct {
	host, port, secret string
	server             *http.Server
	done               chan struct{}

	mu                 sync.Mutex
	username, password string
	last               error
}

func newRelay(endpoint *url.URL, transport http.RoundTripper) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("relay to Transmission's RPC: %w", err)
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, err
	}
	r := &relay{host: host, port: port, secret: rand.Text(), done: make(chan struct{})}
	silent := log.New(io.Discard, "", 0) // failures are returned by failure
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		ErrorLog:  silent,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = endpoint.Scheme, endpoint.Host, endpoint.Host
			p.Out.Header.Del("Authorization")
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.username != "" {
				p.Out.SetBasicAuth(r.username, r.password)
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			r.mu.Lock()
			r.last = err
			r.mu.Unlock()
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	r.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, ErrorLog: silent, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, req *http.Request) {
			_, secret, _ := req.BasicAuth()
			if subtle.ConstantTimeCompare([]byte(secret), []byte(r.secret)) != 1 {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			proxy.ServeHTTP(w, req)
		})}
	go func() { defer close(r.done); _ = r.server.Serve(l) }()
	return r, nil
}

// authorize sets what the daemon is told in place of the relay's own secret.
func (r *relay) authorize(username, password string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.username, r.password = username, password
}

// failure returns why the daemon could not be reached; the library only knows
// that a gateway says so.
func (r *relay) failure(otherwise error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		return otherwise
	}
	return &url.Error{Op: "relay", URL: "Transmission's RPC", Err: r.last}
}

func (r *relay) close() error {
	err := r.server.Close()
	<-r.done
	return err
}
