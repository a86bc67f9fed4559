package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/anacrolix/torrent"
	"github.com/gofrs/flock"

	"seedtree/apply"
	"seedtree/manifests"
)

// ErrInUse is returned by Open when another process has the state directory.
var ErrInUse = errors.New("another engine uses this state directory")

var errClosed = errors.New("engine is closed")

// Config says how an engine is run. Only StateDir is required.
type Config struct {
	// Listen is the host:port peers connect to; "" means any port on every
	// address.
	Listen string
	// StateDir holds the session. It belongs to one engine at a time.
	StateDir string
	// UploadLimit and DownloadLimit are bytes per second for all peers
	// together; 0 means no limit.
	UploadLimit, DownloadLimit int64
	// Window is how many torrents download at the same time; 0 means 200.
	Window int
	Log    *slog.Logger
	// NewListener and Dial make the peer connections; nil means plain TCP.
	// Both ends of a connection must agree on what is below BitTorrent.
	NewListener func(network, address string) (net.Listener, error)
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)
	// Tracker carries announces; nil means a transport of its own.
	Tracker http.RoundTripper

	// diskPause is how long downloads rest after a failed write; tests
	// shorten it.
	diskPause time.Duration
}

// Engine is an apply.Engine, apply.Introducer and apply.Meter.
//
// Locks are taken in this order: loading, the library's own, mu. What the
// library calls back may take mu, so nothing calls the library holding mu.
type Engine struct {
	cfg       Config
	log       *slog.Logger
	lock      *flock.Flock
	session   *session
	listener  net.Listener
	client    *torrent.Client
	limits    *limits
	book      *book
	announcer *announcer

	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup // the worker and file checks

	loading sync.Mutex // held while the library gains or loses a torrent

	mu        sync.Mutex
	entries   map[manifests.InfoHash]*entry
	roots     map[string]string // interned: most torrents share a root
	swarms    *swarms
	queue     []*entry           // incomplete torrents waiting for the window
	unchecked []*entry           // those to be hashed first
	delayed   []*entry           // those that failed and wait a while
	downloads map[*entry]*loaded // the window
	seeding   map[*entry]*loaded // complete torrents that peers asked for
	downLimit int64
	checks    int
	closing   bool

	evmu   sync.Mutex
	events []event
	wake   chan struct{}

	// Only the worker touches these:
	pauseUntil time.Time     // the disk is full
	pace       time.Duration // what small torrents take lately
}

var (
	_ apply.Engine     = (*Engine)(nil)
	_ apply.Introducer = (*Engine)(nil)
	_ apply.Meter      = (*Engine)(nil)
)

// Open starts an engine over its state directory. What was held when it was
// last closed, or killed, is held again.
func Open(cfg Config) (*Engine, error) {
	if cfg.StateDir == "" {
		return nil, errors.New("embedded engine: no state directory")
	}
	e := &Engine{
		cfg: cfg.withDefaults(), limits: newLimits(), swarms: newSwarms(),
		entries: map[manifests.InfoHash]*entry{}, roots: map[string]string{},
		downloads: map[*entry]*loaded{}, seeding: map[*entry]*loaded{},
		wake: make(chan struct{}, 1),
	}
	e.log = e.cfg.Log
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.book = newBook(e.ctx, e.poke)
	if err := e.open(); err != nil {
		e.cancel()
		return nil, fmt.Errorf("embedded engine: %w", err)
	}
	return e, nil
}

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = ":0"
	}
	if c.Window <= 0 {
		c.Window = defaultWindow
	}
	if c.diskPause <= 0 {
		c.diskPause = 15 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.NewListener == nil {
		c.NewListener = net.Listen
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	return c
}

func (e *Engine) open() (err error) {
	var undo []func() error
	defer func() {
		for i := len(undo) - 1; err != nil && i >= 0; i-- {
			_ = undo[i]()
		}
	}()
	if err = e.takeLock(); err != nil {
		return err
	}
	undo = append(undo, e.lock.Unlock)
	if e.session, err = openSession(e.cfg.StateDir, e.replay); err != nil {
		return err
	}
	undo = append(undo, e.session.close)
	e.session.live = e.liveBytes()
	if err = e.tidy(func() {}); err != nil {
		return err
	}
	if e.listener, err = e.cfg.NewListener("tcp", e.cfg.Listen); err != nil {
		return err
	}
	undo = append(undo, e.listener.Close)
	if e.client, err = torrent.NewClient(e.clientConfig()); err != nil {
		return err
	}
	e.announcer = newAnnouncer(e)
	e.SetLimits(e.cfg.UploadLimit, e.cfg.DownloadLimit)
	e.client.AddDialer(dialer{e})
	e.client.AddListener(&listener{e.listener, e.limits, e.client.Closed()})
	for _, en := range e.entries {
		e.enqueue(en)
		if en.seedable() {
			e.announcer.seed(en)
		}
	}
	e.group.Go(e.run)
	return nil
}

// takeLock makes the state directory ours.
func (e *Engine) takeLock() error {
	if err := os.MkdirAll(e.cfg.StateDir, 0o700); err != nil {
		return err
	}
	e.lock = flock.New(filepath.Join(e.cfg.StateDir, "lock"))
	ok, err := e.lock.TryLock()
	if err == nil && !ok {
		err = fmt.Errorf("%s: %w", e.cfg.StateDir, ErrInUse)
	}
	return err
}

func (e *Engine) liveBytes() (n int64) {
	for _, en := range e.entries {
		n += en.weight()
	}
	return n
}

// tidy compacts the session log when most of it is history. It calls beat for each
// torrent that is kept.
func (e *Engine) tidy(beat func()) error {
	if !e.session.bloated() {
		return nil
	}
	e.mu.Lock()
	live := e.liveBytes()
	e.mu.Unlock()
	if !e.session.tidy(live) {
		return nil
	}
	return e.compact(beat)
}

// weight is about what the entry takes in a compacted session log, in bytes.
func (en *entry) weight() int64 { return int64(en.info.len) + int64(len(en.root)+len(en.path)) + 64 }

func (e *Engine) intern(root string) string {
	if r, ok := e.roots[root]; ok {
		return r
	}
	e.roots[root] = root
	return root
}

// Addr is where peers connect.
func (e *Engine) Addr() net.Addr { return e.listener.Addr() }

// SetLimits changes the limits of a running engine: bytes per second, 0 for none.
func (e *Engine) SetLimits(upload, download int64) {
	e.limits.set(upload, download)
	e.mu.Lock()
	e.downLimit = download
	e.mu.Unlock()
	e.poke()
}

// Traffic implements apply.Meter.
func (e *Engine) Traffic(context.Context) (apply.Traffic, error) {
	s := e.client.ConnStats()
	return apply.Traffic{Downloaded: s.BytesReadData.Int64(), Uploaded: s.BytesWrittenData.Int64()}, nil
}

// Close stops the engine and says goodbye to trackers that can be reached.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closing {
		e.mu.Unlock()
		return nil
	}
	e.closing = true
	e.mu.Unlock()
	e.announcer.close()
	e.cancel()
	e.group.Wait()
	e.book.pending.Wait()
	// The library spins when its listener goes first. Nobody may be loading
	// a torrent into a client that is closed.
	e.loading.Lock()
	errs := e.client.Close()
	e.loading.Unlock()
	errs = append(errs, ignoreClosed(e.listener.Close()), e.session.close(), e.lock.Unlock())
	return errors.Join(errs...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
