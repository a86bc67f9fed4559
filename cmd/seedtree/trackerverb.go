package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"seedtree/gitsource"
	"seedtree/internal/agent"
	"seedtree/internal/tracker"
	"seedtree/manifests"
)

func (a *app) trackerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "tracker",
		Short: "Run the tracker alone",
		Long: `Answers announces for the torrents of the catalog and for no others (BEP 3, 7, 23,
48). Looks at the catalog by schedule.sync. An agent with tracker.listen does the same.`,
		Example: "  seedtree tracker --catalog /srv/catalog.git --tracker-listen :6969",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.tracker(cmd.Context()) },
	}
}

func (a *app) tracker(ctx context.Context) error {
	cfg, err := a.site(needCatalog)
	if err != nil {
		return err
	}
	if cfg.Tracker == "" {
		cfg.Tracker = ":6969"
	}
	schedule, err := agent.ParseSchedule(cfg.Schedule.Sync, cfg.Schedule.Location)
	if err != nil {
		return err
	}
	log := a.logger(slog.LevelInfo)
	src, err := a.openSource(cfg)
	if err != nil {
		return err
	}
	defer src.Close()
	t, l, err := openTracker(ctx, cfg.Tracker, log)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return t.Serve(ctx, l) })
	g.Go(func() error { return followListing(ctx, t, src, schedule, log) })
	return g.Wait()
}

// openTracker makes a tracker that lists nothing yet, and its listener.
func openTracker(ctx context.Context, addr string, log *slog.Logger) (*tracker.Tracker, net.Listener, error) {
	t, err := tracker.New(tracker.Config{Log: log})
	if err != nil {
		return nil, nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, withHint(fmt.Errorf("tracker: %w", err), "choose another address: --tracker-listen HOST:PORT")
	}
	log.Info("tracker answers", "address", l.Addr().String())
	return t, l, nil
}

// allow makes a listing's torrents the ones that are answered for.
func allow(t *tracker.Tracker, l *manifests.Listing) {
	t.SetAllowed(func(h manifests.InfoHash) bool {
		_, ok := l.ByInfoHash(h)
		return ok
	})
}

// followListing looks at the catalog until the context ends. What was listed
// stays listed while the catalog cannot be reached.
func followListing(ctx context.Context, t *tracker.Tracker, src *gitsource.Source, schedule agent.Schedule, log *slog.Logger) error {
	last := ""
	for {
		if next, err := allowHead(ctx, t, src, last); err != nil {
			log.Warn("catalog", "err", err)
		} else if next != last {
			last = next
			log.Info("lists the catalog", "revision", last)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(schedule.Next(time.Now()))):
		}
	}
}

// allowHead takes over the catalog's head unless it is the last one.
func allowHead(ctx context.Context, t *tracker.Tracker, src *gitsource.Source, last string) (string, error) {
	head, err := src.Fetch(ctx)
	if err != nil || head.ID() == last {
		return last, err
	}
	listing, err := head.Listing(ctx)
	if err != nil {
		return last, err
	}
	allow(t, listing)
	return head.ID(), nil
}
