package gitsource

import (
	"context"
	"net"
	"sync"
	"time"
)

// dial opens a connection on which every read and write must make progress within
// the timeout, and which the context ends at once. ssh needs both: its own
// timeout covers the dialing only, and a server that accepts and then says
// nothing would be listened to for ever.
func dial(ctx context.Context, network, addr string, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w := &watchedConn{Conn: c, timeout: timeout, end: time.Now().Add(patience * timeout)}
	w.stop = context.AfterFunc(ctx, w.expire)
	return w, nil
}

// patience is how many timeouts a whole conversation may take: a server that sends
// a byte now and then makes progress, too, but never gets anywhere.
const patience = 200

// watchedConn pushes its deadline forward with every step.
type watchedConn struct {
	net.Conn
	timeout time.Duration
	end     time.Time
	stop    func() bool

	mu      sync.Mutex
	expired bool
}

// expire ends all that waits; later steps fail at once.
func (c *watchedConn) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expired = true
	_ = c.Conn.SetDeadline(time.Unix(1, 0))
}

func (c *watchedConn) extend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.expired {
		return
	}
	next := time.Now().Add(c.timeout)
	if next.After(c.end) {
		next = c.end
	}
	_ = c.Conn.SetDeadline(next)
}

func (c *watchedConn) Read(p []byte) (int, error) {
	c.extend()
	return c.Conn.Read(p)
}

func (c *watchedConn) Write(p []byte) (int, error) {
	c.extend()
	return c.Conn.Write(p)
}

// Close ends the watch, too.
func (c *watchedConn) Close() error {
	c.stop()
	return c.Conn.Close()
}
