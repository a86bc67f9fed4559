package embedded

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"seedtree/manifests"
)

const (
	burst = 1 << 16 // bytes a limiter lets through at once
	chunk = 1 << 14 // bytes of one read or write under a limit
)

// limits throttle every connection of the engine together. The library's own
// limiters lose wake-ups and cannot be lifted again, so the limit sits in the
// connection, where TCP carries the pressure to the other end.
type limits struct{ up, down *rate.Limiter }

func newLimits() *limits {
	return &limits{rate.NewLimiter(rate.Inf, burst), rate.NewLimiter(rate.Inf, burst)}
}

// set takes bytes per second; 0 or less lifts a limit.
func (l *limits) set(up, down int64) {
	for lim, n := range map[*rate.Limiter]int64{l.up: up, l.down: down} {
		if n <= 0 {
			lim.SetLimit(rate.Inf)
		} else {
			lim.SetLimit(rate.Limit(n))
		}
	}
}

// handshakeLen is the length of a BitTorrent handshake (BEP 3); the info hash
// stands in it at hashAt.
const (
	handshakeLen = 68
	hashAt       = 28
)

// conn is a peer connection: limited, and watched during the handshake.
type conn struct {
	net.Conn
	limits *limits
	ctx    context.Context // ends when the connection is closed
	cancel context.CancelFunc
	once   sync.Once

	dialed   string // the address that was dialed, "" for incoming connections
	release  func() // gives back the turn to shake hands
	received atomic.Int64
	sent     int
	head     [handshakeLen]byte // first bytes sent, for others once asked is true
	asked    atomic.Bool
	// met tells how a dialed connection began: the info hash that was asked
	// for, and whether the peer said anything but its own handshake, which
	// some send before they look whether they hold the torrent.
	met func(addr string, h manifests.InfoHash, welcome bool)
}

func newConn(nc net.Conn, l *limits) *conn {
	// Peers come and go by the thousand with small torrents. Closing with a
	// reset instead of TIME_WAIT keeps the ports from running out; whoever
	// closes has what it wanted.
	if tc, ok := nc.(*net.TCPConn); ok {
		_ = tc.SetLinger(0)
	}
	c := &conn{Conn: nc, limits: l}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

func (c *conn) Read(b []byte) (int, error) {
	lim := c.limits.down
	if lim.Limit() == rate.Inf {
		n, err := c.Conn.Read(b)
		c.got(n)
		return n, err
	}
	n, err := c.Conn.Read(b[:min(len(b), chunk)])
	c.got(n)
	if n > 0 && lim.WaitN(c.ctx, n) != nil && err == nil {
		err = net.ErrClosed
	}
	return n, err
}

// got notes received bytes until it is clear how the connection begins.
func (c *conn) got(n int) {
	if c.met == nil || c.received.Load() > handshakeLen {
		return
	}
	total := c.received.Add(int64(n))
	if total >= handshakeLen {
		c.release()
	}
	if total > handshakeLen {
		c.began(true)
	}
}

func (c *conn) began(welcome bool) {
	var h manifests.InfoHash
	if c.asked.Load() {
		h = manifests.InfoHash(c.head[hashAt : hashAt+len(h)])
	}
	c.once.Do(func() { c.met(c.dialed, h, welcome) })
}

func (c *conn) Write(b []byte) (int, error) {
	if c.sent < handshakeLen {
		c.sent += copy(c.head[c.sent:], b)
		c.asked.Store(c.sent == handshakeLen)
	}
	lim, done := c.limits.up, 0
	for {
		part := b[done:]
		if lim.Limit() != rate.Inf {
			part = part[:min(len(part), chunk)]
			if lim.WaitN(c.ctx, len(part)) != nil {
				return done, net.ErrClosed
			}
		}
		n, err := c.Conn.Write(part)
		done += n
		if err != nil || done == len(b) {
			return done, err
		}
	}
}

func (c *conn) Close() error {
	c.cancel()
	if c.met != nil {
		c.release()
		c.began(false)
	}
	return c.Conn.Close()
}

// listener hands limited connections to the library. It swallows the errors
// the library would spin on.
type listener struct {
	net.Listener
	limits *limits
	done   <-chan struct{} // closed before the listener is
}

func (l *listener) Accept() (net.Conn, error) {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		nc, err := l.Listener.Accept()
		if err == nil {
			return newConn(nc, l.limits), nil
		}
		if errors.Is(err, net.ErrClosed) {
			<-l.done // the library asks again at once unless it is closing
			return nil, err
		}
		select { // out of descriptors, most likely: it passes
		case <-l.done:
			return nil, err
		case <-time.After(wait):
		}
	}
}
