package gitsource

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// muteListener is an address that accepts and never says a word.
func muteListener(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() }) // its backlog accepts, and nobody ever answers
	return l.Addr().String()
}

// mirrored is a catalog of two commits, and a mirror of it at the first.
func mirrored(t *testing.T) (front, behind string, first, second *Revision) {
	t.Helper()
	front, behind = bareRepo(t), bareRepo(t)
	w := opened(t, front)
	first = publish(t, w, nil, Commit{Put: some(t, 3)})
	git(t, "", "--git-dir="+behind, "fetch", "-q", front, "main:main")
	second = publish(t, w, first, Commit{Put: []File{torrent(t, "x", 1)}})
	return front, behind, first, second
}

// A remote that lags must not win by being first.
func TestRemoteBehindIsPassedOver(t *testing.T) {
	t.Parallel()
	front, behind, _, second := mirrored(t)
	s, log := openedIn(t, t.TempDir(), behind, front)
	if r := fetched(t, s); r.ID() == second.ID() || s.URL() != behind {
		t.Errorf("before anything is known, the first that answers serves: %s from %s", r.Short(), s.URL())
	}
	mustPush(t, front, behind)
	if r := fetched(t, s); r.ID() != second.ID() || s.URL() != behind {
		t.Errorf("%s from %s", r.Short(), s.URL())
	}
	git(t, behind, "update-ref", "refs/heads/main", second.Parents[0]) // say, restored from a backup
	for range 3 {
		if r := fetched(t, s); r.ID() != second.ID() || s.URL() != front {
			t.Errorf("%s from %s", r.Short(), s.URL())
		}
	}
	if n := strings.Count(log.String(), "passed over"); n != 1 || !strings.Contains(log.String(), "is older than "+second.ID()) {
		t.Errorf("said %d times: %s", n, log)
	}
	// What is pushed and told now goes where the head came from.
	third := publish(t, s, fetched(t, s), Commit{Put: []File{torrent(t, "y", 1)}})
	must(t, s.PushStatus(t.Context(), "lima", []byte("{}")))
	if got := git(t, front, "rev-parse", "main"); got != third.ID() {
		t.Errorf("pushed to another remote: front is at %s", got)
	}
	if out := git(t, behind, "for-each-ref", "refs/heads/status"); out != "" {
		t.Errorf("status of a remote that is behind: %s", out)
	}
	mustPush(t, front, behind)
	fetched(t, s)
	if s.URL() != behind || !strings.Contains(log.String(), "of use again") {
		t.Errorf("answered: %s; log: %s", s.URL(), log)
	}
}

// mustPush brings a mirror up to date.
func mustPush(t *testing.T, from, to string) {
	t.Helper()
	git(t, from, "push", "-q", "--force", to, "main:main")
}

func TestRemoteWithAnotherHistoryIsPassedOver(t *testing.T) {
	t.Parallel()
	front, _, _, second := mirrored(t)
	forked := bareRepo(t)
	publish(t, opened(t, forked), nil, Commit{Put: some(t, 2)})
	dir := t.TempDir()
	s, _ := openedIn(t, dir, front)
	fetched(t, s)
	must(t, s.Close())
	s, log := openedIn(t, dir, forked, front)
	if r := fetched(t, s); r.ID() != second.ID() || s.URL() != front {
		t.Errorf("%s from %s", r.Short(), s.URL())
	}
	if !strings.Contains(log.String(), "does not descend from") {
		t.Errorf("log: %s", log)
	}
	// It is an error as soon as nobody else has our history.
	must(t, os.Rename(front, front+".away"))
	if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrRewound) || !strings.Contains(err.Error(), forked) {
		t.Errorf("only another history answers: %v", err)
	}
}

// An old mirror while the others are away is a fleet without news, not a rewind.
func TestOnlyAnOldMirrorAnswers(t *testing.T) {
	t.Parallel()
	front, behind, first, second := mirrored(t)
	s, _ := openedIn(t, t.TempDir(), front, behind)
	fetched(t, s)
	must(t, os.Rename(front, front+".away"))
	_, err := s.Fetch(t.Context())
	if !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrRewound) || !strings.Contains(err.Error(), front) || !strings.Contains(err.Error(), first.ID()) {
		t.Errorf("only a mirror that is behind answers: %v", err)
	}
	if r, err := s.Head(); err != nil || r.ID() != second.ID() {
		t.Errorf("head %v, %v", r, err)
	}
	must(t, os.Rename(front+".away", front))
	// All of them went back: that is a rewind, and an operator's word takes it.
	git(t, front, "update-ref", "refs/heads/main", first.ID())
	if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrRewound) || errors.Is(err, ErrUnreachable) {
		t.Errorf("all are behind: %v", err)
	}
	must(t, s.Accept(t.Context(), first.ID()))
	if r := fetched(t, s); r.ID() != first.ID() {
		t.Errorf("head %s", r.Short())
	}
}

// The revision an operator names may be at any of the remotes.
func TestAcceptFindsTheRemote(t *testing.T) {
	t.Parallel()
	front, _, _, _ := mirrored(t)
	other := bareRepo(t)
	fresh := publish(t, opened(t, other), nil, Commit{Put: some(t, 2)})
	s, _ := openedIn(t, t.TempDir(), front, other)
	fetched(t, s)
	if err := s.Accept(t.Context(), strings.Repeat("1", 40)); !errors.Is(err, ErrNotFound) {
		t.Errorf("accept of nothing: %v", err)
	}
	must(t, s.Accept(t.Context(), fresh.ID()))
	if r := fetched(t, s); r.ID() != fresh.ID() || s.URL() != other {
		t.Errorf("%s from %s", r.Short(), s.URL())
	}
}

// A silent remote costs its timeout once per pass, and no more than that.
func TestSilentRemoteThenTheNext(t *testing.T) {
	t.Parallel()
	front, _, _, second := mirrored(t)
	var log bytes.Buffer
	s := with(t, Config{
		URLs: []string{"https://" + muteListener(t) + "/catalog.git", front}, Timeout: 300 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 2 {
		if r := fetched(t, s); r.ID() != second.ID() || s.URL() != front {
			t.Errorf("%s from %s", r.Short(), s.URL())
		}
	}
	if n := strings.Count(log.String(), "passed over"); n != 1 {
		t.Errorf("said %d times: %s", n, log.String())
	}
}

// A local catalog needs no git program: the container image has none.
func TestLocalPathWithoutGit(t *testing.T) {
	repo := bareRepo(t)
	t.Setenv("PATH", t.TempDir())
	s := opened(t, repo)
	first := publish(t, s, nil, Commit{Put: some(t, 250)})
	publish(t, s, first, Commit{Put: []File{torrent(t, "x", 1)}})
	must(t, s.PushStatus(t.Context(), "lima", []byte("{}")))
	other := opened(t, "file://"+filepath.ToSlash(repo))
	if got := paths(t, fetched(t, other)); len(got) != 251 {
		t.Errorf("%d entries", len(got))
	}
	if got, err := other.Statuses(t.Context()); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}
