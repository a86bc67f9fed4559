package gitsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// PassedOver is a remote that answered and was not followed, and why.
type PassedOver struct {
	Remote string `json:"remote"`
	Reason string `json:"reason"`
}

// PassedOver lists the remotes that answered the last Fetch and were refused before
// another one served. Those that are silent, or merely behind, are not among them.
// It never waits.
func (s *Source) PassedOver() []PassedOver {
	if p := s.passed.Load(); p != nil {
		return *p
	}
	return nil
}

// attempt is what came of the remotes tried so far.
type attempt struct {
	failed         []error
	refused        []PassedOver
	silent, behind bool
	other          bool  // failed otherwise
	barred         error // of the first that does not let us in
}

// read tries the remotes in order until one is of use. Whatever is wrong with one, be
// it silent, behind, rewound, signed by nobody we know, rotten or not to be logged in
// to, the next one has a go: whoever holds one remote must not be able to keep
// from us what an honest one has. Nothing is believed more readily for that: each
// head is judged as if it were the only one.
func (s *Source) read(ctx context.Context, order []remote, try func(remote) error) error {
	first := order[0]
	return s.each(order, try, func(r remote, err error) bool {
		// These are our own and would be met again; a first remote without a commit is for
		// init to begin.
		ours := errors.Is(err, ErrDamaged) || errors.Is(err, ErrNoSigners) || errors.Is(err, ErrEmpty) && r == first
		return !ours && ctx.Err() == nil
	})
}

// write tries the remotes until one answers. Only silence lets the next one have a go:
// a refusal is an answer, and commits at two remotes are two histories.
func (s *Source) write(order []remote, try func(remote) error) error {
	return s.each(order, try, func(remote, error) bool { return false })
}

// each tries the remotes in order. The next one has a go after silence, after a
// history that would take ours back, and after what may be passed over.
func (s *Source) each(order []remote, try func(remote) error, passable func(remote, error) bool) error {
	a := attempt{}
	s.refused, s.barred = nil, nil
	for _, r := range order {
		err := try(r)
		var unsure *unsureError
		if err == nil || errors.As(err, &unsure) {
			s.mark(r, nil)
			s.served(r)
			s.refused, s.barred = a.refused, a.barred
			return err
		}
		if !a.goOn(r, err, len(order) > 1 && passable(r, err)) {
			s.served(r)
			return err
		}
		s.mark(r, err)
		if len(order) > 1 || errors.Is(err, ErrUnreachable) {
			err = fmt.Errorf("%s: %w", r, err)
		}
		a.failed = append(a.failed, err)
	}
	return a.err()
}

// goOn notes why a remote failed and decides whether another one may do.
func (a *attempt) goOn(r remote, err error, passable bool) bool {
	var rewound *RewoundError
	switch {
	case errors.As(err, &rewound):
		late := rewound.Behind || rewound.Undone
		a.behind, a.other = a.behind || late, a.other || !late
		if late {
			return true
		}
	case errors.Is(err, ErrUnreachable):
		a.silent = true
		return true
	case passable:
		a.other = true
		if a.barred == nil && (errors.Is(err, ErrAuth) || errors.Is(err, ErrHostKey)) {
			a.barred = fmt.Errorf("%s: %w", r, err)
		}
	default:
		return false
	}
	a.refused = append(a.refused, PassedOver{r.String(), err.Error()})
	return true
}

func (a *attempt) err() error {
	err := errors.Join(a.failed...)
	if a.silent && a.behind && !a.other {
		// A mirror that lags while the others are away is no rewritten history.
		return fmt.Errorf("%w: no remote that answers has what was fetched before: %s", ErrUnreachable, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return err
}

// served remembers who answered, and says so when that is somebody else than before.
func (s *Source) served(r remote) {
	if now := r.String(); now != s.URL() {
		s.answered.Store(&now)
		if len(s.remotes) > 1 {
			s.log.Info("the catalog answers", "remote", now)
		}
	}
}

// mark logs once when a remote stops being of use, and once when it is again.
func (s *Source) mark(r remote, err error) {
	name := r.String()
	useless := err != nil
	if len(s.remotes) == 1 || s.useless[name] == useless {
		return
	}
	if s.useless == nil {
		s.useless = map[string]bool{}
	}
	s.useless[name] = useless
	if useless {
		s.log.Warn("a remote of the catalog is passed over", "remote", name, "err", err)
	} else {
		s.log.Info("a remote of the catalog is of use again", "remote", name)
	}
}

// preferred is all remotes, the one that answered last before the others: what
// follows a fetch belongs where the fetch came from.
func (s *Source) preferred() []remote {
	first := func(r remote) bool { return r.String() == s.URL() }
	i := slices.IndexFunc(s.remotes, first)
	if i <= 0 {
		return s.remotes
	}
	return slices.Concat(s.remotes[i:i+1], s.remotes[:i], s.remotes[i+1:])
}
