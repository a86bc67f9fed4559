package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"time"

	"seedtree/apply"
	"seedtree/gitsource"
	"seedtree/internal/agent"
	"seedtree/manifests"
)

// openSource opens the site's mirror of the catalog. The agent and verbs run by
// hand share it; a lock in it lets one work at a time.
func (a *app) openSource(c *Config) (*gitsource.Source, error) {
	who := c.Site
	if who == "" {
		who = "seedtree"
	}
	cfg := gitsource.Config{
		URLs: c.Catalog.URLs, Branch: c.Catalog.Branch, Timeout: c.Catalog.Timeout,
		Dir: filepath.Join(c.State, "catalog"), Log: a.logger(slog.LevelWarn),
	}
	cfg.SSH.KeyFile, cfg.SSH.PassphraseFile, cfg.SSH.KnownHostsFile = c.Catalog.SSH.KeyFile, c.Catalog.SSH.PassphraseFile, c.Catalog.SSH.KnownHostsFile
	h := c.Catalog.HTTPS
	cfg.HTTPS.Username, cfg.HTTPS.PasswordFile = h.Username, h.PasswordFile
	cfg.HTTPS.CAFile, cfg.HTTPS.CertFile, cfg.HTTPS.KeyFile = h.CAFile, h.CertFile, h.KeyFile
	cfg.HTTPS.Proxy, cfg.HTTPS.ProxyPasswordFile = h.Proxy, h.ProxyPasswordFile
	cfg.Trust = c.Catalog.Trust
	cfg.Trust.Applied = c.remembered
	cfg.Author.Name, cfg.Author.Email = who, who+"@seedtree.invalid"
	return gitsource.Open(cfg)
}

// session is what verbs begin with that work from the catalog's newest revision.
type session struct {
	cfg  *Config
	src  *gitsource.Source
	head *gitsource.Revision
}

// begin loads the configuration, opens the mirror and fetches. Close the source.
func (a *app) begin(ctx context.Context, needs ...need) (*session, error) {
	cfg, err := a.site(needs...)
	if err != nil {
		return nil, err
	}
	src, err := a.openSource(cfg)
	if err != nil {
		return nil, err
	}
	head, err := src.Fetch(ctx)
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}
	return &session{cfg, src, head}, nil
}

// remembered is what this site knows of its past when the mirror of the catalog is
// lost: the agent's own notes, and the markers on the drives.
func (c *Config) remembered() []gitsource.Applied {
	var all []gitsource.Applied
	// What cannot be read is not known; whoever needs it for more says so.
	if rev, err := agent.Attempted(c.State); err == nil && rev != "" {
		all = append(all, gitsource.Applied{Revision: rev, Where: "the state in " + c.State})
	}
	for _, tree := range sortedKeys(c.Trees) {
		if rev := apply.LastApplied(c.Trees[tree], tree, c.Site); rev != "" {
			all = append(all, gitsource.Applied{Revision: rev, Where: filepath.Join(c.Trees[tree], manifests.MarkerName)})
		}
	}
	return all
}

// wake makes this site's agent, if one runs, look at what a verb has just
// committed. It is a courtesy: the agent's schedule finds it anyway.
func (a *app) wake(c *Config) {
	if err := agent.Wake(c.State); err != nil {
		a.logger(slog.LevelWarn).Debug("cannot wake the agent", "err", err)
	}
}

// attempts bounds how often a commit is rebuilt on a head that keeps moving.
const attempts = 6

// firstPause is half of what the first wait may be.
const firstPause = 100 * time.Millisecond

// change makes a commit on top of a head. Nil without an error means that
// there is nothing to change.
type change func(ctx context.Context, head *gitsource.Revision) (*gitsource.Commit, error)

// commitOnto fetches, makes the change and pushes it. The push is a
// compare-and-swap: when somebody else was faster, everything is looked at
// again from their commit on, never forced over it.
func commitOnto(ctx context.Context, src *gitsource.Source, make change) (*gitsource.Revision, error) {
	return commitWith(ctx, src, src.Commit, make)
}

// commitWith is commitOnto with commits made by a source or by a batch.
func commitWith(ctx context.Context, src *gitsource.Source,
	commit func(context.Context, *gitsource.Revision, gitsource.Commit) (*gitsource.Revision, error), make change,
) (*gitsource.Revision, error) {
	var moved error
	for try := range attempts {
		if err := backOff(ctx, try); err != nil {
			return nil, err
		}
		head, err := src.Fetch(ctx)
		if err != nil {
			return nil, err
		}
		c, err := make(ctx, head)
		if err != nil || c == nil {
			return nil, err
		}
		next, err := commit(ctx, head, *c)
		if errors.Is(err, gitsource.ErrUnchanged) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if moved = src.Push(ctx, next); !errors.Is(moved, gitsource.ErrMoved) {
			return next, moved
		}
	}
	return nil, fmt.Errorf("others commit faster, %d times in a row: %w", attempts, moved)
}

// backOff waits before another try, longer each time and for a random while, so
// that those who met once do not meet again.
func backOff(ctx context.Context, try int) error {
	if try == 0 {
		return nil
	}
	select {
	case <-time.After(rand.N(firstPause << try)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
