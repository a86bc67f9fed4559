package gitsource

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A mirror that missed an accepted rewind still has what was given up, and its head
// descends from the revision accepted. It must not win because the others are silent:
// neither with the old head, nor with one in the middle, nor in a new process.
func TestRewindIsNotUndoneByAnOldMirror(t *testing.T) {
	t.Parallel()
	for _, oldFirst := range []bool{false, true} {
		front, old := bareRepo(t), bareRepo(t)
		w := opened(t, front)
		first := publish(t, w, nil, Commit{Put: some(t, 3)})
		second := publish(t, w, first, Commit{Put: []File{torrent(t, "bad", 1)}})
		third := publish(t, w, second, Commit{Put: []File{torrent(t, "worse", 1)}})
		mustPush(t, front, old)
		dir, urls := t.TempDir(), []string{front, old}
		if oldFirst {
			urls = []string{old, front}
		}
		s, _ := openedIn(t, dir, urls...)
		fetched(t, s)
		git(t, front, "update-ref", "refs/heads/main", first.ID())
		for range 2 { // an operator who says it twice means the same
			must(t, s.Accept(t.Context(), first.ID()))
		}
		if r := fetched(t, s); r.ID() != first.ID() || s.URL() != front {
			t.Errorf("after it was accepted: %s from %s", r.Short(), s.URL())
		}
		must(t, errors.Join(os.Rename(front, front+".away"), s.Close()))
		s, _ = openedIn(t, dir, urls...)
		for _, head := range []string{third.ID(), second.ID()} {
			git(t, old, "update-ref", "refs/heads/main", head)
			_, err := s.Fetch(t.Context())
			if !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrRewound) ||
				!strings.Contains(err.Error(), old+": ") || !strings.Contains(err.Error(), head+" contains "+second.ID()) {
				t.Errorf("only the old mirror answers: %v", err)
			}
			if r, err := s.Head(); err != nil || r.ID() != first.ID() {
				t.Errorf("head %v, %v", r, err)
			}
		}
		// Everybody has it again: that is for an operator to look at, who may change his mind.
		must(t, os.Rename(front+".away", front))
		mustPush(t, old, front)
		var rewound *RewoundError
		if _, err := s.Fetch(t.Context()); !errors.As(err, &rewound) || !rewound.Undone || errors.Is(err, ErrUnreachable) {
			t.Errorf("the rewind is undone everywhere: %v", err)
		}
		must(t, s.Accept(t.Context(), second.ID()))
		if r := fetched(t, s); r.ID() != second.ID() {
			t.Errorf("after the old history was accepted: %s", r.Short())
		}
	}
}

// A rewrite leaves the common part in honour: the new history goes on from there,
// also when the operator named an older revision than its head.
func TestRewriteGoesOn(t *testing.T) {
	t.Parallel()
	front := bareRepo(t)
	w := opened(t, front)
	first := publish(t, w, nil, Commit{Put: some(t, 3)})
	second := publish(t, w, first, Commit{Put: []File{torrent(t, "x", 1)}})
	s, _ := openedIn(t, t.TempDir(), front)
	fetched(t, s)
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, "", "clone", "-q", front, clone)
	git(t, clone, "commit", "-q", "--amend", "-m", "Rewritten")
	git(t, clone, "push", "-q", "--force")
	must(t, s.Accept(t.Context(), first.ID()))
	forged := git(t, clone, "rev-parse", "HEAD")
	if r := fetched(t, s); r.ID() != forged {
		t.Errorf("head %s", r.Short())
	}
	git(t, clone, "merge", "-q", "-s", "ours", "-m", "Back by a merge", second.ID())
	git(t, clone, "push", "-q")
	if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrRewound) || !strings.Contains(err.Error(), "given up") {
		t.Errorf("a merge of what was given up: %v", err)
	}
}
