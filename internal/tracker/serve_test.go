package tracker

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"seedtree/manifests"
)

// serve runs the tracker on a free port and waits for its end with the test.
func serve(t testing.TB, tr *Tracker) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tr.Serve(ctx, l) }()
	return l.Addr().String(), func() error { cancel(); return <-ended }
}

func TestServeKeepsConnectionsAndEnds(t *testing.T) {
	defer goleak.VerifyNone(t)
	tr := newTracker(t, Config{}, 1)
	addr, stop := serve(t, tr)
	var dials atomic.Int32
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, a string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, a)
	}}}
	for range 20 {
		resp, err := client.Get("http://" + addr + target(hash(1), 0, ""))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if dials.Load() != 1 {
		t.Errorf("20 announces took %d connections", dials.Load())
	}
	if resp, err := client.Get("http://" + addr + "/announce?" + strings.Repeat("x", 2*maxHeader)); err != nil {
		t.Error(err)
	} else {
		if resp.StatusCode < 400 {
			t.Errorf("an oversized request is answered with %s", resp.Status)
		}
		_ = resp.Body.Close()
	}
	client.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		t.Error("the listener is still open")
	}
}

func TestServeReportsALostListener(t *testing.T) {
	tr := newTracker(t, Config{}, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := tr.Serve(t.Context(), l); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v, want an error that names %s", err, l.Addr())
	}
}

// A crowd beyond the limit is sent away, and its leaving makes room.
func TestLimitListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	l := &limitListener{Listener: inner, free: make(chan struct{}, 1)}
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	dial()
	held := <-accepted
	turnedAway := dial()
	_ = turnedAway.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := turnedAway.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the second connection gets %v, want EOF", err)
	}
	_ = held.Close()
	_ = held.Close() // closing twice makes room once
	dial()
	next := <-accepted
	if len(l.free) != 1 {
		t.Errorf("%d places taken, want 1", len(l.free))
	}
	_ = next.Close()
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkAnnounce announces 100,000 torrents from three sites in turn and
// reports what the store holds for them.
func BenchmarkAnnounce(b *testing.B) {
	const torrents = 100_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	tr := newTracker(b, Config{}, 0)
	tr.SetAllowed(func(manifests.InfoHash) bool { return true })
	requests := make([]*http.Request, 4096)
	for i := range requests {
		requests[i] = httptest.NewRequest(http.MethodGet, target(hash(i+1), i%2, ""), nil)
		requests[i].RemoteAddr = []string{"192.0.2.1:9", "192.0.2.2:9", "[2001:db8::3]:9"}[i%3]
	}
	for i := range 3 * torrents {
		p := peer{addr: [16]byte{15: byte(i / torrents)}, port: 1, seed: true}
		tr.store.update(hash(i%torrents+1), p, eventNone, 0, tr.life)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	var next atomic.Uint64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		w := discard{http.Header{}}
		for pb.Next() {
			tr.ServeHTTP(w, requests[next.Add(1)%uint64(len(requests))])
		}
	})
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-held")
	if s := tr.Stats(); s.NotListed+s.Malformed != 0 {
		b.Fatalf("stats %+v", s)
	}
}
