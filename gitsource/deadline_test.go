package gitsource

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/knownhosts"

	"seedtree/internal/testkit"
)

// spoiled is a catalog behind a relay, over a transport.
type spoiled struct {
	relay  *testkit.Relay
	cfg    Config
	repo   string
	deafen func() (again func()) // the server stops reading, until it is called
}

// spoilable are the two transports that have a server to suffer from.
func spoilable(t *testing.T) map[string]func(*testing.T) spoiled {
	t.Helper()
	return map[string]func(*testing.T) spoiled{
		"https": func(t *testing.T) spoiled {
			g, cfg, repo := overHTTPS(t)
			r := testkit.ServeRelay(t, g.Server.Listener.Addr().String())
			cfg.URLs = []string{"https://" + r.Addr + "/catalog.git"}
			return spoiled{r, cfg, repo, func() func() {
				// git-http-backend spins for ever on a request that is cut, so it is not asked.
				over := make(chan struct{})
				g.Wrap(func(git http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.Method == http.MethodGet {
							git.ServeHTTP(w, r)
						} else {
							<-over
						}
					})
				})
				return func() { close(over); g.Wrap(nil) }
			}}
		},
		"ssh": func(t *testing.T) spoiled {
			g, cfg, repo := overSSH(t)
			r := testkit.ServeRelay(t, g.Addr)
			cfg.URLs = []string{"ssh://" + g.User + "@" + r.Addr + repo}
			cfg.SSH.KnownHostsFile = knownHosts(t, knownhosts.Line([]string{knownhosts.Normalize(r.Addr)}, g.HostKeys()[0]))
			return spoiled{r, cfg, repo, func() func() {
				r.Set(testkit.Fault{Deaf: true})
				return func() { r.Set(testkit.Fault{}) }
			}}
		},
	}
}

// noise is a file that no compression makes smaller.
func noise(name string, size int) File {
	data := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(size)})
	_, _ = r.Read(data)
	return File{Name: name, Data: data}
}

// The slack of a busy machine, beside the deadlines themselves.
const slack = 3 * time.Second

// within fails when do takes longer than the deadline of so many steps.
func within(t *testing.T, what string, timeout time.Duration, steps int, do func()) {
	t.Helper()
	begun := time.Now()
	bounded(t, do)
	if took, most := time.Since(begun), time.Duration(steps)*timeout+slack; took > most {
		t.Errorf("%s: %v, want at most %v", what, took, most)
	}
}

// A server that goes wrong after so many bytes, wherever that is (in the handshake,
// in the list of branches, in a packet's length, in the pack, in the report), ends in
// an error in time; nothing changes, and the next pass works.
func TestServersThatGoWrong(t *testing.T) {
	t.Parallel()
	for transport, serve := range spoilable(t) {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			sp := serve(t)
			whole := measure(t, sp)
			for name, then := range map[string]func(net.Conn, io.Reader, <-chan struct{}){
				"stall": testkit.Stall, "cut": testkit.Cut, "trickle": testkit.Trickle(100 * time.Millisecond),
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					sp := serve(t)
					for _, tenths := range []int{0, 3, 8} {
						sp.goesWrong(t, fmt.Sprintf("%s at %d/10", name, tenths), testkit.Fault{After: whole * tenths / 10, Then: then})
					}
				})
			}
		})
	}
}

// measure returns how many bytes a server sends for a fetch.
func measure(t *testing.T, sp spoiled) int {
	t.Helper()
	publish(t, opened(t, sp.repo), nil, Commit{Put: append(some(t, 20), noise("noise", 30_000))})
	sp.relay.Set(testkit.Fault{})
	fetched(t, with(t, sp.cfg))
	return sp.relay.Sent()
}

func (sp spoiled) goesWrong(t *testing.T, what string, f testkit.Fault) {
	t.Helper()
	sp.relay.Set(testkit.Fault{})
	s := with(t, sp.cfg)
	head, err := s.Fetch(t.Context())
	if errors.Is(err, ErrEmpty) {
		head, err = publish(t, s, nil, Commit{Put: append(some(t, 20), noise("noise", 30_000))}), nil
	}
	must(t, err)
	hasty := sp.cfg
	hasty.Timeout = time.Second
	sp.relay.Set(f)
	fresh := with(t, hasty)
	within(t, "fetch, "+what, hasty.Timeout, 3, func() {
		if _, err := fresh.Fetch(t.Context()); !errors.Is(err, ErrUnreachable) {
			t.Errorf("fetch, %s: %v", what, err)
		}
	})
	// A push says less, so the fault is moved to where the server still speaks.
	f.After /= 10
	hasty.Dir = s.cfg.Dir
	pusher, err := Open(hasty)
	must(t, err)
	defer pusher.Close()
	next, err := pusher.Commit(t.Context(), head, Commit{Put: []File{noise("noise", 20_000+f.After+len(what))}})
	must(t, err)
	sp.relay.Set(f)
	within(t, "push, "+what, hasty.Timeout, 6, func() {
		err := pusher.Push(t.Context(), next)
		if err != nil && !errors.Is(err, ErrUnreachable) {
			t.Errorf("push, %s: %v", what, err)
		}
	})
	sp.relay.Set(testkit.Fault{})
	r := fetched(t, s)
	if r.ID() != head.ID() && r.ID() != next.ID() {
		t.Errorf("%s: head %s", what, r.Short())
	}
	publish(t, s, r, Commit{Put: []File{noise("noise", 10_000+f.After+len(what))}})
}

// Wherever in the conversation the line is cut or goes silent, the error says which,
// and is one that lets the next remote have a go.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	for transport, serve := range spoilable(t) {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			sp := serve(t)
			publish(t, opened(t, sp.repo), nil, Commit{Put: some(t, 2)})
			fetched(t, with(t, sp.cfg))
			whole := sp.relay.Sent() - 400 // the end is a goodbye that nobody needs
			for after := 0; after < whole; after += 150 {
				sp.relay.Set(testkit.Fault{After: after, Then: testkit.Cut})
				if _, err := with(t, sp.cfg).Fetch(t.Context()); !errors.Is(err, ErrUnreachable) ||
					!strings.Contains(err.Error(), "the server ended the connection") && !strings.Contains(err.Error(), "connection reset") {
					t.Errorf("cut after %d of %d bytes: %v", after, whole, err)
				}
			}
			sp.cfg.Timeout = time.Second
			for after := 0; after < whole; after += whole/5 + 1 {
				sp.relay.Set(testkit.Fault{After: after, Then: testkit.Stall})
				if _, err := with(t, sp.cfg).Fetch(t.Context()); !errors.Is(err, ErrUnreachable) ||
					!strings.Contains(err.Error(), "no progress within 1s") {
					t.Errorf("silent after %d of %d bytes: %v", after, whole, err)
				}
			}
		})
	}
}

// A server that stops reading must not keep a push waiting.
func TestServerThatStopsReading(t *testing.T) {
	t.Parallel()
	for transport, serve := range spoilable(t) {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			sp := serve(t)
			s := with(t, sp.cfg)
			head := publish(t, s, nil, Commit{Put: some(t, 2)})
			hasty := sp.cfg
			hasty.Timeout, hasty.Dir = time.Second, s.cfg.Dir
			pusher, err := Open(hasty)
			must(t, err)
			defer pusher.Close()
			big, err := pusher.Commit(t.Context(), head, Commit{Put: []File{noise("big", 24<<20)}})
			must(t, err)
			hears := sp.deafen()
			within(t, "push", hasty.Timeout, 6, func() {
				if err := pusher.Push(t.Context(), big); !errors.Is(err, ErrUnreachable) {
					t.Errorf("push to the deaf: %v", err)
				}
			})
			hears()
			must(t, s.Push(t.Context(), big))
		})
	}
}

// Slow is not stuck: a pack that takes many timeouts arrives, as long as it moves.
func TestSlowButMovingServer(t *testing.T) {
	t.Parallel()
	for transport, serve := range spoilable(t) {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			sp := serve(t)
			publish(t, opened(t, sp.repo), nil, Commit{Put: append(some(t, 2), noise("big", 250_000))})
			sp.cfg.Timeout = 2 * time.Second
			s := with(t, sp.cfg)
			sp.relay.Set(testkit.Fault{Then: testkit.Throttle(2000, 50*time.Millisecond)}) // 40 kB a second
			begun := time.Now()
			fetched(t, s)
			if took := time.Since(begun); took < 5*time.Second {
				t.Errorf("took %v only; this proves nothing", took)
			}
		})
	}
}

// git sends empty packets while it gathers a pack: they count, but not for ever.
func TestBusyServerSaysSo(t *testing.T) {
	t.Parallel()
	busy := func(packets int) io.Reader {
		return io.MultiReader(strings.NewReader(strings.Repeat("0005\x01", packets)), strings.NewReader("0007\x02hm000a\x01hello0000"))
	}
	alive, words := 0, tail{}
	b := &band{r: bufio.NewReader(busy(7)), words: &words, alive: func() { alive++ }}
	if data, err := io.ReadAll(b); err != nil || string(data) != "hello" || alive != 8 || words.text() != "hm" {
		t.Errorf("%q, %v, alive %d times, %q", data, err, alive, words.text())
	}
	p := &countingPipe{}
	patient := (&wire{timeout: 20 * time.Millisecond}).patience(p)
	for end := time.Now().Add(patience * 20 * time.Millisecond); !time.Now().After(end); {
		patient()
	}
	renewed := p.renewed
	if patient(); renewed == 0 || p.renewed != renewed {
		t.Errorf("renewed %d times, then %d", renewed, p.renewed)
	}
	for text, want := range map[string]string{
		"": "unexpected EOF", "00": "unexpected EOF", "zzzz": "malformed", "0003": "malformed", "0008\x01a": "unexpected EOF",
		"0005\x09": "channel 9", "000a\x03oops!": "oops!", "0006\x01": "unexpected EOF",
	} {
		_, err := io.ReadAll(&band{r: bufio.NewReader(strings.NewReader(text)), words: io.Discard, alive: func() {}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

type countingPipe struct {
	pipe
	renewed int
}

func (p *countingPipe) renew() { p.renewed++ }

// Our own pauses are not held against the server: a disk that stops for longer than
// the timeout in the middle of a pack.
func TestOwnPausesDoNotCount(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = c.Write(bytes.Repeat([]byte("x"), 100))
			_, _ = c.Read(make([]byte, 1))
			_ = c.Close()
		}
	}()
	c, err := dial(t.Context(), "tcp", l.Addr().String(), 300*time.Millisecond)
	must(t, err)
	defer c.Close()
	for range 3 {
		if _, err := io.ReadFull(c, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(400 * time.Millisecond) // the pause is the subject
	}
	if _, err := io.ReadFull(c, make([]byte, 100)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("waiting for the server: %v", err)
	}
}

// An ssh agent that never answers, say because it asks somebody who is not there.
func TestSilentSSHAgent(t *testing.T) {
	_, cfg, repo := overSSH(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	sock := t.TempDir() + "/agent"
	l, err := net.Listen("unix", sock)
	must(t, err)
	defer l.Close()
	t.Setenv("SSH_AUTH_SOCK", sock)
	cfg.SSH.KeyFile, cfg.Timeout = "", time.Second
	s := with(t, cfg)
	within(t, "fetch", cfg.Timeout, 2, func() {
		if _, err := s.Fetch(t.Context()); err == nil {
			t.Error("it went through")
		}
	})
}
