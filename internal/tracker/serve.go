package tracker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of the HTTP server. Connections are kept open longer than the default
// interval, so that a site announces everything over the few it has.
const (
	headerTimeout = 10 * time.Second
	answerTimeout = 20 * time.Second
	idleTimeout   = DefaultInterval + time.Minute
	maxHeader     = maxQuery + 4<<10
	maxConns      = 4096
	closeTimeout  = 5 * time.Second
)

// Serve answers on the listener until ctx ends, then closes it, lets answers
// on their way finish, and returns nil. Connections beyond 4096 are closed as
// they come: a crowd must not keep the sites out by just standing there.
func (t *Tracker) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           t,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(t.cfg.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(&limitListener{Listener: l, free: make(chan struct{}, maxConns)}) }()
	select {
	case err := <-ended:
		return fmt.Errorf("tracker on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		_ = srv.Close() // whoever is still reading has had its time
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("tracker on %s: %w", l.Addr(), err)
	}
	return nil
}

// limitListener hands out at most cap(free) connections at a time.
type limitListener struct {
	net.Listener
	free chan struct{}
}

// Accept waits for a connection there is room for.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.free <- struct{}{}:
			return &limitConn{Conn: c, release: sync.OnceFunc(func() { <-l.free })}, nil
		default:
			_ = c.Close()
		}
	}
}

type limitConn struct {
	net.Conn
	release func()
}

// Close closes the connection and makes room for another.
func (c *limitConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
