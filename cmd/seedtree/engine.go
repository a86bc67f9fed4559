package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"seedtree/apply"
	"seedtree/apply/embedded"
	"seedtree/apply/transmission"
	"seedtree/manifests"
)

// engine is a BitTorrent client that also counts what it moves.
type engine interface {
	apply.Engine
	apply.Meter
}

// openEngine opens the client that the configuration names. Each branch asks
// for its error: a nil *Engine in an interface would not be nil.
func openEngine(ctx context.Context, c *Config, log *slog.Logger) (engine, error) {
	t, e := c.Engine.Transmission, c.Engine.Embedded
	if t.URL != "" {
		held, err := transmission.Open(ctx, transmission.Config{
			URL: t.URL, Username: t.Username, PasswordFile: t.PasswordFile,
			CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile,
			Paths: t.Paths, ManageSettings: t.ManageSettings, Log: log,
		})
		if err != nil {
			return nil, err
		}
		return held, nil
	}
	held, err := embedded.Open(embedded.Config{
		Listen: e.Listen, StateDir: c.engineState(),
		UploadLimit: e.Upload, DownloadLimit: e.Download, Log: log,
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}

// lookingEngine opens the client to ask it and no more. The built-in one works
// in the agent's process; what it has noted can be read beside it.
func lookingEngine(ctx context.Context, c *Config, log *slog.Logger) (engine, error) {
	if c.Engine.Transmission.URL == "" {
		return embedded.Look(c.engineState()), nil
	}
	return openEngine(ctx, c, log)
}

// engineState is where the built-in client keeps what it holds.
func (c *Config) engineState() string { return filepath.Join(c.State, "engine") }

// engineName is how a site's status names its client.
func (c *Config) engineName() string {
	if c.Engine.Transmission.URL != "" {
		return "transmission"
	}
	return "embedded"
}

// openSite puts the file side of a site together.
func openSite(c *Config, engine apply.Engine, log *slog.Logger) (*apply.Site, error) {
	drift := apply.Heal
	if c.Drift == "report" {
		drift = apply.Report
	}
	return apply.Open(apply.Config{Name: c.Site, Engine: engine, Trees: c.Trees, Drift: drift, Log: log})
}

// noEngine stands in where only files are touched: markers and trash.
type noEngine struct{}

var errNoEngine = errors.New("this verb uses no BitTorrent client")

func (noEngine) List(context.Context) ([]apply.Torrent, error)          { return nil, errNoEngine }
func (noEngine) Add(context.Context, []apply.Addition) error            { return errNoEngine }
func (noEngine) Move(context.Context, manifests.InfoHash, string) error { return errNoEngine }
func (noEngine) Remove(context.Context, []manifests.InfoHash) error     { return errNoEngine }
func (noEngine) Close() error                                           { return nil }
