package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"seedtree/gitsource"
	"seedtree/internal/agent"
	"seedtree/manifests"
)

// errForeign: a build would undo what others committed.
var errForeign = errors.New("the catalog was changed by others since this site's last build")

// undo is what a build would take back of changes that this site did not make:
// a rollback, a git revert, a commit by hand.
type undo struct {
	came []manifests.Key // came back or changed, and the source does not have it
	gone []manifests.Key // went, and the source still has it
}

// findUndo decides by the entries, not by who committed. known is the newest
// listing that this site was known to hold, built what its source was. Removals
// need the latter: that everything listed is here says nothing about what is
// here beside it.
func findUndo(known, built, head, source *manifests.Listing) undo {
	var u undo
	if known != nil {
		d := known.Diff(head)
		for _, e := range arrivals(d) {
			if !holds(source, e) {
				u.came = append(u.came, e.Key())
			}
		}
	}
	if built != nil {
		d := built.Diff(head)
		for _, c := range d.Renamed {
			d.Removed = append(d.Removed, c.Old)
		}
		for _, e := range d.Removed {
			if holds(source, e) {
				u.gone = append(u.gone, e.Key())
			}
		}
	}
	slices.SortFunc(u.came, manifests.Key.Compare)
	slices.SortFunc(u.gone, manifests.Key.Compare)
	return u
}

// arrivals are the entries that are new or different after a diff.
func arrivals(d manifests.Diff) []manifests.Entry {
	all := slices.Clone(d.Added)
	for _, c := range slices.Concat(d.Changed, d.Renamed) {
		all = append(all, c.New)
	}
	return all
}

// holds reports whether an entry stands in a listing with the same bytes. Its
// time does not matter: a file that was copied back by hand is back.
func holds(l *manifests.Listing, e manifests.Entry) bool {
	got, ok := l.Get(e.Key())
	return ok && got.Kind == e.Kind && got.Content == e.Content && got.Target == e.Target && got.Executable == e.Executable
}

func (u undo) empty() bool { return len(u.came)+len(u.gone) == 0 }

func (u undo) err(head *gitsource.Revision) error {
	if u.empty() {
		return nil
	}
	var what []string
	if n := len(u.came); n > 0 {
		what = append(what, fmt.Sprintf("%s came back or changed (first: %s) that the source does not have; a build would take them away again",
			entries(n), shown(u.came[0].String())))
	}
	if n := len(u.gone); n > 0 {
		what = append(what, fmt.Sprintf("%s went (first: %s) that the source still has; a build would list them again",
			entries(n), shown(u.gone[0].String())))
	}
	return &hinted{fmt.Errorf("%w: %s", errForeign, strings.Join(what, "; ")), []string{
		fmt.Sprintf("seedtree rollback %.12s --restore-source   makes the source follow the catalog", head.ID()),
		"seedtree build --as-is   commits the source as it is",
	}}
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return comma(n) + " entries"
}

// guard refuses a build that would silently undo what others committed. When
// it is not known what this site last built, as in its first build and after
// its state was lost, nothing can be told and the build goes on.
func (b *build) guard(ctx context.Context, head *gitsource.Revision, now, source *manifests.Listing) error {
	if b.flags.asIs {
		return nil
	}
	built := b.remembered(ctx, "built", agent.Built)
	known := built
	if built == nil || built.ID() != head.ID() {
		var err error
		if known, err = newest(ctx, b.src, head, built, b.remembered(ctx, "completed", agent.Completed)); err != nil {
			return err
		}
	}
	if known == nil {
		b.log.Debug("it is not known what this site last built: no look at what others committed since")
		return nil
	}
	before, err := b.listingOf(ctx, known, head, now)
	if err != nil {
		return err
	}
	last, err := b.listingOf(ctx, built, head, now)
	if err != nil {
		return err
	}
	return findUndo(before, last, now, source).err(head)
}

// remembered reads a revision that the state directory names; nil when there is
// none, or none that the catalog still has.
func (b *build) remembered(ctx context.Context, what string, read func(string) (string, error)) *gitsource.Revision {
	id, err := read(b.state)
	if err != nil || id == "" {
		b.log.Debug("not remembered", "revision", what, "err", err)
		return nil
	}
	r, err := b.src.Revision(ctx, id)
	if err != nil {
		b.log.Debug("what is remembered is not in the catalog", "revision", what, "id", id, "err", err)
		return nil
	}
	return r
}

// newest returns the one of some revisions that history reaches first from the
// head. One that was rewritten away counts when there is no other: what this
// site held then still says what is not its own doing.
func newest(ctx context.Context, src *gitsource.Source, head *gitsource.Revision, some ...*gitsource.Revision) (*gitsource.Revision, error) {
	some = slices.DeleteFunc(some, func(r *gitsource.Revision) bool { return r == nil })
	if len(some) == 0 {
		return nil, nil
	}
	log, err := src.Log(ctx, head.ID(), logDepth)
	if err != nil {
		return nil, err
	}
	for _, r := range log {
		for _, s := range some {
			if s.ID() == r.ID() {
				return s, nil
			}
		}
	}
	return some[0], nil
}

// listingOf reads a revision's listing, unless it is the head, whose is now.
func (b *build) listingOf(ctx context.Context, r, head *gitsource.Revision, now *manifests.Listing) (*manifests.Listing, error) {
	switch {
	case r == nil:
		return nil, nil
	case r.ID() == head.ID():
		return now, nil
	}
	return r.Listing(ctx)
}

// remember keeps what was built, for the guard of the next build. A build that
// found nothing to commit says as much: the source is what the head lists.
func (b *build) remember() {
	rev := b.report.Revision
	if rev == "" {
		rev = b.report.Parent
	}
	if err := agent.SetBuilt(b.state, rev); err != nil {
		b.log.Warn("the next build will not know what this one committed", "err", err)
	}
	if err := saveMounts(b.state, b.mounts); err != nil {
		b.log.Warn("the next build will not notice drives that are not mounted inside the source", "err", err)
	}
}
