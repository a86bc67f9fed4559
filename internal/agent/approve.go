package agent

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"seedtree/apply"
	"seedtree/gitsource"
	"seedtree/manifests"
)

// maxAncestors bounds the search through history for an approved revision.
const maxAncestors = 10_000

// commitID is what a manifest may name as approved. HEAD and its kin mean
// another commit every day and would approve everything for ever.
var commitID = regexp.MustCompile(`^[0-9a-f]{7,40}$`)

// approval answers one question: did somebody look at what disappears here?
//
// An operator approves revision R, having seen what it removes. The approval is
// itself a commit on top of R, so that the revision to apply, D, is hardly ever
// R itself. R's approval holds for D on this site when all of these are true,
// each listing being the part of it that this site shall hold:
//
//  1. D is R, or R is among its ancestors.
//  2. Nothing is lost from R to D: D removes no more than R did. A commit that
//     removes more, or narrows what this site includes, needs a new approval.
//  3. Every revision O that put files here (the applied one, and those begun
//     since) is R or one of its ancestors, or nothing is lost from O to D. So
//     what came after R and goes again was never looked at, and is not covered.
//  4. If it is not known what put files here, D is R or its direct child: an
//     old approval in the manifest must not cover a lost state file.
//
// Lost is what the limit counts: entries whose bytes are nowhere in D.
type approval struct {
	source *gitsource.Source
	site   string
	// listing returns the part of a revision's listing that the site shall hold.
	listing func(context.Context, *gitsource.Revision) (*manifests.Listing, error)
	// owned are the revisions that put files here.
	owned []string
}

// covers reports whether the approval of the named revision holds for d.
func (a approval) covers(ctx context.Context, name string, d *gitsource.Revision) (bool, error) {
	r, err := a.source.Revision(ctx, name)
	if errors.Is(err, gitsource.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("approved revision %s: %w", name, err)
	}
	if r.ID() == d.ID() {
		return true, nil // the operator named exactly this
	}
	history, err := a.ancestors(ctx, d, r.ID())
	if err != nil || !history[r.ID()] {
		return false, err
	}
	if len(a.owned) == 0 && !slices.Contains(d.Parents, r.ID()) {
		return false, nil
	}
	if lost, err := a.lost(ctx, r, d); err != nil || lost {
		return false, err
	}
	return a.coversOwned(ctx, r, d)
}

func (a approval) coversOwned(ctx context.Context, r, d *gitsource.Revision) (bool, error) {
	before, err := a.ancestors(ctx, r, "")
	if err != nil {
		return false, err
	}
	for _, id := range a.owned {
		if before[id] {
			continue
		}
		o, err := a.source.Revision(ctx, id)
		if errors.Is(err, gitsource.ErrNotFound) {
			return false, nil // rewritten history: nobody can tell
		}
		if err != nil {
			return false, err
		}
		if lost, err := a.lost(ctx, o, d); err != nil || lost {
			return false, err
		}
	}
	return true, nil
}

// lost reports whether anything of one revision is nowhere in the other.
func (a approval) lost(ctx context.Context, from, to *gitsource.Revision) (bool, error) {
	old, err := a.listing(ctx, from)
	if err != nil {
		return false, err
	}
	next, err := a.listing(ctx, to)
	if err != nil {
		return false, err
	}
	return old.Diff(next).Lost(next) > 0, nil
}

// ancestors collects a revision and what it descends from, and stops early
// where it meets the wanted one.
func (a approval) ancestors(ctx context.Context, rev *gitsource.Revision, wanted string) (map[string]bool, error) {
	seen := map[string]bool{rev.ID(): true}
	queue := slices.Clone(rev.Parents)
	for len(queue) > 0 && len(seen) < maxAncestors {
		id := queue[0]
		queue = queue[1:]
		if seen[id] {
			continue
		}
		seen[id] = true
		if id == wanted {
			break
		}
		r, err := a.source.Revision(ctx, id)
		if errors.Is(err, gitsource.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		queue = append(queue, r.Parents...)
	}
	return seen, nil
}

// allowPrune applies the manifest's approval and the one given on this site's
// command line. What cannot be found out is not approved.
func (a *Agent) allowPrune(ctx context.Context, t *target) bool {
	ask := approval{source: a.cfg.Source, site: a.cfg.Site, listing: a.wanted, owned: a.ownedIDs()}
	names := []string{a.cfg.AllowPrune}
	if m := t.desired.Manifest.Prune.Approved; commitID.MatchString(m) {
		names = append(names, m)
	} else if m != "" {
		a.log.Warn("the manifest approves no commit id", "approved", m)
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		ok, err := ask.covers(ctx, name, t.revision)
		if err != nil {
			a.log.Warn("cannot tell whether removals are approved", "revision", name, "err", err)
		}
		if ok {
			return true
		}
	}
	return false
}

// pinAllowed makes the revision that an operator named a commit id, once: a
// site that waits for hours must not take each new HEAD for the one that
// somebody looked at.
func (a *Agent) pinAllowed(ctx context.Context) {
	if a.cfg.AllowPrune == "" || fullID.MatchString(a.cfg.AllowPrune) {
		return
	}
	if r, err := a.cfg.Source.Revision(ctx, a.cfg.AllowPrune); err == nil {
		a.cfg.AllowPrune = r.ID()
	}
}

// wanted reads the part of a revision's listing that this site shall hold.
func (a *Agent) wanted(ctx context.Context, r *gitsource.Revision) (*manifests.Listing, error) {
	if l, ok := a.listings[r.ID()]; ok {
		return l, nil
	}
	m, err := r.Manifest(ctx)
	if err != nil {
		return nil, err
	}
	l, err := r.Listing(ctx)
	if err != nil {
		return nil, err
	}
	l = apply.Wanted(m, a.cfg.Site, l)
	a.listings[r.ID()] = l
	return l, nil
}
