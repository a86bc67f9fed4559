package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"seedtree/internal/pieces"
	"seedtree/internal/pulse"
	"seedtree/manifests"
)

// A batch is what goes through a stage together: one engine call and one round
// of fsync for all of it, and no more to do again when interrupted.
const (
	batchEntries = 500
	batchBytes   = 8 << 30
)

// execution is the state of one pass.
type execution struct {
	s      *Site
	d      Desired
	plan   *Plan
	wanted *manifests.Listing
	trees  map[string]*tree
	res    *Result

	broken  map[string]bool             // trees given up in this pass: full or read-only
	guard   map[manifests.Key]bool      // owned files that must not be displaced: their removal is held
	settled map[manifests.InfoHash]bool // planned as waiting, done after all
	staying map[manifests.InfoHash]bool // staging that is still of use
	refetch []Action                    // whose bytes turned out not to be here
	drops   []*item                     // moved: their old names go at the end of the stage
	awaited []manifests.Entry
	placed  int // entries this pass brought in sync
	settle  bool
}

// item is one entry on its way through a stage.
type item struct {
	Action
	tree *tree
	meta manifests.Metainfo
	raw  []byte // the catalog's .torrent

	file   string // where the bytes are that are checked and published
	base   *tree  // the tree that file is in; nil: the entry's own
	have   pieces.Have
	held   bool // the engine holds it, in staging
	whole  bool // nothing has to be fetched
	linked bool // file is a hard link to a file that was durable already
}

// Execute does what a plan says. It starts from what is there now: what
// changed since the observation is noticed before anything is overwritten.
// Failures of single entries are in the result; the error is for what ended
// the pass: the context, or an engine that does not answer.
func (s *Site) Execute(ctx context.Context, d Desired, p *Plan) (*Result, error) {
	s.beat = pulse.Of(ctx)
	pulse.Step(ctx, "opening the trees")
	x := s.newExecution(d, p)
	defer x.close()
	if err := x.begin(ctx); err != nil {
		return x.res, err
	}
	for _, stage := range x.stages() {
		pulse.Step(ctx, stage.doing)
		if err := stage.do(ctx); err != nil {
			x.res.Errors = append(x.res.Errors, EntryError{Op: "pass", Err: err})
			x.finish()
			return x.res, err
		}
	}
	x.finish()
	return x.res, x.crown()
}

// stage is a part of a pass, with what whoever watches is told of it.
type stage struct {
	doing string
	do    func(context.Context) error
}

func (x *execution) stages() []stage {
	return []stage{
		{"emptying the trash", x.expire},
		{"taking hold of what moves", x.acquireMoves},
		{"removing what is in the way", x.pruneEarly},
		{"reusing what is here", x.reuse},
		{"placing what was fetched", x.place},
		{"making folders, links and empty files", x.create},
		{"handing over what is to be fetched", x.add},
		{"setting modes and times", x.attributes},
		{"adopting files that are here", x.adopt},
		{"handing over what could not be had here", x.addAgain},
		{"letting go of torrents", x.forget},
		{"removing what is no longer listed", x.prune},
		{"cleaning staging", x.clean},
	}
}

func (s *Site) newExecution(d Desired, p *Plan) *execution {
	x := &execution{
		s: s, d: d, plan: p, wanted: Wanted(d.Manifest, s.cfg.Name, d.Listing),
		trees: map[string]*tree{}, broken: map[string]bool{}, guard: map[manifests.Key]bool{},
		settled: map[manifests.InfoHash]bool{}, staying: map[manifests.InfoHash]bool{},
		res: &Result{
			Revision: d.Revision, Role: p.Role, Actions: map[ActionKind]int{}, Stopped: map[string]string{},
			Entries: p.Entries, Held: len(p.Held), HeldWhy: p.HeldWhy, Foreign: p.Foreign,
		},
	}
	for name, why := range p.Stopped {
		x.res.Stopped[name] = why
	}
	for _, a := range p.Held {
		x.guard[a.Entry.Key()] = true
	}
	for _, w := range p.waiting {
		x.staying[w.entry.InfoHash] = true
	}
	return x
}

// begin opens the trees and makes their markers say what the site is.
func (x *execution) begin(ctx context.Context) error {
	for _, name := range x.s.names {
		if x.res.Stopped[name] != "" {
			continue
		}
		t, err := x.s.open(name)
		if err == nil && x.plan.Role == Main && t.marker.Role != manifests.RoleSource {
			err = fmt.Errorf("tree %s: %w: it became a copy since the plan was made", name, ErrMarker)
		}
		if err == nil && x.plan.Role == Follower {
			// Before anything changes here: from now on these files are a
			// copy, and nothing may take them for the truth again unasked.
			err = t.setRole(manifests.RoleCopy)
		}
		if err != nil {
			x.res.Stopped[name] = err.Error()
			if t != nil {
				t.close()
			}
			continue
		}
		t.bin = &bin{t: t, now: x.s.cfg.Clock(), revision: x.d.Revision}
		x.trees[name] = t
	}
	return x.introduce(ctx)
}

// introduce tells engines that want to know where the other sites are now.
func (x *execution) introduce(ctx context.Context) error {
	in, ok := x.s.cfg.Engine.(Introducer)
	if !ok || x.d.Manifest == nil {
		return nil
	}
	if err := in.Introduce(ctx, x.d.Manifest.Trackers, x.d.Manifest.PeersExcept(x.s.cfg.Name)); err != nil {
		return fmt.Errorf("telling the engine about trackers and peers: %w", err)
	}
	return nil
}

// crown makes a site that was named main, and now has everything, the source.
func (x *execution) crown() error {
	r, p := x.res, x.plan
	whole := r.Applied && len(r.Errors) == 0 && r.InSync+p.pending == r.Entries && r.Entries == x.d.Listing.Len()
	if p.Role != PendingMain || !whole {
		return nil
	}
	for _, name := range x.s.names {
		if err := x.trees[name].setRole(manifests.RoleSource); err != nil {
			return err
		}
	}
	r.Role = Main
	return nil
}

func (x *execution) close() {
	for _, t := range x.trees {
		_ = t.bin.close()
		t.close()
	}
}

// actions returns the plan's actions of some kinds.
func (x *execution) actions(keep func(Action) bool) []Action {
	var some []Action
	for _, a := range x.plan.Actions {
		if keep(a) {
			some = append(some, a)
		}
	}
	return some
}

func ofKind(kinds ...ActionKind) func(Action) bool {
	return func(a Action) bool { return slices.Contains(kinds, a.Kind) }
}

// batches runs a stage over its actions, some hundred at a time.
func (x *execution) batches(ctx context.Context, actions []Action, do func(context.Context, []*item) error) error {
	for len(actions) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := batchLen(actions)
		part := actions[:n]
		actions = actions[n:]
		items := make([]*item, 0, len(part))
		for _, a := range part {
			if it := x.item(ctx, a); it != nil {
				items = append(items, it)
			}
		}
		if err := do(ctx, items); err != nil {
			return err
		}
	}
	return nil
}

// batchLen says how many of the actions make the next batch; one at least.
func batchLen(actions []Action) int {
	var bytes int64
	for n, a := range actions {
		bytes += a.Entry.Length
		if n > 0 && (n == batchEntries || bytes > batchBytes) {
			return n
		}
	}
	return len(actions)
}

// item finds the tree and the metainfo of an action; nil when it cannot go on.
func (x *execution) item(ctx context.Context, a Action) *item {
	x.s.beat()
	it := &item{Action: a, tree: x.trees[a.Entry.Tree]}
	if it.tree == nil || x.broken[a.Entry.Tree] {
		if a.Kind == Forget {
			return it
		}
		x.staying[a.Entry.InfoHash] = true
		return nil
	}
	if a.Entry.Kind != manifests.Regular || a.Kind == Prune || a.Kind == Forget || a.Kind == Attributes {
		return it
	}
	var err error
	if it.raw, err = x.d.Metainfo(ctx, a.Entry); err == nil {
		it.meta, err = manifests.DecodeMetainfo(it.raw)
	}
	if err == nil && it.meta.InfoHash() != a.Entry.InfoHash {
		err = fmt.Errorf("its metainfo is that of torrent %s, the listing says %s", it.meta.InfoHash(), a.Entry.InfoHash)
	}
	if err != nil {
		x.fail(it, err)
		return nil
	}
	return it
}

// fail notes an entry's failure. A tree that is full or read-only is given up
// for this pass: every further entry would fail the same way.
func (x *execution) fail(it *item, err error) {
	x.res.Errors = append(x.res.Errors, EntryError{it.Entry.Key(), it.Kind.String(), err})
	x.staying[it.Entry.InfoHash] = true
	if it.Kind == Prune {
		x.guard[it.Entry.Key()] = true
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EDQUOT) {
		x.broken[it.Entry.Tree] = true
	}
}

// done notes that an entry is as listed now.
func (x *execution) done(it *item) {
	x.res.Actions[it.Kind]++
	x.placed++
	x.s.cfg.Log.Debug("done", "action", it.Kind.String(), "entry", it.Entry.Key().String(), "reason", it.Reason)
}
