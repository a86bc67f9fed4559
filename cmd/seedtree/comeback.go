package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"seedtree/builder"
	"seedtree/gitsource"
	"seedtree/internal/agent"
	"seedtree/manifests"
)

// comeback lets main's source follow the catalog once. It is an act of an
// operator: nothing else makes anybody write to a source.
type comeback struct {
	app    *app
	cfg    *Config
	target *gitsource.Revision
	held   *gitsource.Revision // what was last built: all it lists is ours
	done   bool                // the source is as wanted already
}

// restoreDepth is how far back a revision is looked for that lists just what
// the source holds, when it is not known what was last built.
const restoreDepth = 100

// openComeback checks that the source may be given up: this site is main, and
// all that is there is in the catalog's history, so that nobody's work of today
// goes to the trash. It changes nothing.
func (a *app) openComeback(ctx context.Context, cfg *Config, src *gitsource.Source, head, target *gitsource.Revision) (*comeback, error) {
	m, err := head.Manifest(ctx)
	if err != nil {
		return nil, err
	}
	if err := notMain(m, cfg.Site); err != nil {
		return nil, withHint(err, "seedtree rollback %.12s --restore-source   at %s", target.ID(), m.Main)
	}
	b := newBuild(cfg, src, a.logger(slog.LevelWarn))
	held := b.remembered(ctx, "built", agent.Built)
	known := held != nil
	if !known {
		held = head
	}
	bar := a.progress("hashing")
	source, err := b.scan(ctx, m, held, bar.update)
	bar.done()
	if err != nil {
		return nil, err
	}
	wanted, err := target.Listing(ctx)
	if err != nil {
		return nil, err
	}
	if !known {
		if found, err := exactly(ctx, src, head, source); err != nil {
			return nil, err
		} else if found != nil {
			held = found
		}
	}
	before, err := held.Listing(ctx)
	if err != nil {
		return nil, err
	}
	if lines := uncommitted(before, wanted, source); len(lines) > 0 {
		return nil, refuseUncommitted(lines, held.ID() == head.ID())
	}
	return &comeback{app: a, cfg: cfg, target: target, held: held, done: follows(before, wanted, source)}, nil
}

// scan reads the source as a build would, for a look only.
func (b *build) scan(ctx context.Context, m *manifests.Manifest, previous *gitsource.Revision, progress func(builder.Progress)) (*manifests.Listing, error) {
	listing, err := previous.Listing(ctx)
	if err != nil {
		return nil, err
	}
	res, err := builder.Build(ctx, builder.Options{
		Site: b.site, Trees: b.trees, Manifest: m, Previous: listing, Metainfo: previous.Metainfo,
		AllowRemovals: true, Progress: progress, Store: b.store,
	})
	if err != nil {
		return nil, err
	}
	if len(res.Failed) > 0 {
		return nil, fmt.Errorf("the source cannot be compared with the catalog: %w", res.Failed[0])
	}
	return res.Listing, nil
}

// exactly finds the newest revision that lists just what the source holds.
func exactly(ctx context.Context, src *gitsource.Source, head *gitsource.Revision, source *manifests.Listing) (*gitsource.Revision, error) {
	log, err := src.Log(ctx, head.ID(), restoreDepth)
	if err != nil {
		return nil, err
	}
	for _, r := range log {
		l, err := r.Listing(ctx)
		if err != nil {
			return nil, err
		}
		if l.Diff(source).Empty() {
			return r, nil
		}
	}
	return nil, nil
}

// uncommitted lists what somebody did to the source since it was as listed
// before, and would lose. What is wanted is not lost, and a file that no
// revision knows is nobody's but the user's: following leaves it where it is.
func uncommitted(before, wanted, source *manifests.Listing) []changeLine {
	var d manifests.Diff
	full := before.Diff(source)
	for _, e := range full.Removed {
		if _, listed := wanted.Get(e.Key()); listed {
			d.Removed = append(d.Removed, e)
		}
	}
	known := func(c manifests.Change) bool { return holds(wanted, c.New) || holds(before, c.New) }
	d.Changed = slices.DeleteFunc(full.Changed, known)
	d.Renamed = slices.DeleteFunc(full.Renamed, known)
	for _, e := range full.Added {
		if _, listed := wanted.Get(e.Key()); listed && !holds(wanted, e) {
			d.Added = append(d.Added, e)
		}
	}
	return changeLines(d)
}

func refuseUncommitted(lines []changeLine, current bool) error {
	const some = 5
	err := fmt.Errorf("the source has changes that are not in the catalog: %s%s", comma(len(lines)), sample(lines, some))
	if current {
		return withHint(err, "seedtree build   commits them; then roll back")
	}
	return withHint(err, "seedtree build --as-is   commits the source as it is; then roll back again")
}

// sample is the first lines of a list, each on a line of its own.
func sample(lines []changeLine, some int) string {
	text := ""
	for i, l := range lines {
		if i == some {
			return text + fmt.Sprintf("\n  and %s more", comma(len(lines)-i))
		}
		text += "\n  " + l.String()
	}
	return text
}

// follows reports whether nothing would come, change or go.
func follows(before, wanted, source *manifests.Listing) bool {
	d := wanted.Diff(source)
	if len(d.Removed)+len(d.Changed)+len(d.Renamed) > 0 {
		return false
	}
	for _, e := range d.Added {
		if _, ours := before.Get(e.Key()); ours {
			return false
		}
	}
	return true
}

// begin gives the source up. The order matters: what is ours there must be
// known before the markers say that it is a copy.
func (c *comeback) begin(rep *commitReport, dryRun bool) error {
	if len(rep.Changes) == 0 {
		rep.idle = "nothing to commit: the catalog lists it already"
	}
	switch {
	case c.done:
		rep.Notes = append(rep.Notes, "the source is as wanted already")
		return nil
	case dryRun:
		rep.Notes = append(rep.Notes, "the source would follow the catalog until it is complete")
		return nil
	}
	site, err := openSite(c.cfg, noEngine{}, c.app.logger(slog.LevelWarn))
	if err != nil {
		return err
	}
	defer site.Close()
	if err = agent.SetReturning(c.cfg.State, c.held.ID()); err == nil {
		if err = site.StepDown(); err != nil {
			err = errors.Join(err, agent.SetReturning(c.cfg.State, ""))
		}
	}
	if err != nil {
		return withHint(fmt.Errorf("the catalog is rolled back, the source is not: %w", err), "seedtree rollback %.12s --restore-source", c.target.ID())
	}
	rep.Notes = append(rep.Notes, "the source follows the catalog until nothing is missing, then it is the source again: "+
		"the agent's next pass does it, or seedtree sync --wait")
	return nil
}

// noteSource says what main's source lacks after a rollback, and what to do
// about it. Nothing is hashed for a note: lengths and times must do.
func (r *commitReport) noteSource(cfg *Config, m *manifests.Manifest, target *gitsource.Revision, d manifests.Diff) {
	if d.Empty() {
		return
	}
	remedy := fmt.Sprintf("seedtree rollback %.12s --restore-source", target.ID())
	if cfg.Site != m.Main {
		r.Notes = append(r.Notes, fmt.Sprintf("%s's own files stay as they are, and it does not build while that would undo this; there: %s", m.Main, remedy))
		return
	}
	var lacks, has []manifests.Entry
	for _, e := range arrivals(d) {
		if !stands(cfg, e) {
			lacks = append(lacks, e)
		}
	}
	for _, c := range d.Renamed {
		d.Removed = append(d.Removed, c.Old)
	}
	for _, e := range d.Removed {
		if stands(cfg, e) {
			has = append(has, e)
		}
	}
	if len(lacks) > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("main's own source lacks %s of this (first: %s)", entries(len(lacks)), shown(lacks[0].Key().String())))
	}
	if len(has) > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("main's own source still has %s that went (first: %s)", entries(len(has)), shown(has[0].Key().String())))
	}
	if len(lacks)+len(has) > 0 {
		r.Notes = append(r.Notes, "it does not build while that would undo this; to make it follow: "+remedy)
	}
}

// stands reports whether something that looks like an entry stands in a tree.
func stands(cfg *Config, e manifests.Entry) bool {
	root, err := os.OpenRoot(cfg.Trees[e.Tree])
	if err != nil {
		return false
	}
	defer root.Close()
	info, err := root.Lstat(string(e.Path))
	if err != nil {
		return false
	}
	return e.Kind != manifests.Regular ||
		info.Mode().IsRegular() && info.Size() == e.Length && manifests.StoredTime(info.ModTime()).Equal(e.ModTime)
}
