package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"seedtree/apply"
	"seedtree/builder"
	"seedtree/gitsource"
	"seedtree/internal/agent"
	"seedtree/internal/pulse"
	"seedtree/internal/tracker"
	"seedtree/internal/web"
	"seedtree/manifests"
)

// works is everything a site needs to do a pass, put together and opened.
type works struct {
	cfg    *Config
	log    *slog.Logger
	src    *gitsource.Source
	engine engine
	files  *apply.Site
	agent  *agent.Agent

	tracker  *tracker.Tracker // nil: none configured
	listener net.Listener
	web      net.Listener // nil: none configured
}

// worksOptions are what the verbs that do passes ask for.
type worksOptions struct {
	usual      slog.Level // of the log, unless --log-level says otherwise
	tracker    bool       // run the configured tracker beside
	schedule   bool       // and the builder, by schedule
	looks      bool       // nothing is to be changed: the client is only asked
	allowPrune string
}

// openWorks opens a site for passes. Close what it returns.
func (a *app) openWorks(ctx context.Context, o worksOptions) (*works, error) {
	cfg, err := a.site(needSite, needCatalog, needTrees)
	if err != nil {
		return nil, err
	}
	w := &works{cfg: cfg, log: a.logger(o.usual)}
	if err := w.open(ctx, a, o); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *works) open(ctx context.Context, a *app, o worksOptions) (err error) {
	if w.src, err = a.openSource(w.cfg); err != nil {
		return err
	}
	open := openEngine
	if o.looks {
		open = lookingEngine
	}
	if w.engine, err = open(ctx, w.cfg, w.log); err != nil {
		return err
	}
	if w.files, err = openSite(w.cfg, w.engine, w.log); err != nil {
		return err
	}
	if o.tracker && w.cfg.Tracker != "" {
		if w.tracker, w.listener, err = openTracker(ctx, w.cfg.Tracker, w.log); err != nil {
			return err
		}
	}
	c := agent.Config{
		Site: w.cfg.Site, Source: w.src, Apply: w.files, Engine: w.cfg.engineName(), Meter: w.engine,
		StateDir: w.cfg.State, Trees: w.cfg.Trees, AllowPrune: o.allowPrune, ReportStatus: w.cfg.Report == "git", Log: w.log,
		OnRevision: w.onRevision,
	}
	if o.schedule {
		s := w.cfg.Schedule
		c.Schedule = agent.Times{Sync: s.Sync, Build: s.Build, Location: s.Location, Jitter: s.Jitter}
		c.Build = w.build
		c.Watchdog = max(10*w.cfg.Catalog.Timeout, 10*time.Minute)
		if w.cfg.Web != "" {
			if w.web, err = web.Listen(ctx, w.cfg.Web); err != nil {
				return err
			}
		}
	}
	w.agent, err = agent.New(c)
	return err
}

// onRevision hands a revision's listing to the tracker, if there is one.
func (w *works) onRevision(_ *manifests.Manifest, l *manifests.Listing) {
	if w.tracker != nil {
		allow(w.tracker, l)
	}
}

// build is what the agent calls while this site is main.
func (w *works) build(ctx context.Context) error {
	b := newBuild(w.cfg, w.src, w.log)
	// Progress is told by the clock; only news in it is a sign of life.
	var last builder.Progress
	beat := pulse.Of(ctx)
	b.progress = func(p builder.Progress) {
		if p != last {
			last = p
			beat()
		}
	}
	err := b.run(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = b.interrupted()
		w.log.Info("not built", "err", err)
		return err
	}
	if err == nil || errors.Is(err, errPartial) {
		w.log.Info("built", "revision", b.report.Revision, "changes", b.report.Counts.String(),
			"hashed", bytesText(b.report.HashedBytes), "resumed", bytesText(b.report.ResumedBytes), "seconds", b.report.Seconds)
	}
	for _, name := range sortedKeys(b.report.Skipped) {
		w.log.Warn("skipped", "path", name, "reason", b.report.Skipped[name])
	}
	return err
}

// Close lets go of everything that was opened, in the reverse order.
func (w *works) Close() error {
	var errs []error
	if w.listener != nil {
		// Serve has closed it if it ever ran.
		if err := w.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if w.web != nil {
		if err := w.web.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if w.files != nil {
		errs = append(errs, w.files.Close())
	}
	if w.engine != nil {
		errs = append(errs, w.engine.Close())
	}
	if w.src != nil {
		errs = append(errs, w.src.Close())
	}
	return errors.Join(errs...)
}
