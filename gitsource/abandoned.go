package gitsource

import (
	"context"

	"github.com/go-git/go-git/v5/plumbing"
)

// An operator who accepts a rewound or rewritten history gives another one up. A
// mirror that missed the rewind still has that one, and its head descends from the
// revision accepted as well: as soon as the others are silent it would look like
// news. So the state keeps the oldest commits of what was given up; whatever
// contains one of them brings all of it back.

// abandon notes what the present tip's history has and a head's, taken over by an
// operator, has not.
func (s *Source) abandon(ctx context.Context, st *store, head hash) error {
	kept, err := ancestry(ctx, st, head)
	if err != nil {
		return err
	}
	var gone []string
	for _, id := range s.st.Abandoned {
		if kept[plumbing.NewHash(id)] == nil {
			gone = append(gone, id) // what was taken back is given up no more
		}
	}
	tip := s.st.tip()
	if tip.IsZero() || kept[tip] != nil {
		s.st.Abandoned = gone
		return nil
	}
	old := map[hash]*commitObject{}
	if st.has(tip) {
		if old, err = ancestry(ctx, st, tip); err != nil {
			return err
		}
	}
	for id, c := range old {
		oldest := kept[id] == nil
		for _, p := range c.parents {
			oldest = oldest && kept[p] != nil
		}
		if oldest {
			gone = append(gone, id.String())
		}
	}
	if len(old) == 0 {
		gone = append(gone, tip.String()) // its objects are lost; its name is known
	}
	s.st.Abandoned = gone
	return nil
}

// undone fails when a head has, beyond the tip, a commit that an operator gave up.
func (s *Source) undone(ctx context.Context, st *store, head, tip hash) error {
	if len(s.st.Abandoned) == 0 {
		return nil
	}
	gone := map[hash]bool{}
	for _, id := range s.st.Abandoned {
		gone[plumbing.NewHash(id)] = true
	}
	found, err := walkBack(ctx, st, head, func(id hash) bool { return id == tip || gone[id] })
	for id := range found {
		if gone[id] {
			return &RewoundError{From: id.String(), To: head.String(), Undone: true}
		}
	}
	return err
}

// ancestry is a commit and all before it.
func ancestry(ctx context.Context, st *store, id hash) (map[hash]*commitObject, error) {
	return walkBack(ctx, st, id, func(hash) bool { return false })
}

// walkBack reads a commit and those before it, but none before one that stops it.
func walkBack(ctx context.Context, st *store, from hash, stop func(hash) bool) (map[hash]*commitObject, error) {
	seen := map[hash]*commitObject{}
	for queue := []hash{from}; len(queue) > 0; {
		id := queue[0]
		if queue = queue[1:]; seen[id] != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return seen, err
		}
		c, err := st.commit(id)
		if err != nil {
			return seen, err
		}
		if seen[id] = c; !stop(id) {
			queue = append(queue, c.parents...)
		}
	}
	return seen, nil
}
