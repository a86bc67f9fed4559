package transmission

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	transmissionrpc "github.com/hekmon/transmissionrpc/v2"

	"seedtree/apply"
)

const (
	// A daemon answers before it has loaded its torrents: 0.2 to 2.2 s with up
	// to 10,000 of them. Younger than loadingTime it is not believed at all,
	// younger than youth only when two counts agree.
	loadingTime = 5 * time.Second
	youth       = time.Minute
	loadingMax  = 2 * time.Minute
	// Above this many torrents 3.00, which verifies ten a second, gets slow.
	slowVersionLimit = 2000
)

// knownSession is the daemon's run that we have seen to be complete.
type knownSession struct {
	mu          sync.Mutex
	id          string
	rpc         int64
	downloadDir string
	renames     bool // rename-partial-files
	queues      bool // download-queue-enabled or seed-queue-enabled
}

// settled runs f on a daemon that has loaded all its torrents, and again when
// the daemon was restarted meanwhile: f may have seen an empty list.
func (e *Engine) settled(ctx context.Context, f func(context.Context) error) error {
	for {
		before, err := e.ready(ctx)
		if err != nil {
			return err
		}
		if err := f(ctx); err != nil {
			return err
		}
		after, err := e.session(ctx)
		if err != nil {
			return err
		}
		if value(after.SessionID) == before {
			return nil
		}
	}
}

// session asks who the daemon is and for the settings that matter to us. It
// names the fields: the speed limits of 4.1.0-beta2 break the library.
func (e *Engine) session(ctx context.Context) (s transmissionrpc.SessionArguments, err error) {
	fields := []string{
		"session-id", "version", "rpc-version", "download-queue-enabled", "seed-queue-enabled", "rename-partial-files",
		"incomplete-dir-enabled", "start-added-torrents", "script-torrent-done-enabled",
		"download-dir",
	}
	err = e.rpc.do(ctx, func(ctx context.Context, lib *transmissionrpc.Client) (err error) {
		s, err = lib.SessionArgumentsGet(ctx, fields)
		return err
	})
	if err == nil && value(s.RPCVersion) < minRPC {
		err = fmt.Errorf("%w: Transmission %s at %s speaks RPC %d; version 3.00 (RPC %d) or newer is needed",
			apply.ErrEngineConfig, value(s.Version), e.rpc.endpoint, value(s.RPCVersion), minRPC)
	}
	return s, err
}

// ready returns the session id of a daemon that can be believed. The id also
// changes once an hour without a restart; then nothing needs to be waited for.
func (e *Engine) ready(ctx context.Context) (id string, err error) {
	s, err := e.session(ctx)
	if err != nil {
		return "", err
	}
	e.known.mu.Lock()
	defer e.known.mu.Unlock()
	e.known.renames, e.known.queues = value(s.RenamePartialFiles), value(s.DownloadQueueEnabled) || value(s.SeedQueueEnabled)
	e.known.downloadDir = path.Clean(value(s.DownloadDir))
	mend := e.manage && e.known.renames // the user has switched it on again
	if id = value(s.SessionID); id != "" && id == e.known.id && !mend {
		return id, nil
	}
	if err := e.awaitLoaded(ctx); err != nil {
		return "", err
	}
	if e.manage {
		if err := e.setSettings(ctx, s); err != nil {
			return "", err
		}
		e.known.renames, e.known.queues = false, false
	}
	if !e.manage {
		for _, problem := range settingProblems(s) {
			e.log.Warn("a setting of Transmission works against seedtree", "problem", problem)
		}
	}
	e.log.Info("Transmission is ready", "url", e.rpc.endpoint.String(), "version", value(s.Version), "rpc", value(s.RPCVersion))
	e.known.id, e.known.rpc = id, value(s.RPCVersion)
	return id, nil
}

// rpcVersion is that of the daemon that ready has seen last.
func (e *Engine) rpcVersion() int64 {
	e.known.mu.Lock()
	defer e.known.mu.Unlock()
	return e.known.rpc
}

func (e *Engine) queues() bool {
	e.known.mu.Lock()
	defer e.known.mu.Unlock()
	return e.known.queues
}

// harmless fails when the daemon would rename files of a tree: since 4.0 it
// appends .part to the name of any file that it finds incomplete, which a file
// is that the user has edited in place.
func (e *Engine) harmless() error {
	e.known.mu.Lock()
	defer e.known.mu.Unlock()
	if e.known.rpc >= modernRPC && e.known.renames {
		return fmt.Errorf("%w: Transmission at %s has rename-partial-files on, and would rename files in the tree that it finds incomplete: set it to false there, or manageSettings: true here",
			apply.ErrEngineConfig, e.rpc.endpoint)
	}
	return nil
}

// amnesia returns the directory to which a daemon of version 3.00 that was
// killed before it saved them sends all torrents that it held, unpaused; "" for
// newer ones, which remember.
func (e *Engine) amnesia() string {
	e.known.mu.Lock()
	defer e.known.mu.Unlock()
	if e.known.rpc >= modernRPC {
		return ""
	}
	return e.known.downloadDir
}

func (e *Engine) awaitLoaded(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadingMax)
	defer cancel()
	last := int64(-1)
	for {
		var stats transmissionrpc.SessionStats
		err := e.rpc.do(ctx, func(ctx context.Context, lib *transmissionrpc.Client) (err error) {
			stats, err = lib.SessionStats(ctx)
			return err
		})
		if err != nil {
			return err
		}
		switch age := time.Duration(stats.CurrentStats.SecondsActive) * time.Second; {
		case age >= youth, age >= e.loading && stats.TorrentCount == last:
			return nil
		case age >= e.loading:
			last = stats.TorrentCount
		}
		select {
		case <-ctx.Done():
			err := context.Cause(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("%w: %w", apply.ErrEngineUnreachable, err)
			}
			return fmt.Errorf("transmission at %s has just started and still loads its torrents: %w", e.rpc.endpoint, err)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// setSettings changes what ManageSettings allows us to change.
func (e *Engine) setSettings(ctx context.Context, s transmissionrpc.SessionArguments) error {
	var set transmissionrpc.SessionArguments
	var names []string
	off := false
	for _, one := range []struct {
		name string
		is   *bool
		to   **bool
	}{
		{"download-queue-enabled", s.DownloadQueueEnabled, &set.DownloadQueueEnabled},
		{"seed-queue-enabled", s.SeedQueueEnabled, &set.SeedQueueEnabled},
		{"rename-partial-files", s.RenamePartialFiles, &set.RenamePartialFiles},
		{"incomplete-dir-enabled", s.IncompleteDirEnabled, &set.IncompleteDirEnabled},
		{"start-added-torrents", s.StartAddedTorrents, &set.StartAddedTorrents},
	} {
		if value(one.is) {
			*one.to = &off
			names = append(names, one.name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	e.log.Info("switching settings of Transmission off", "settings", strings.Join(names, " "))
	return e.rpc.do(ctx, func(ctx context.Context, lib *transmissionrpc.Client) error {
		return lib.SessionArgumentsSet(ctx, set)
	})
}

// Check contacts the daemon and returns what is wrong or unwise about it, one
// sentence each with its remedy. An error means that it cannot be used at all.
func (e *Engine) Check(ctx context.Context) ([]string, error) {
	ours, err := e.ours(ctx)
	if err != nil {
		return nil, err
	}
	s, err := e.session(ctx)
	if err != nil {
		return nil, err
	}
	problems := settingProblems(s)
	if value(s.RPCVersion) < modernRPC && len(ours) > slowVersionLimit {
		problems = append(problems, fmt.Sprintf("Transmission %s verifies about ten torrents a second; for %d use version 4.1, or the embedded engine",
			value(s.Version), len(ours)))
	}
	return append(problems, trackerTrouble(ours)...), nil
}

// settingProblems names the settings that work against us.
func settingProblems(s transmissionrpc.SessionArguments) []string {
	var problems []string
	add := func(wrong bool, text string) {
		if wrong {
			problems = append(problems, text)
		}
	}
	const remedy = " (set it to false in Transmission, or manageSettings: true here)"
	add(value(s.DownloadQueueEnabled), "download-queue-enabled: after a restart of Transmission only a few torrents download at a time"+remedy)
	add(value(s.SeedQueueEnabled), "seed-queue-enabled: after a restart of Transmission only a few torrents are seeded"+remedy)
	add(value(s.RenamePartialFiles), "rename-partial-files: files with names of more than 250 bytes cannot be downloaded, and version 4 renames files that were edited"+remedy)
	add(value(s.IncompleteDirEnabled), "incomplete-dir-enabled: unfinished data is written elsewhere and copied, rather than started from the old version"+remedy)
	add(value(s.StartAddedTorrents), "start-added-torrents: Transmission 3.00, killed soon after an add, downloads into its default directory until the next pass"+remedy)
	add(value(s.ScriptTorrentDoneEnabled), "script-torrent-done-enabled: the script runs for seedtree's torrents too, and must leave their files alone")
	return problems
}

// trackerTrouble sums up what trackers say of our torrents, by text.
func trackerTrouble(ours []transmissionrpc.Torrent) []string {
	counts := map[string]int{}
	var order []string
	for i := range ours {
		if code := value(ours[i].Error); code == 0 || code == errLocal {
			continue
		}
		text := value(ours[i].ErrorString)
		if counts[text]++; counts[text] == 1 {
			order = append(order, text)
		}
	}
	const most = 5
	var out []string
	for _, text := range order[:min(len(order), most)] {
		out = append(out, fmt.Sprintf("%d torrents: the tracker says %q", counts[text], text))
	}
	return out
}

// canSee asks the client whether a directory exists where it runs.
func (e *Engine) canSee(ctx context.Context, dir string) (bool, error) {
	err := e.rpc.call(ctx, "free-space", map[string]any{"path": dir}, nil)
	var refused resultError
	if errors.As(err, &refused) {
		return false, nil
	}
	return err == nil, err
}
