package gitsource

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"seedtree/internal/pulse"
)

// minRate is how many bytes a second a conversation must move while it moves any:
// a server that sends a byte now and then never gets anywhere, but never is silent.
const minRate = 1000

// dial opens a connection that makes progress or ends: minRate × timeout bytes must
// move within each timeout, less only between renewals. There is no limit in all, so
// that a large pack may come over a thin line. The context ends everything at once.
//
// ssh needs this: its own timeout covers the dialing only, and a server that accepts
// and then says nothing would be listened to for ever.
func dial(ctx context.Context, network, addr string, timeout time.Duration) (*watchedConn, error) {
	d := net.Dialer{Timeout: timeout}
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	w := &watchedConn{
		Conn: c, timeout: timeout, quota: max(1, int64(minRate*timeout.Seconds())),
		beat: pulse.Of(ctx), end: now.Add(timeout), rest: now,
	}
	w.stop = context.AfterFunc(ctx, w.expire)
	return w, nil
}

// watchedConn is a connection with a deadline that has to be earned.
type watchedConn struct {
	net.Conn
	timeout time.Duration
	quota   int64 // bytes that earn another timeout
	beat    func()
	stop    func() bool

	mu      sync.Mutex
	end     time.Time // of the present stretch
	moved   int64     // bytes in it
	active  int       // reads and writes under way
	rest    time.Time // since when there are none
	expired bool
	stalled error
}

// expire ends all that waits; later steps fail at once.
func (c *watchedConn) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expired = true
	_ = c.SetDeadline(time.Unix(1, 0))
}

// renew begins a new stretch: a new question deserves its own time for the answer.
func (c *watchedConn) renew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stretch(time.Now())
}

func (c *watchedConn) stretch(now time.Time) {
	if c.expired {
		return
	}
	c.end, c.moved = now.Add(c.timeout), 0
	_ = c.SetDeadline(c.end)
}

// begin is called before each read and write. Pauses of our own, a slow disk for
// one, are not the server's fault.
func (c *watchedConn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active++; c.active == 1 && !c.expired {
		c.end = c.end.Add(time.Since(c.rest))
		_ = c.SetDeadline(c.end)
	}
}

// done is called after each read and write. It makes a passed deadline tell what
// the matter was.
func (c *watchedConn) done(n int, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.moved += int64(n); c.moved >= c.quota {
		c.stretch(now)
	}
	if c.active--; c.active == 0 {
		c.rest = now
	}
	if n > 0 {
		c.beat()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.expired {
		err = fmt.Errorf("no progress within %v: %w", c.timeout, err)
		c.stalled = err
	}
	return err
}

// failure is why the connection ended if it made no progress, else nil.
func (c *watchedConn) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stalled
}

func (c *watchedConn) Read(p []byte) (n int, err error) {
	c.begin()
	n, err = c.Conn.Read(p)
	return n, c.done(n, err)
}

func (c *watchedConn) Write(p []byte) (n int, err error) {
	c.begin()
	n, err = c.Conn.Write(p)
	return n, c.done(n, err)
}

// Close ends the watch, too.
func (c *watchedConn) Close() error {
	c.stop()
	return c.Conn.Close()
}
