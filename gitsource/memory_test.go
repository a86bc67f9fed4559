package gitsource

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a site refuses by what it still has, line by line as docs/security.md promises
// it; without signatures, for these promises need none.
func TestWhatIsStillRefused(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	w := opened(t, repo)
	first := publish(t, w, nil, Commit{Put: some(t, 3)})
	second := publish(t, w, first, Commit{Put: []File{torrent(t, "x", 1)}})
	mirror := func() string {
		s := with(t, Config{URLs: []string{repo}})
		fetched(t, s)
		must(t, s.Close())
		return s.cfg.Dir
	}
	here, switched := mirror(), mirror()
	git(t, repo, "update-ref", "refs/heads/main", first.ID())
	restored := mirror()
	git(t, repo, "branch", "other", first.ID())
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, "", "clone", "-q", repo, clone)
	git(t, clone, "checkout", "-q", "-B", "main", second.ID())
	git(t, clone, "commit", "-q", "--amend", "-m", "Rewritten")
	git(t, clone, "push", "-q", "--force", "origin", "HEAD:rewritten")
	rewritten := git(t, clone, "rev-parse", "HEAD")

	open := func(dir, branch, trusted string, remembers ...string) *Source {
		s := onBranch(t, dir, repo, branch)
		s.cfg.Trust.Revision = trusted
		s.cfg.Trust.Applied = func() (all []Applied) {
			for _, id := range remembers {
				all = append(all, Applied{id, "a drive"})
			}
			return all
		}
		return s
	}
	unreadable := t.TempDir()
	must(t, errors.Join(os.WriteFile(filepath.Join(unreadable, lockName), nil, 0o644), os.WriteFile(filepath.Join(unreadable, stateName), []byte("{"), 0o644)))
	for what, c := range map[string]struct {
		s    *Source
		want error
	}{
		"all its state":                             {open(here, "main", ""), ErrRewound},
		"what it attempted, or a drive":             {open(t.TempDir(), "main", "", second.ID()), ErrRewound},
		"two drives, one behind":                    {open(t.TempDir(), "main", "", first.ID(), second.ID()), ErrRewound},
		"a drive, and a state that is garbage":      {open(unreadable, "main", "", second.ID()), ErrRewound},
		"another branch, and a drive":               {open(switched, "other", "", second.ID()), ErrRewound},
		"a drive with the history that replaced":    {open(t.TempDir(), "main", "", rewritten), ErrRewound},
		"a trusted revision":                        {open(t.TempDir(), "main", second.ID()), ErrUntrusted},
		"a trusted revision that is old":            {open(t.TempDir(), "main", first.ID()), nil},
		"a drive that is behind as the head is":     {open(t.TempDir(), "main", "", first.ID()), nil},
		"a state out of an old backup, and a drive": {open(restored, "main", "", second.ID()), nil},
		"nothing": {open(t.TempDir(), "main", ""), nil},
		"another branch, and nothing but its state": {open(t.TempDir(), "other", ""), nil},
	} {
		git(t, repo, "update-ref", "refs/heads/main", first.ID()) // the head of long ago
		r, err := c.s.Fetch(t.Context())
		if c.want == nil && (err != nil || r.ID() != first.ID()) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("with %s: %v, want %v", what, err, c.want)
		}
		if c.want == nil || strings.HasPrefix(what, "a drive with") {
			continue
		}
		git(t, repo, "update-ref", "refs/heads/main", second.ID()) // and it goes on by itself
		git(t, repo, "update-ref", "refs/heads/other", second.ID())
		if r, err := c.s.Fetch(t.Context()); err != nil || r.ID() != second.ID() {
			t.Errorf("with %s, once the head is good: %v", what, err)
		}
		git(t, repo, "update-ref", "refs/heads/other", first.ID())
	}
}
