package embedded

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	announceLanes = 8   // announces under way at the same time
	calmRate      = 200 // announces a second that are not urgent
	goodbyeFor    = 2 * time.Second
	hungryPause   = 2 * time.Minute // a download without peers asks again that soon, if the tracker's interval is longer
	refusedPause  = 5 * time.Minute
	maxDownPause  = 5 * time.Minute
)

// hearing is what trackers were told about one torrent. Guarded by announcer.mu.
type hearing struct {
	told    *tracker // the one that counts us, nil if none does
	asSeed  bool     // and what it was told
	due     time.Time
	soonest time.Time // a hungry download must not ask before
	line    bool      // waiting for a lane
	moved   bool      // to other trackers, while it was
	fails   int
}

// announcer talks to the trackers, over few connections that are kept alive.
// Downloads that need peers go first; complete torrents follow at a bounded
// rate, so that a hundred thousand of them neither hold up the downloads nor
// fall on the tracker all at once.
type announcer struct {
	e      *Engine
	client *http.Client
	close1 func()
	calm   *rate.Limiter
	lanes  chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup
	wake   chan struct{}

	mu       sync.Mutex
	urgent   []job
	later    agenda
	trackers map[string]*tracker
	tiers    map[*swarm][][]*tracker
}

// job is one announce to be made.
type job struct {
	en    *entry
	event string // only "stopped" is decided beforehand
}

// tracker is one announce URL and how it has been lately.
type tracker struct {
	url   *url.URL
	fails int
	until time.Time // not to be bothered before
}

// appointment is a torrent's next regular announce.
type appointment struct {
	en  *entry
	due time.Time
}

type agenda []appointment

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].due.Before(a[j].due) }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)        { *a = append(*a, x.(appointment)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

func newAnnouncer(e *Engine) *announcer {
	a := &announcer{
		e: e, calm: rate.NewLimiter(calmRate, calmRate/10), lanes: make(chan struct{}, announceLanes),
		wake: make(chan struct{}, 1), trackers: map[string]*tracker{}, tiers: map[*swarm][][]*tracker{},
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	rt := e.cfg.Tracker
	if rt == nil {
		own := &http.Transport{
			Proxy:           http.ProxyFromEnvironment,
			DialContext:     (&net.Dialer{Timeout: announceFor}).DialContext,
			MaxConnsPerHost: announceLanes, MaxIdleConnsPerHost: announceLanes, IdleConnTimeout: 90 * time.Second,
		}
		rt = own
		a.close1 = own.CloseIdleConnections
	}
	a.client = &http.Client{Transport: rt, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) > 3 {
			return errors.New("too many redirects")
		}
		_, err := parseTracker(req.URL.String())
		return err
	}}
	a.group.Go(a.run)
	return a
}

func (a *announcer) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// wanted asks for peers of a download, unless a tracker was asked just now.
func (a *announcer) wanted(en *entry, sw *swarm) {
	if len(sw.tiers) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	h := &en.heard
	if h.line || time.Now().Before(h.soonest) {
		return
	}
	h.line = true
	a.urgent = append(a.urgent, job{en: en})
	a.poke()
}

// seed puts a complete torrent on the agenda; finished does so for one that
// just became complete.
func (a *announcer) seed(en *entry)     { a.plan(en, time.Now()) }
func (a *announcer) finished(en *entry) { a.plan(en, time.Now()) }

// plan makes an appointment. Called with Engine.mu.
func (a *announcer) plan(en *entry, due time.Time) {
	if len(en.swarm.tiers) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	en.heard.due = due
	heap.Push(&a.later, appointment{en, due})
	a.poke()
}

// gone says goodbye for a torrent that is no longer held.
func (a *announcer) gone(en *entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	en.heard.due = time.Time{} // takes it off the agenda
	if en.heard.told != nil {
		a.urgent = append(a.urgent, job{en, "stopped"})
		a.poke()
	}
}

// run deals the jobs out to the lanes.
func (a *announcer) run() {
	for {
		j, wait := a.next(time.Now())
		if j.en == nil {
			timer := time.NewTimer(wait)
			select {
			case <-a.ctx.Done():
				timer.Stop()
				return
			case <-a.wake:
			case <-timer.C:
			}
			timer.Stop()
			continue
		}
		select {
		case <-a.ctx.Done():
			return
		case a.lanes <- struct{}{}:
		}
		a.group.Go(func() {
			a.do(a.ctx, j)
			<-a.lanes
		})
	}
}

// next picks what is most pressing, or says how long there is nothing to do.
func (a *announcer) next(now time.Time) (job, time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.urgent) > 0 {
		j := a.urgent[0]
		a.urgent = a.urgent[1:]
		return j, 0
	}
	for len(a.later) > 0 {
		first := a.later[0]
		if h := &first.en.heard; !h.due.Equal(first.due) || h.line {
			heap.Pop(&a.later) // overtaken by events
			continue
		}
		if wait := first.due.Sub(now); wait > 0 {
			return job{}, wait
		}
		if !a.calm.AllowN(now, 1) {
			return job{}, time.Second / calmRate
		}
		heap.Pop(&a.later)
		first.en.heard.line = true
		return job{en: first.en}, 0
	}
	return job{}, time.Hour
}

// do makes one announce, trying the tiers in the order of BEP 12.
func (a *announcer) do(ctx context.Context, j job) {
	en := j.en
	req := announce{hash: en.hash, peerID: a.peerID(), port: a.port(), event: j.event}
	a.mu.Lock()
	en.heard.moved = false // from here on
	a.mu.Unlock()
	a.e.mu.Lock()
	held, sw := a.e.entries[en.hash] == en, en.swarm
	seed := en.seedable()
	if en.fetch != nil {
		req.left = en.fetch.left
		if en.loaded != nil {
			_, req.left = en.loaded.d.progress()
		}
	}
	stopped := en.problem != "" && !seed
	a.e.mu.Unlock()
	if j.event == "" && (!held || stopped || len(sw.tiers) == 0) {
		a.settle(en, func(h *hearing) {})
		return
	}
	a.mu.Lock()
	told, asSeed := en.heard.told, en.heard.asSeed
	a.mu.Unlock()
	switch {
	case j.event != "":
	case told == nil:
		req.event = "started"
	case seed && !asSeed:
		req.event = "completed"
	}
	req.numwant = 30
	if seed {
		req.numwant = 10
	}
	tr, ans, err := a.tryTiers(ctx, sw, told, req)
	if j.event == "stopped" {
		return
	}
	a.note(en, sw, tr, ans, err, seed)
}

// note takes an announce's outcome to heart.
func (a *announcer) note(en *entry, sw *swarm, tr *tracker, ans answer, err error, seed bool) {
	now := time.Now()
	var next time.Time
	a.settle(en, func(h *hearing) {
		if h.moved {
			h.due, h.soonest = now, time.Time{}
		} else if err != nil {
			h.fails++
			pause := min(15*time.Second<<min(h.fails, 10), 10*time.Minute)
			if errors.Is(err, errRefused) {
				pause = max(pause, refusedPause)
			}
			h.due = now.Add(jitter(pause))
			h.soonest = h.due
			if h.fails == 1 {
				a.e.log.Debug("announce failed", "hash", en.hash, "path", en.path, "error", err)
			}
		} else {
			h.told, h.asSeed, h.fails = tr, seed, 0
			h.due = now.Add(jitter(ans.interval))
			soonest := min(ans.interval, hungryPause)
			if ans.soonest > 0 {
				soonest = ans.soonest
			}
			h.soonest = now.Add(jitter(soonest))
		}
		next = h.due
	})
	a.mu.Lock()
	heap.Push(&a.later, appointment{en, next})
	a.mu.Unlock()
	a.poke()
	if err == nil && len(ans.peers) > 0 {
		a.e.book.learn(sw, ans.peers)
		a.e.post(event{kind: evPeers, hash: en.hash, peers: ans.peers})
	}
}

func (a *announcer) settle(en *entry, f func(h *hearing)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	en.heard.line = false
	f(&en.heard)
}

// jitter makes a pause up to a tenth longer, never shorter.
func jitter(d time.Duration) time.Duration { return d + time.Duration(rand.Int64N(int64(d)/10+1)) }

func (a *announcer) peerID() string {
	id := a.e.client.PeerID()
	return string(id[:])
}

func (a *announcer) port() int {
	if t, ok := a.e.listener.Addr().(*net.TCPAddr); ok {
		return t.Port
	}
	return 0
}

// close stops announcing, says goodbye where that goes quickly, and waits.
func (a *announcer) close() {
	a.cancel()
	a.group.Wait()
	a.goodbye()
	if a.close1 != nil {
		a.close1()
	}
}

func (a *announcer) goodbye() {
	ctx, cancel := context.WithTimeout(context.Background(), goodbyeFor)
	defer cancel()
	a.e.mu.Lock()
	held := make([]*entry, 0, len(a.e.entries))
	for _, en := range a.e.entries {
		held = append(held, en)
	}
	a.e.mu.Unlock()
	var group sync.WaitGroup
	for _, en := range held {
		a.mu.Lock()
		told := en.heard.told
		a.mu.Unlock()
		if told == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case a.lanes <- struct{}{}:
			group.Go(func() {
				a.do(ctx, job{en, "stopped"})
				<-a.lanes
			})
			continue
		}
		break
	}
	group.Wait()
}
