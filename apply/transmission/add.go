package transmission

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path"
	"slices"

	transmissionrpc "github.com/hekmon/transmissionrpc/v2"
	"golang.org/x/sync/errgroup"

	"seedtree/apply"
)

// heldFields is what Add reads of torrents that are already there.
func heldFields() []string {
	return append(listFields(), "fileStats", "trackers")
}

// Add brings torrents into the wanted state, whatever state they are in: held
// and healthy ones are left alone, others are claimed, started, verified or
// added anew. It returns when the torrents that must not fetch anything have
// been verified by the client, which takes 3.00 about 100 ms each.
func (e *Engine) Add(ctx context.Context, additions []apply.Addition) error {
	if len(additions) == 0 {
		return nil
	}
	if !e.meter.begun() {
		if _, err := e.ours(ctx); err != nil {
			return fmt.Errorf("add torrents: %w", err)
		}
	}
	var all []error
	for part := range slices.Chunk(additions, batch) {
		errs, err := e.addBatch(ctx, part)
		all = append(all, errs...)
		if err != nil {
			return errors.Join(append(all, fmt.Errorf("add torrents: %w", err))...)
		}
	}
	return errors.Join(all...)
}

// addBatch returns the failures of single torrents, and apart from them that
// of the client as a whole.
func (e *Engine) addBatch(ctx context.Context, additions []apply.Addition) (errs []error, err error) {
	tasks := make([]*task, 0, len(additions))
	seen := make(map[string]bool, len(additions))
	for _, a := range additions {
		k, err := e.newTask(a)
		switch {
		case err != nil:
			errs = append(errs, failed("add", a.Entry.InfoHash, err))
		case !seen[k.hash]:
			seen[k.hash] = true
			tasks = append(tasks, k)
		}
	}
	err = e.addTasks(ctx, tasks)
	for _, k := range tasks {
		if k.err != nil {
			errs = append(errs, failed("add", k.Entry.InfoHash, k.err))
		}
	}
	return errs, err
}

func (e *Engine) addTasks(ctx context.Context, tasks []*task) error {
	var held map[string]*transmissionrpc.Torrent
	err := e.settled(ctx, func(ctx context.Context) (err error) {
		held, err = e.get(ctx, hashesOf(tasks), heldFields())
		return err
	})
	if err == nil {
		err = e.harmless()
	}
	if err != nil {
		return err
	}
	by := map[need][]*task{}
	for _, k := range tasks {
		t := held[k.hash]
		if t == nil {
			by[redo] = append(by[redo], k)
			continue
		}
		n := k.missing(t)
		by[n] = append(by[n], k)
		if n == refuse {
			k.err = ErrForeign
		}
	}
	var groups retrackings
	for _, k := range slices.Concat(by[nothing], by[claim], by[start], by[outcome], by[verify]) {
		groups.add(held[k.hash], k.Trackers, e.arrangesTiers())
	}
	if err := e.retrack(ctx, groups); err != nil {
		return err
	}
	if err := e.addAnew(ctx, by[redo], held); err != nil {
		return err
	}
	fresh := alive(by[redo])
	if err := e.claim(ctx, slices.Concat(fresh, by[claim], by[start], by[outcome], by[verify])); err != nil {
		return err
	}
	if err := e.inspect(ctx, fresh); err != nil {
		return err
	}
	return e.launch(ctx, slices.Concat(alive(fresh), by[verify]), by[outcome], by[start])
}

// addAnew adds torrents paused, after forgetting those that are held wrongly.
// Nothing is forgotten or added where the client does not see our directory.
func (e *Engine) addAnew(ctx context.Context, tasks []*task, held map[string]*transmissionrpc.Torrent) error {
	if dir := e.amnesia(); dir != "" {
		for _, k := range tasks {
			if k.ReadOnly && k.dir == dir {
				k.err = fmt.Errorf("%w: %s is also Transmission's download-dir: version 3.00, killed soon after an add, takes every torrent for one that downloads there, and would overwrite the tree; give it another download-dir", apply.ErrEngineConfig, dir)
			}
		}
		tasks = alive(tasks)
	}
	if err := e.probe(ctx, tasks); err != nil {
		return err
	}
	tasks = alive(tasks)
	var old []string
	for _, k := range tasks {
		if held[k.hash] != nil {
			old = append(old, k.hash)
		}
	}
	if err := e.forget(ctx, old); err != nil {
		return err
	}
	return parallel(ctx, tasks, func(ctx context.Context, k *task) error {
		k.err = e.addPaused(ctx, k)
		if whole(k.err) && !errors.Is(k.err, ErrForeign) {
			err := k.err
			k.err = nil
			return err
		}
		return nil
	})
}

// addPaused hands one .torrent over. The daemon must not start it: its
// directory, its file name and its bytes are checked first.
func (e *Engine) addPaused(ctx context.Context, k *task) error {
	args := map[string]any{
		"metainfo": base64.StdEncoding.EncodeToString(k.torrent), "download-dir": k.dir, "paused": true,
	}
	if k.ReadOnly { // from the first moment on, lest a crash come before setBounds
		args["files-unwanted"] = []int{0}
	}
	if k.labelled = e.rpcVersion() >= modernRPC; k.labelled {
		args["labels"] = []string{label}
	}
	var answer struct {
		Duplicate *struct {
			HashString string `json:"hashString"`
		} `json:"torrent-duplicate"`
	}
	if err := e.rpc.call(ctx, "torrent-add", args, &answer); err != nil || answer.Duplicate == nil {
		return err
	}
	// Somebody was faster since we looked, or our own call was sent twice.
	found, err := e.get(ctx, []string{k.hash}, listFields())
	if err == nil && (found[k.hash] == nil || !isOurs(found[k.hash])) {
		err = ErrForeign
	}
	return err
}

// probe asks whether the client sees the directories that we see. A wrong path
// map must be found before the client makes directories of its own and
// downloads a tree into nowhere.
func (e *Engine) probe(ctx context.Context, tasks []*task) error {
	dirs := map[string][]*task{}
	for _, k := range tasks {
		dir := deepestHere(path.Dir(k.Root))
		dirs[dir] = append(dirs[dir], k)
	}
	var groups [][]*task
	for _, g := range dirs {
		groups = append(groups, g)
	}
	return parallel(ctx, groups, func(ctx context.Context, g []*task) error {
		here := deepestHere(path.Dir(g[0].Root))
		err := e.requireSees(ctx, here)
		if err != nil && !errors.Is(err, apply.ErrEngineConfig) {
			return err
		}
		for _, k := range g {
			k.err = err
		}
		return nil
	})
}

// requireSees fails unless the client sees a directory of ours.
func (e *Engine) requireSees(ctx context.Context, local string) error {
	mapped, err := e.paths.toClient(local)
	if err != nil {
		return fmt.Errorf("%w: %w", apply.ErrEngineConfig, err)
	}
	seen, err := e.canSee(ctx, mapped)
	if err == nil && !seen {
		err = fmt.Errorf("%w: %s is not there, or not open, for Transmission, which should see it as %s: check engine.transmission.paths, mounts and permissions",
			apply.ErrEngineConfig, local, mapped)
	}
	return err
}

// claim sets what makes a torrent ours and keeps it in its bounds: label, no
// ratio or idle limit of the session's, and the file wanted or not.
func (e *Engine) claim(ctx context.Context, tasks []*task) error {
	type group struct{ readOnly, labelled bool }
	groups := map[group][]string{}
	for _, k := range tasks {
		g := group{k.ReadOnly, k.labelled}
		groups[g] = append(groups[g], k.hash)
	}
	for g, hashes := range groups {
		if err := e.setBounds(ctx, hashes, g.readOnly, g.labelled); err != nil {
			return err
		}
	}
	return nil
}

// setBounds keeps a read-only torrent from fetching by not wanting its file: a
// client serves what it has of an unwanted file, and asks nobody for the rest.
// (A download limit of 0 would do it too, but then the client does not even
// read what its peers request.)
func (e *Engine) setBounds(ctx context.Context, hashes []string, readOnly, labelled bool) error {
	wanted := "files-wanted"
	if readOnly {
		wanted = "files-unwanted"
	}
	for part := range slices.Chunk(hashes, batch) { // never with no hash: that sets all
		args := map[string]any{
			"ids": part, "seedRatioMode": transmissionrpc.SeedRatioModeNoRatio, "seedIdleMode": seedForever, wanted: []int{0},
		}
		if !labelled { // else other labels, the user's, would be lost
			args["labels"] = []string{label}
		}
		if err := e.rpc.call(ctx, "torrent-set", args, nil); err != nil {
			return err
		}
	}
	return nil
}

// seedForever is the idle mode that overrides the session's limit.
const seedForever = 2

// inspect drops torrents that the client would not keep where and as we said:
// some versions change characters of names, or ignore the directory.
func (e *Engine) inspect(ctx context.Context, tasks []*task) error {
	found, err := e.get(ctx, hashesOf(tasks), []string{"hashString", "downloadDir", "files", "name"})
	if err != nil {
		return err
	}
	var wrong []string
	for _, k := range tasks {
		t, want := found[k.hash], path.Join(k.Entry.Tree, string(k.Entry.Path))
		switch {
		case t == nil:
			k.err = errors.New("the client took the torrent and does not hold it")
		case path.Clean(value(t.DownloadDir)) != k.dir:
			k.err = fmt.Errorf("the client was told %s and says it uses %s", k.dir, value(t.DownloadDir))
		case len(t.Files) != 1 || t.Files[0].Name != want || t.Files[0].Length != k.Entry.Length:
			k.err = fmt.Errorf("%w: it makes %+q of %+q", ErrName, names(t), want)
		}
		if t != nil && k.err != nil {
			wrong = append(wrong, k.hash)
		}
	}
	return e.forget(ctx, wrong)
}

func names(t *transmissionrpc.Torrent) []string {
	out := make([]string, len(t.Files))
	for i, f := range t.Files {
		out[i] = f.Name
	}
	return out
}

// parallel runs f over a few connections at once.
func parallel[T any](ctx context.Context, all []T, f func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(connections)
	for _, one := range all {
		g.Go(func() error { return f(ctx, one) })
	}
	return g.Wait()
}

func hashesOf(tasks []*task) []string {
	out := make([]string, len(tasks))
	for i, k := range tasks {
		out[i] = k.hash
	}
	return out
}

func alive(tasks []*task) []*task {
	return slices.DeleteFunc(slices.Clone(tasks), func(k *task) bool { return k.err != nil })
}
