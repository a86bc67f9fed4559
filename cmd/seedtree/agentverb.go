package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"seedtree/internal/web"
)

func (a *app) agentCommand() *cobra.Command {
	return &cobra.Command{
		Use:   agentVerb,
		Short: "Keep this site in step until stopped",
		Long: `Pulls the catalog on schedule.sync, makes files and BitTorrent client match, and
builds on schedule.build while this site is main. With tracker.listen it is a tracker
too, with web.listen it says at /healthz and /readyz how it is. SIGHUP makes it look
at once; SIGTERM and SIGINT end it cleanly.`,
		Example: "  seedtree agent --log-level debug",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.agent(cmd.Context()) },
	}
}

func (a *app) agent(ctx context.Context) (err error) {
	w, err := a.openWorks(ctx, worksOptions{usual: slog.LevelInfo, tracker: true, schedule: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	w.log.Info("agent starts", "site", w.cfg.Site, "engine", w.cfg.engineName(), "sync", w.cfg.Schedule.Sync, "version", thisVersion().Version)
	w.checkEngine(ctx)
	g, ctx := errgroup.WithContext(ctx)
	if w.tracker != nil {
		g.Go(func() error { return w.tracker.Serve(ctx, w.listener) })
	}
	if w.web != nil {
		w.log.Info("health", "address", w.web.Addr().String())
		g.Go(func() error { return web.Serve(ctx, w.web, w.agent, w.log) })
	}
	g.Go(func() error { return w.agent.Run(ctx) })
	g.Go(func() error { w.followHangups(ctx, a.hangups); return nil })
	err = g.Wait()
	w.log.Info("agent ends")
	return err
}

// checkEngine says at the start what is unwise about the client, if it is one
// that can tell. A client that is down is no reason to end: passes wait for it.
func (w *works) checkEngine(ctx context.Context) {
	c, ok := w.engine.(interface {
		Check(context.Context) ([]string, error)
	})
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	findings, err := c.Check(ctx)
	if err != nil {
		w.log.Warn("client", "err", err)
	}
	for _, f := range findings {
		w.log.Warn("client", "finding", f)
	}
}

// followHangups turns SIGHUP into a look at the catalog.
func (w *works) followHangups(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			w.agent.Trigger()
		}
	}
}
