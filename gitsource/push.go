package gitsource

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"

	"seedtree/internal/pulse"
)

// Push makes a revision from Commit the branch's head, if the head still is its
// parent: git's compare-and-swap is the lock among all who write the catalog.
// ErrMoved: somebody was faster; fetch, look again, rebuild. ErrRefused: a hook
// or rule of the remote says no.
func (s *Source) Push(ctx context.Context, r *Revision) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	pulse.Step(ctx, "pushing to the catalog")
	if r.made == nil {
		return fmt.Errorf("push %s: it was not committed here, or is pushed already", r.Short())
	}
	if r.made.head != r.id {
		// A later commit took its place.
		return fmt.Errorf("push %s: its objects are gone: %w", r.Short(), ErrMoved)
	}
	u := update{ref: headRef(s.cfg.Branch), new: r.id, pack: packSource{r.made.in.base(), r.made.in.count}}
	if len(r.Parents) > 0 {
		u.old = plumbing.NewHash(r.Parents[0])
	}
	// Another process went on from the parent meanwhile. A remote that is behind
	// would still take this push, and the mirror would go back in history.
	if tip := s.st.Tip; tip != "" && tip != u.old.String() {
		return fmt.Errorf("push %s: the mirror is at %.10s by now: %w", r.Short(), tip, ErrMoved)
	}
	// Reading goes on past a remote that does not let us in. Commits do not: a password
	// that was changed there would split the catalog in two.
	if s.locked != nil {
		return fmt.Errorf("push %s: a remote that comes first does not let us in: %w", r.Short(), s.locked)
	}
	if err := s.push(ctx, u); err != nil {
		return fmt.Errorf("push %s: %w", r.Short(), err)
	}
	if err := r.keep(); err != nil {
		s.log.Warn("a pushed commit could not be kept; the next look fetches it", "revision", r.Short(), "err", err)
		return nil
	}
	s.checkedOurs(r.Time)
	return s.moveTip(r.id)
}

// push tries the remote the last fetch came from, then the others. Once objects
// were on their way the outcome at that remote is asked for, not guessed: a
// connection that breaks after the remote moved its branch is a success.
func (s *Source) push(ctx context.Context, u update) error {
	return s.write(s.preferred(), func(r remote) error {
		err := r.push(s.beating(ctx), u)
		var unsure *unsureError
		if !errors.As(err, &unsure) {
			return err
		}
		now, asked := s.remoteHead(ctx, r, u.ref)
		switch {
		case asked != nil:
			return &unsureError{fmt.Errorf("whether it arrived is unknown: %w", errors.Join(unsure.err, asked))}
		case now == u.new:
			return nil
		case !u.force && now != u.old:
			return fmt.Errorf("%w: %w", ErrMoved, unsure.err)
		}
		return unsure.err
	})
}

// unsureError is a push whose outcome has to be asked for. No other remote is tried
// then: the branch may have moved already.
type unsureError struct{ err error }

func (e *unsureError) Error() string { return e.err.Error() }

// Unwrap returns what went wrong.
func (e *unsureError) Unwrap() error { return e.err }

// remoteHead asks where a reference stands.
func (s *Source) remoteHead(ctx context.Context, r remote, ref string) (id hash, err error) {
	in := lateIncoming(s.path(incomingName), s.lim)
	defer in.Close()
	err = r.fetch(s.beating(ctx), func(heads map[string]hash) (_, _ []hash, err error) {
		id = heads[ref[len(headRef("")):]]
		return nil, nil, nil
	}, nil, in)
	return id, err
}
