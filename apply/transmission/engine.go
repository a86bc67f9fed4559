package transmission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"time"

	transmissionrpc "github.com/hekmon/transmissionrpc/v2"

	"seedtree/apply"
	"seedtree/internal/pulse"
	"seedtree/manifests"
)

const (
	label = "seedtree"
	// mark is the comment in every .torrent that we hand over.
	mark = "held by seedtree"

	connections = 4   // more add nothing
	batch       = 500 // torrents that one call names
	removeBatch = 100 // a removal blocks the daemon

	minRPC    = 16 // Transmission 3.00: labels
	modernRPC = 17 // Transmission 4.0: labels at the add, tracker tiers
)

// Config says where the daemon is and how to speak to it.
type Config struct {
	URL          string // http://127.0.0.1:9091/transmission/rpc
	Username     string
	PasswordFile string // read anew at each use
	// CAFile is who signs the certificate of an https URL when the system's
	// roots do not; CertFile and KeyFile identify this site to it.
	CAFile, CertFile, KeyFile string
	// Paths maps directories of this machine to where the client sees them;
	// empty: it sees the same.
	Paths map[string]string
	// ManageSettings lets the engine change those settings of the whole client
	// that Check would complain about and that are safe to change.
	ManageSettings bool
	Log            *slog.Logger // nil: silent
}

// Engine holds one site's torrents in a Transmission daemon. It implements
// apply.Engine, apply.Introducer and apply.Meter.
type Engine struct {
	rpc    *client
	paths  pathMap
	manage bool
	log    *slog.Logger
	// loading is how old a daemon must be before its list is believed.
	loading time.Duration
	meter   meter
	known   knownSession
	// introduced is touched by the one goroutine that calls the engine.
	introduced introduction
}

var (
	_ apply.Engine     = (*Engine)(nil)
	_ apply.Introducer = (*Engine)(nil)
	_ apply.Meter      = (*Engine)(nil)
)

// Open checks the configuration. It does not contact the daemon: one that is
// down when the agent starts is found by each pass until it is up. Use Check
// to hear at once.
func Open(_ context.Context, cfg Config) (*Engine, error) {
	paths, err := newPathMap(cfg.Paths)
	if err != nil {
		return nil, fmt.Errorf("engine transmission: %w", err)
	}
	rpc, err := newClient(cfg)
	if err != nil {
		return nil, fmt.Errorf("engine transmission: %w", err)
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Engine{rpc: rpc, paths: paths, manage: cfg.ManageSettings, log: log, loading: loadingTime}, nil
}

// Close lets go of the daemon; its torrents go on seeding.
func (e *Engine) Close() error { return e.rpc.close() }

// listFields is what List, Remove and the meter read of every torrent. Few
// fields matter: each costs with every torrent, and "wanted" breaks on 4.0.
func listFields() []string {
	return []string{
		"hashString", "name", "labels", "comment", "downloadDir", "status", "leftUntilDone", "haveValid",
		"totalSize", "error", "errorString", "downloadedEver", "uploadedEver",
	}
}

// List returns our torrents as the client sees them. It changes nothing.
func (e *Engine) List(ctx context.Context) ([]apply.Torrent, error) {
	ours, err := e.ours(ctx)
	if err != nil {
		return nil, fmt.Errorf("list torrents: %w", err)
	}
	out := make([]apply.Torrent, 0, len(ours))
	for i := range ours {
		h, err := manifests.ParseInfoHash(value(ours[i].HashString))
		if err != nil {
			return nil, fmt.Errorf("list torrents: %w", err)
		}
		out = append(out, apply.Torrent{
			InfoHash: h, Root: e.rootOf(&ours[i]), State: state(&ours[i]), Left: left(&ours[i]), Err: localError(&ours[i]),
		})
	}
	return out, nil
}

// ours fetches all torrents that belong to seedtree, from a client that has
// finished loading them.
func (e *Engine) ours(ctx context.Context) ([]transmissionrpc.Torrent, error) {
	var all []transmissionrpc.Torrent
	err := e.settled(ctx, func(ctx context.Context) error {
		return e.rpc.do(ctx, func(ctx context.Context, lib *transmissionrpc.Client) (err error) {
			all, err = lib.TorrentGet(ctx, listFields(), nil)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(t transmissionrpc.Torrent) bool { return !isOurs(&t) })
	e.meter.observe(all)
	return all, nil
}

// get fetches the named torrents; those that are not held are just missing.
func (e *Engine) get(ctx context.Context, hashes, fields []string) (map[string]*transmissionrpc.Torrent, error) {
	out := make(map[string]*transmissionrpc.Torrent, len(hashes))
	for part := range slices.Chunk(hashes, batch) { // never with no hash: that asks for all
		err := e.rpc.do(ctx, func(ctx context.Context, lib *transmissionrpc.Client) error {
			found, err := lib.TorrentGetHashes(ctx, fields, part)
			for i := range found {
				out[value(found[i].HashString)] = &found[i]
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// each calls a library function with batches of hashes. An empty list would
// mean every torrent of the user's, so it is never sent.
func (e *Engine) each(ctx context.Context, hashes []string, f func(context.Context, *transmissionrpc.Client, []string) error) error {
	for part := range slices.Chunk(hashes, batch) {
		err := e.rpc.do(ctx, func(ctx context.Context, lib *transmissionrpc.Client) error { return f(ctx, lib, part) })
		if err != nil {
			return err
		}
	}
	return nil
}

// Remove makes the client forget torrents of ours and keep their data. Hashes
// that it does not hold, or holds for the user, are passed over.
func (e *Engine) Remove(ctx context.Context, hashes []manifests.InfoHash) error {
	if len(hashes) == 0 {
		return nil
	}
	ours, err := e.ours(ctx)
	if err != nil {
		return fmt.Errorf("remove torrents: %w", err)
	}
	asked := make(map[string]bool, len(hashes))
	for _, h := range hashes {
		asked[h.String()] = true
	}
	var doomed []string
	for i := range ours {
		if h := value(ours[i].HashString); asked[h] {
			doomed = append(doomed, h)
		}
	}
	if err := e.forget(ctx, doomed); err != nil {
		return fmt.Errorf("remove torrents: %w", err)
	}
	return nil
}

// forget removes torrents by hash, keeping data, and waits until they are gone.
func (e *Engine) forget(ctx context.Context, hashes []string) error {
	for part := range slices.Chunk(hashes, removeBatch) { // never with no hash: that removes all
		if err := e.rpc.call(ctx, "torrent-remove", map[string]any{"ids": part, "delete-local-data": false}, nil); err != nil {
			return err
		}
	}
	return e.await(ctx, hashes, []string{"hashString"}, "be removed", func(_ string, t *transmissionrpc.Torrent) bool { return t == nil })
}

// await polls until ok holds for every torrent; one that is not held is nil. Asking
// again is no sign of life, for it may be in vain; one torrent less to wait for is.
func (e *Engine) await(ctx context.Context, hashes, fields []string, what string, ok func(string, *transmissionrpc.Torrent) bool) error {
	pause := 10 * time.Millisecond
	for {
		found, err := e.get(pulse.Unseen(ctx), hashes, fields)
		if err != nil {
			return err
		}
		before := len(hashes)
		hashes = slices.DeleteFunc(slices.Clone(hashes), func(h string) bool { return ok(h, found[h]) })
		if len(hashes) < before {
			pulse.Of(ctx)()
		}
		if len(hashes) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d torrents to %s: %w", len(hashes), what, context.Cause(ctx))
		case <-time.After(pause):
		}
		pause = min(2*pause, time.Second)
	}
}

// rootOf says which local directory stands for the torrent's name.
func (e *Engine) rootOf(t *transmissionrpc.Torrent) string {
	dir, name := value(t.DownloadDir), value(t.Name)
	if dir == "" || name == "" {
		return ""
	}
	return e.paths.toLocal(path.Join(dir, name))
}

func isOurs(t *transmissionrpc.Torrent) bool {
	return slices.Contains(t.Labels, label) || value(t.Comment) == mark
}

// state maps the client's status. Queued is not seeding: nobody is served.
func state(t *transmissionrpc.Torrent) apply.State {
	if t.Status == nil {
		return apply.Stopped
	}
	switch *t.Status {
	case transmissionrpc.TorrentStatusCheckWait, transmissionrpc.TorrentStatusCheck:
		return apply.Checking
	case transmissionrpc.TorrentStatusDownloadWait, transmissionrpc.TorrentStatusDownload:
		return apply.Downloading
	case transmissionrpc.TorrentStatusSeed:
		return apply.Seeding
	}
	return apply.Stopped
}

// left counts missing bytes of the whole torrent: leftUntilDone alone is 0
// when the file is not wanted, as those of read-only torrents are not.
func left(t *transmissionrpc.Torrent) int64 {
	n := value(t.LeftUntilDone)
	if t.TotalSize != nil && t.HaveValid != nil {
		n = max(n, int64(t.TotalSize.Byte())-*t.HaveValid)
	}
	return n
}

// errLocal is trouble with the data or its directory. Errors 1 and 2 are a
// tracker's: it may be down while the torrent seeds to every peer it knows, and
// they say nothing of the bytes.
const errLocal = 3

func localError(t *transmissionrpc.Torrent) string {
	if value(t.Error) != errLocal {
		return ""
	}
	if s := value(t.ErrorString); s != "" {
		return s
	}
	return "local error"
}

// value reads a field that the client may have left out.
func value[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

// failed wraps what concerns one torrent.
func failed(op string, h manifests.InfoHash, err error) error {
	return &apply.EngineError{InfoHash: h, Op: op, Err: err}
}

// whole reports whether an error is the client's as a whole rather than one
// torrent's: the daemon's own refusal of a call is the latter.
func whole(err error) bool {
	var refused resultError
	return err != nil && !errors.As(err, &refused)
}
