package gitsource

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"seedtree/internal/pulse"
)

// Whoever watches a fetch, a listing, a merge of packs and the making of a new mirror
// sees a sign of life for each entry at most: on a slow disk each may take long.
func TestLongWorkShowsSignsOfLife(t *testing.T) {
	t.Parallel()
	const entries = 300
	repo := bareRepo(t)
	w := opened(t, repo)
	head := publish(t, w, nil, Commit{Put: some(t, entries)})
	var beats atomic.Int64
	ctx := pulse.With(t.Context(), func(string) { beats.Add(1) })
	s := opened(t, repo)
	work := func(what string, atLeast int64, do func() error) {
		t.Helper()
		beats.Store(0)
		must(t, do())
		if n := beats.Load(); n < atLeast {
			t.Errorf("%s: %d signs of life, want %d or more", what, n, atLeast)
		}
	}
	fetch := func() error { _, err := s.Fetch(ctx); return err }
	work("the first fetch from a path", entries, fetch)
	work("reading the listing", entries, func() error { _, err := fetched(t, s).Listing(ctx); return err })
	for i := range 4 {
		head = publish(t, w, head, Commit{Put: []File{torrent(t, fmt.Sprint("x", i), 1)}})
		must(t, fetch())
	}
	s.lim.packs = 2
	publish(t, w, head, Commit{Put: []File{torrent(t, "y", 1)}})
	work("merging packs", 20, fetch)
	bare := bareRepo(t)
	fresh := opened(t, bare)
	var rev *Revision
	work("writing a commit's files and trees", entries, func() (err error) {
		rev, err = fresh.Commit(ctx, nil, Commit{Put: some(t, entries)})
		return err
	})
	work("pushing a pack to a path", 2, func() error { return fresh.Push(ctx, rev) })
	rewrite(t, onlyOrNewest(t, s), none)
	must(t, s.closeStore())
	work("a new mirror", entries, fetch)
	work("what nobody watches", 0, func() error { _, err := s.Fetch(context.Background()); return err })
	if n := beats.Load(); n != 0 {
		t.Errorf("%d signs of life from somebody else's work", n)
	}
}
