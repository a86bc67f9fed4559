package testkit

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Fault is what a Relay does to the bytes of a server.
type Fault struct {
	After int // bytes that pass unharmed, of each connection
	// Then decides about the rest; nil lets it pass.
	Then func(client net.Conn, server io.Reader, over <-chan struct{})
	Deaf bool // what the client sends after its first 64 KiB stays unread
}

// Stall says nothing more and keeps the connection open.
func Stall(_ net.Conn, _ io.Reader, over <-chan struct{}) { <-over }

// Cut ends the connection.
func Cut(client net.Conn, _ io.Reader, _ <-chan struct{}) { _ = client.Close() }

// Trickle passes bytes on one by one, with pauses.
func Trickle(pause time.Duration) func(net.Conn, io.Reader, <-chan struct{}) {
	return Throttle(1, pause)
}

// Throttle passes a few bytes on at a time, with pauses.
func Throttle(bytes int, pause time.Duration) func(net.Conn, io.Reader, <-chan struct{}) {
	return func(client net.Conn, server io.Reader, over <-chan struct{}) {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		buf := make([]byte, bytes)
		for {
			n, err := server.Read(buf)
			if n > 0 {
				if _, err := client.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-over:
				return
			}
		}
	}
}

// Relay stands between clients and a server, and spoils what the server says.
type Relay struct {
	Addr string

	to   string
	mu   sync.Mutex
	f    Fault
	sent int // bytes of the server that passed, of all connections since Set
	over chan struct{}
}

// ServeRelay relays to a server until the test ends.
func ServeRelay(t testing.TB, to string) *Relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{Addr: l.Addr().String(), to: to, over: make(chan struct{})}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { r.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.Set(Fault{})
		all.Wait()
	})
	return r
}

// Set chooses the fault of the connections to come and ends those that are.
func (r *Relay) Set(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.over)
	r.f, r.sent, r.over = f, 0, make(chan struct{})
}

// Sent returns how many bytes of the server passed since Set.
func (r *Relay) Sent() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent
}

func (r *Relay) serve(client net.Conn) {
	r.mu.Lock()
	f, over := r.f, r.over
	r.mu.Unlock()
	defer client.Close()
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	both.Go(func() {
		if f.Deaf {
			_, _ = io.CopyN(server, client, 64<<10)
			<-over
		}
		_, _ = io.Copy(server, client)
		_ = server.Close() // the client hung up
	})
	both.Go(func() {
		defer client.Close()
		if f.Then == nil {
			_, _ = io.Copy(counter{client, r}, server)
			return
		}
		if _, err := io.CopyN(counter{client, r}, server, int64(f.After)); err == nil {
			f.Then(client, server, over)
		}
	})
	ended := make(chan struct{})
	go func() { both.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-over:
		_, _ = client.Close(), server.Close()
		<-ended
	}
}

type counter struct {
	io.Writer
	r *Relay
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.sent += n
	return n, err
}
