package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"seedtree/apply"
	"seedtree/gitsource"
	"seedtree/manifests"
)

// Site is what the agent asks of one site: *apply.Site, or a stand-in that a
// test steps by hand.
type Site interface {
	Observe(context.Context, apply.Desired) (*apply.Observation, error)
	Execute(context.Context, apply.Desired, *apply.Plan) (*apply.Result, error)
	Settle(context.Context, apply.Desired) (*apply.Result, error)
}

// Times says when the agent looks without being asked.
type Times struct {
	Sync     string         // see ParseSchedule; "": only when triggered
	Build    string         // "": never
	Location *time.Location // of times of day; nil: the machine's
	Jitter   float64        // share of an interval, 0 to below 1
}

// Config describes an agent. Source, Apply and StateDir are needed.
type Config struct {
	Site     string // the name of this site
	Source   *gitsource.Source
	Apply    Site
	Engine   string      // its name, for the status
	Meter    apply.Meter // counts traffic; may be nil
	StateDir string
	Trees    map[string]string // tree name to folder, for the status: free space
	Schedule Times
	// Build is called on the build schedule while this site is main; nil: never.
	Build func(context.Context) error
	// OnRevision is told what is about to be applied, whenever that changes.
	OnRevision func(*manifests.Manifest, *manifests.Listing)
	// ReportStatus publishes the status on the site's branch of the catalog.
	ReportStatus bool
	// AllowPrune names a revision whose removals an operator approves here.
	AllowPrune string
	// Watchdog is how long work may show no sign of life; 0: for ever.
	Watchdog time.Duration
	Log      *slog.Logger
	Clock    func() time.Time // nil: time.Now
}

// Agent keeps a site in step. New starts nothing; Run does the work, or
// Reconcile a single pass of it.
type Agent struct {
	cfg         Config
	log         *slog.Logger
	clock       func() time.Time
	sync, build Schedule
	mail        mailbox
	held        holder
	status      atomic.Pointer[manifests.Status]
	dog         watchdog

	readyMu sync.Mutex // guards ready
	ready   readiness

	// working is held by whoever does a pass or settles. It guards the rest.
	working  sync.Mutex
	state    state
	current  *target // what was last executed; nil before the first pass
	listings map[string]*manifests.Listing
	told     string // the revision OnRevision was last told of
	marked   string // the revision the drives' markers were last told of
	pushed   pushed
	built    error // how the last build ended
}

// New checks the configuration and reads the state file.
func New(cfg Config) (*Agent, error) {
	if err := manifests.ValidSiteName(cfg.Site); err != nil {
		return nil, err
	}
	if cfg.Source == nil || cfg.Apply == nil || cfg.StateDir == "" {
		return nil, errors.New("agent: source, site and state folder are needed")
	}
	if cfg.Schedule.Jitter < 0 || !(cfg.Schedule.Jitter < 1) {
		return nil, fmt.Errorf("jitter of %v: want a share of the interval from 0 to below 1", cfg.Schedule.Jitter)
	}
	a := &Agent{cfg: cfg, log: cfg.Log, clock: cfg.Clock, mail: newMailbox(), listings: map[string]*manifests.Listing{}}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.clock == nil {
		a.clock = time.Now
	}
	a.dog.limit, a.dog.log, a.ready.good = cfg.Watchdog, a.log, a.clock()
	for _, s := range []struct {
		line string
		into *Schedule
	}{{cfg.Schedule.Sync, &a.sync}, {cfg.Schedule.Build, &a.build}} {
		if s.line == "" {
			continue
		}
		var err error
		if *s.into, err = ParseSchedule(s.line, cfg.Schedule.Location); err != nil {
			return nil, err
		}
	}
	st, damaged, err := loadState(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	if damaged != nil {
		a.log.Warn("the state file cannot be read, starting without", "err", damaged)
	}
	a.state = st
	a.status.Store(&manifests.Status{
		Site: cfg.Site, Role: manifests.StatusFollower, Engine: cfg.Engine,
		Attempted: st.Attempted, Applied: st.Applied, Complete: st.Complete,
	})
	return a, nil
}

// Status returns what the agent last found out. It never waits.
func (a *Agent) Status() manifests.Status { return *a.status.Load() }

// Trigger asks for a pass soon. It never waits; triggers that come while one
// is pending are one.
func (a *Agent) Trigger() { a.mail.post(false) }

// mailbox holds one letter: look again. Whoever comes while it is full has
// nothing to add, except that the builder shall run as well.
type mailbox struct {
	letter chan struct{}
	build  *atomic.Bool
	// news is posted beside the letter for a pass in flight, which may then
	// see whether it is out of date.
	news chan struct{}
}

func newMailbox() mailbox {
	return mailbox{letter: make(chan struct{}, 1), build: new(atomic.Bool), news: make(chan struct{}, 1)}
}

func (m mailbox) post(build bool) {
	if build {
		m.build.Store(true)
	}
	for _, c := range []chan struct{}{m.letter, m.news} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
