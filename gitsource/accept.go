package gitsource

import (
	"context"
	"errors"
	"fmt"
)

// Accept makes a revision the one reached, whatever was before: the operator has
// looked at a rewound or rewritten history and named where to go on. The revision
// must be in the branch of a remote (or, while no remote answers, in the mirror).
func (s *Source) Accept(ctx context.Context, rev string) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	var r *Revision
	var head hash
	fetchErr := s.healing(ctx, func() (err error) {
		r, head, err = s.containedAnywhere(ctx, rev)
		return err
	})
	if fetchErr != nil && !errors.Is(fetchErr, ErrUnreachable) {
		return fmt.Errorf("accept %s: %w", rev, fetchErr)
	}
	if fetchErr != nil {
		if r, err = s.resolve(ctx, rev); err != nil {
			return errors.Join(err, fetchErr)
		}
		head = r.id
	}
	if err := s.judge(ctx, r.id, true); err != nil {
		return fmt.Errorf("accept %s: %w", rev, err)
	}
	st, err := s.open()
	if err == nil {
		err = s.abandon(ctx, st, head)
	}
	if err != nil {
		return fmt.Errorf("accept %s: %w", rev, err)
	}
	s.log.Warn("history accepted by the operator", "before", s.st.Tip, "now", r.ID())
	return s.moveTip(r.id)
}

// containedAnywhere finds a revision in the branch of a remote, and that branch's
// head. The first remote counts, but one that shows the new history before one that
// has the old one still: it is what the operator speaks of.
func (s *Source) containedAnywhere(ctx context.Context, rev string) (found *Revision, at hash, err error) {
	var silent, other []error
	var by remote
	best := -1
	for _, from := range s.remotes {
		r, head, err := s.contained(ctx, from, rev)
		switch {
		case err == nil:
			if n := s.newness(ctx, head); n > best {
				found, at, by, best = r, head, from, n
			}
		case errors.Is(err, ErrDamaged):
			return nil, at, err // ours
		case errors.Is(err, ErrUnreachable):
			silent = append(silent, fmt.Errorf("%s: %w", from, err))
		default:
			other = append(other, err)
		}
	}
	switch {
	case found != nil:
		s.served(by)
		return found, at, nil
	case len(other) > 0:
		return nil, at, errors.Join(other...)
	}
	return nil, at, errors.Join(silent...)
}

// newness ranks a remote's head: 2 is another history than ours, 1 is ours, 0 is one
// that was given up.
func (s *Source) newness(ctx context.Context, head hash) int {
	var rewound *RewoundError
	switch err := s.forward(ctx, head); {
	case !errors.As(err, &rewound):
		return 1
	case rewound.Undone:
		return 0
	}
	return 2
}

// contained finds a revision in a remote's branch.
func (s *Source) contained(ctx context.Context, from remote, rev string) (*Revision, hash, error) {
	head, err := s.fetchObjects(ctx, from)
	if err != nil {
		return nil, head, err
	}
	r, err := s.resolve(ctx, rev)
	if err != nil {
		return nil, head, err
	}
	in, err := descends(ctx, s.store, head, r.id)
	if err != nil {
		return nil, head, err
	}
	if !in {
		return nil, head, fmt.Errorf("the branch %s of %s at %s does not contain it: %w", s.cfg.Branch, from, head, ErrNotFound)
	}
	return r, head, nil
}
