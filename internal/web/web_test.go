package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// told is an agent that says what it is told to.
type told struct {
	mu            sync.Mutex
	health, ready error
}

func (a *told) Health() error { a.mu.Lock(); defer a.mu.Unlock(); return a.health }
func (a *told) Ready() error  { a.mu.Lock(); defer a.mu.Unlock(); return a.ready }

func (a *told) tell(health, ready error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.health, a.ready = health, ready
}

// serve runs a server until the test ends, and returns its address.
func serve(t *testing.T, a Agent) string {
	t.Helper()
	l, err := Listen(t.Context(), ":0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, a, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func ask(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestAnswers(t *testing.T) {
	a := &told{ready: errors.New("no revision was applied yet")}
	base := "http://" + serve(t, a)
	want := func(method, path string, code int, words string) {
		t.Helper()
		if got, body := ask(t, method, base+path); got != code || !strings.Contains(body, words) {
			t.Errorf("%s %s: %d %q, want %d %q", method, path, got, body, code, words)
		}
	}
	want("GET", "/healthz", 200, "ok")
	want("HEAD", "/healthz", 200, "")
	want("GET", "/readyz", 503, "no revision was applied yet")
	a.tell(errors.New("pass: no progress for 11m0s, since 2026-01-02T03:04:05Z, while planning"), nil)
	want("GET", "/healthz", 503, "pass: no progress for 11m0s, since 2026-01-02T03:04:05Z, while planning")
	want("GET", "/readyz", 200, "ok")
	a.tell(nil, nil)
	want("GET", "/healthz", 200, "ok")
	want("POST", "/healthz", 405, "")
	want("GET", "/", 404, "")
	want("GET", "/healthz/../etc/passwd", 404, "")
}

func TestWithoutHostItIsLoopback(t *testing.T) {
	for address, loopback := range map[string]bool{":0": true, "127.0.0.1:0": true, "0.0.0.0:0": false} {
		l, err := Listen(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Addr().(*net.TCPAddr).IP.IsLoopback(); got != loopback {
			t.Errorf("%q listens on %s", address, l.Addr())
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Listen(t.Context(), "nonsense"); err == nil {
		t.Error("nonsense is listened on")
	}
}

// Who sends half a request, or a large one, is not listened to for long.
func TestRudeClients(t *testing.T) {
	address := serve(t, &told{})
	for name, c := range map[string]struct{ text, want string }{
		"half a request":    {"GET /healthz HTTP/1.1\r\nHost: x\r\n", ""},
		"an endless header": {"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 1<<20), "431"},
		"no request":        {"\x16\x03\x01 hello\r\n\r\n", "400"},
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(headerTimeout + 10*time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprint(conn, c.text) // the server may hang up before the end
		line, err := bufio.NewReader(conn).ReadString('\n')
		var slow net.Error
		if errors.As(err, &slow) && slow.Timeout() || !strings.Contains(line, c.want) {
			t.Errorf("%s: %q, %v", name, line, err)
		}
		_ = conn.Close()
	}
	if code, _ := ask(t, "GET", "http://"+address+"/healthz"); code != 200 {
		t.Errorf("afterwards: %d", code)
	}
}
