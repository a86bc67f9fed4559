package testkit

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy is an HTTP proxy on loopback that knows one method, CONNECT, and one
// machine: whatever name is asked for, it connects to To.
type Proxy struct {
	URL      string // http://127.0.0.1:PORT
	To       string // host:port
	Password string // for user "seed"; "": nobody is asked
	Status   int    // answered instead of connecting, if not 0
	Connects atomic.Int32
	mu       sync.Mutex
	asked    []string
}

// ServeProxy runs a proxy until the test ends.
func ServeProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	p := &Proxy{To: to}
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	p.URL = srv.URL
	return p
}

// Asked returns the names clients wanted to be connected to.
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, r.Host)
	p.mu.Unlock()
	// BasicAuth reads another header; the form is the same.
	login := http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	if user, given, _ := login.BasicAuth(); p.Password != "" && (user != "seed" || given != p.Password) {
		http.Error(w, "who are you?", http.StatusProxyAuthRequired)
		return
	}
	if p.Status != 0 {
		http.Error(w, "no", p.Status)
		return
	}
	there, err := net.Dial("tcp", p.To)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	here, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		_ = there.Close()
		return
	}
	p.Connects.Add(1)
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(there, buffered); _ = there.Close() })
	both.Go(func() { _, _ = io.Copy(here, there); _ = here.Close() })
	both.Wait()
}
