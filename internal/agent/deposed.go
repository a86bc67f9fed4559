package agent

import (
	"context"
	"errors"
	"fmt"

	"seedtree/apply"
	"seedtree/gitsource"
	"seedtree/manifests"
)

// stepper is what a site can do that once was the source, and no stand-in has to.
type stepper interface {
	Marker(tree string) (manifests.Marker, error)
	StepDown() error
}

var _ stepper = (*apply.Site)(nil)

// stepDown looks at what happened while this site did not. If the catalog names
// it main again, and named another in between, then its markers still say
// source, but its files are not what the other one made of them: what came
// would be taken for deleted, what changed be changed back. So it completes
// first, as every site that becomes main does.
func (a *Agent) stepDown(ctx context.Context, next *target) (*target, error) {
	site, ok := a.cfg.Apply.(stepper)
	if !ok || next.desired.Manifest.Main != a.cfg.Site || a.state.Attempted == "" || a.state.Attempted == next.revision.ID() {
		return next, nil
	}
	source := false
	for tree := range a.cfg.Trees {
		// A drive that is not there may come back as a source: StepDown says so.
		m, err := site.Marker(tree)
		source = source || err != nil || m.Role == manifests.RoleSource
	}
	if !source {
		return next, nil
	}
	other, err := a.otherMain(ctx, a.state.Attempted, next.revision)
	if err != nil || other == "" {
		return next, err
	}
	// What was built here and gone there has to go.
	if built, err := Built(a.cfg.StateDir); err == nil && built != "" {
		if err := SetReturning(a.cfg.StateDir, built); err != nil {
			return nil, err
		}
	}
	if err := site.StepDown(); err != nil {
		return nil, fmt.Errorf("%s was main meanwhile, and what is a source here must complete before it is one again: %w", other, err)
	}
	a.log.Warn("another site was main meanwhile: completing before being main again", "other", other)
	return a.read(ctx, next.revision) // what is ours is another thing now
}

// otherMain finds a revision from one on to another, both included, that names
// another main, and returns that one's name. If history was rewritten nobody
// can tell.
func (a *Agent) otherMain(ctx context.Context, from string, to *gitsource.Revision) (string, error) {
	ask := approval{source: a.cfg.Source}
	since, err := ask.ancestors(ctx, to, from)
	if err != nil || !since[from] {
		return "", err
	}
	first, err := a.cfg.Source.Revision(ctx, from)
	if err != nil {
		return "", err
	}
	var before map[string]bool // needed only where merges lead past the first
	for id := range since {
		r, err := a.cfg.Source.Revision(ctx, id)
		if errors.Is(err, gitsource.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		m, err := r.Manifest(ctx)
		if ctx.Err() != nil || errors.Is(err, gitsource.ErrDamaged) {
			return "", err // it may have named another main
		}
		if err != nil || m.Main == a.cfg.Site { // one that nobody can read made no main
			continue
		}
		if before == nil {
			if before, err = ask.ancestors(ctx, first, ""); err != nil {
				return "", err
			}
		}
		if id == from || !before[id] {
			return m.Main, nil
		}
	}
	return "", nil
}
