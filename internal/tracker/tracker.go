package tracker

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"seedtree/manifests"
)

// Defaults and bounds.
const (
	// DefaultInterval is how often clients are asked to announce. Ten thousand
	// torrents at three sites make a hundred announces a second of it.
	DefaultInterval = 5 * time.Minute

	minInterval    = 10 * time.Second
	maxInterval    = 24 * time.Hour
	defaultNumWant = 50
	maxNumWant     = 200
	retryMinutes   = 1
)

// Config says how a Tracker behaves. The zero value is a good one.
type Config struct {
	// Interval between two announces of a client; 0 means DefaultInterval.
	Interval time.Duration
	// TrustIP believes the ip parameter of an announce: for clients behind a
	// gateway that hides their address. Whoever can reach the tracker can then
	// enter any address, so it is off unless asked for.
	TrustIP bool
	Log     *slog.Logger
	Clock   func() time.Time
}

// Tracker answers announces and scrapes. It is an http.Handler for /announce
// and /scrape, safe for concurrent use, and has no goroutines of its own.
type Tracker struct {
	cfg     Config
	began   time.Time
	life    uint32 // seconds a silent peer is kept
	store   *store
	allowed atomic.Pointer[func(manifests.InfoHash) bool]
	counted counters
}

type counters struct {
	announces, notListed, malformed, scrapes atomic.Uint64
}

// Stats is what a Tracker did since it was made, and what it holds now.
type Stats struct {
	Announces, NotListed, Malformed, Scrapes uint64
	Swarms, Seeders, Leechers                int
}

// errNotListed is told to clients as it stands.
var errNotListed = errors.New("not listed: this tracker serves one catalog only")

// New makes a tracker that lists nothing yet: see SetAllowed.
func New(cfg Config) (*Tracker, error) {
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.Interval < minInterval || cfg.Interval > maxInterval {
		return nil, fmt.Errorf("tracker interval %v: want %v to %v", cfg.Interval, minInterval, maxInterval)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	t := &Tracker{cfg: cfg, began: cfg.Clock(), store: newStore()}
	t.life = uint32((2*cfg.Interval + 30*time.Second) / time.Second) // one lost announce is forgiven
	t.SetAllowed(func(manifests.InfoHash) bool { return false })
	return t, nil
}

// SetAllowed replaces the rule that says which info hashes are listed, and
// forgets the swarms that no longer are. The function is called concurrently
// and for every request: it should be a lookup.
func (t *Tracker) SetAllowed(listed func(manifests.InfoHash) bool) {
	t.allowed.Store(&listed)
	t.store.retain(listed)
}

func (t *Tracker) listed(h manifests.InfoHash) bool { return (*t.allowed.Load())(h) }

// Stats counts. Its cost grows with the number of swarms.
func (t *Tracker) Stats() Stats {
	s := Stats{
		Announces: t.counted.announces.Load(), NotListed: t.counted.notListed.Load(),
		Malformed: t.counted.malformed.Load(), Scrapes: t.counted.scrapes.Load(),
	}
	s.Swarms, s.Seeders, s.Leechers = t.store.sum(t.now(), t.life)
	return s
}

// now is in seconds since the tracker was made. A clock set back stands still.
func (t *Tracker) now() uint32 {
	return uint32(max(0, t.cfg.Clock().Sub(t.began)) / time.Second)
}

// ServeHTTP answers GET /announce and GET /scrape. What is wrong with a request
// is told the way BEP 3 has it, as a "failure reason" under status 200, because
// clients show that to people and nothing else.
func (t *Tracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := t.announce
	switch r.URL.Path {
	case "/announce":
	case "/scrape":
		answer = t.scrape
	default:
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	body, err := answer(r)
	switch {
	case errors.Is(err, errNotListed):
		t.counted.notListed.Add(1)
		body = failure(err)
	case err != nil:
		t.counted.malformed.Add(1)
		t.cfg.Log.Debug("tracker: malformed request", "from", r.RemoteAddr, "error", err)
		body = failure(err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that left needs no answer
}

func (t *Tracker) announce(r *http.Request) ([]byte, error) {
	a, err := parseAnnounce(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	if !t.listed(a.infoHash) {
		return nil, errNotListed
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return nil, errors.New("the request came from no IP address")
	}
	addr := remote.Addr() // As16 makes one of an IPv4 address and its IPv6-mapped form
	if t.cfg.TrustIP && a.ip.IsValid() && !a.ip.IsUnspecified() {
		addr = a.ip
	}
	self := peer{addr: addr.As16(), port: a.port, seed: a.left == 0, seen: t.now()}
	others, c := t.store.update(a.infoHash, self, a.event, numWant(a.numWant), t.life)
	t.counted.announces.Add(1)
	return t.encode(a, others, c), nil
}

func numWant(n int) int {
	if n < 0 {
		return defaultNumWant
	}
	return min(n, maxNumWant)
}

func (t *Tracker) scrape(r *http.Request) ([]byte, error) {
	hashes, err := parseScrape(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	t.counted.scrapes.Add(1)
	found := make(map[manifests.InfoHash]counts, len(hashes))
	for _, h := range hashes {
		if t.listed(h) { // BEP 48: the others are left out
			found[h] = t.store.scrape(h, t.now(), t.life)
		}
	}
	return encodeScrape(found), nil
}
