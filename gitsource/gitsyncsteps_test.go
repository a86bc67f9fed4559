package gitsource

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pulled is a catalog with three entries, who writes it, and a mirror of it.
type pulled struct {
	repo   string
	writer *Source
	head   *Revision
	s      *Source
	log    *bytes.Buffer
}

func pull(t *testing.T) *pulled {
	t.Helper()
	p := &pulled{repo: bareRepo(t)}
	p.writer = opened(t, p.repo)
	p.head = publish(t, p.writer, nil, Commit{Put: some(t, 3)})
	p.s, p.log = openedIn(t, t.TempDir(), p.repo)
	p.wants(t, p.head, 3)
	return p
}

// next publishes one entry more.
func (p *pulled) next(t *testing.T) *Revision {
	t.Helper()
	p.head = publish(t, p.writer, p.head, Commit{Put: []File{torrent(t, "next"+p.head.Short(), 1)}})
	return p.head
}

// wants fetches, and wants a revision with so many entries, which is then the head.
func (p *pulled) wants(t *testing.T, want *Revision, entries int) {
	t.Helper()
	wantPulled(t, p.s, want.ID(), entries)
}

func wantPulled(t *testing.T, s *Source, want string, entries int) {
	t.Helper()
	r := fetched(t, s)
	head, err := s.Head()
	must(t, err)
	if got := paths(t, r); r.ID() != want || head.ID() != want || len(got) != entries {
		t.Errorf("fetched %s, head %s, entries %q; want %s with %d", r.Short(), head.Short(), got, want, entries)
	}
}

// inFolder is the scenario of a mirror in a folder that is made there.
func inFolder(folder func(t *testing.T, base string) string) func(t *testing.T) {
	return func(t *testing.T) {
		p := pull(t)
		dir := folder(t, t.TempDir())
		for range 2 { // absent, and there
			s, _ := openedIn(t, dir, p.repo)
			wantPulled(t, s, p.head.ID(), 3)
			must(t, s.Close())
		}
	}
}

// Our own folder with a repository that git would not open is made good; somebody
// else's is not touched.
func rootFailsSanity(t *testing.T) {
	p := pull(t)
	must(t, p.s.Close())
	must(t, os.WriteFile(filepath.Join(p.s.path(gitName), "HEAD"), []byte("ref: refs/heads/nonexist\n"), 0o644))
	wantPulled(t, p.s, p.next(t).ID(), 4)
	base := t.TempDir()
	precious := filepath.Join(base, "precious")
	must(t, os.WriteFile(precious, []byte("mine"), 0o600))
	if _, err := Open(Config{URLs: []string{p.repo}, Dir: base}); err == nil || !strings.Contains(err.Error(), "precious") {
		t.Errorf("somebody's folder: %v", err)
	}
	if data, err := os.ReadFile(precious); err != nil || string(data) != "mine" {
		t.Errorf("%q, %v", data, err)
	}
}

// onBranch opens another Source on a mirror, for another branch.
func onBranch(t *testing.T, dir, repo, branch string) *Source {
	t.Helper()
	s, err := Open(Config{URLs: []string{repo}, Dir: dir, Branch: branch})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// wantNoBranch wants a fetch to be refused with the branch that is asked for and
// those that there are.
func wantNoBranch(t *testing.T, s *Source, there string) {
	t.Helper()
	_, err := s.Fetch(t.Context())
	if !errors.Is(err, ErrEmpty) || !strings.Contains(err.Error(), "branch "+s.cfg.Branch) || !strings.Contains(err.Error(), "the remote has "+there) {
		t.Errorf("branch %s: %v", s.cfg.Branch, err)
	}
}

func badRef(t *testing.T) {
	p := pull(t)
	for _, dir := range []string{t.TempDir(), p.s.cfg.Dir} {
		s := onBranch(t, dir, p.repo, "does-not-exist")
		wantNoBranch(t, s, "main")
		if r, err := s.Head(); !errors.Is(err, ErrEmpty) {
			t.Errorf("head %v, %v", r, err)
		}
	}
	p.wants(t, p.head, 3) // and nothing was changed
}

// Without a branch in the configuration it is main, whatever the remote's HEAD says:
// which branch sites obey is not for the server to choose.
func defaultRef(t *testing.T) {
	p := pull(t)
	git(t, p.repo, "branch", "weird-name")
	git(t, p.repo, "symbolic-ref", "HEAD", "refs/heads/weird-name")
	first := p.head
	p.wants(t, p.next(t), 4)
	git(t, p.repo, "update-ref", "refs/heads/main", first.ID())
	wantRewound(t, p.s, p.head.ID(), first.ID())
	git(t, p.repo, "update-ref", "-d", "refs/heads/main")
	wantRewound(t, p.s, p.head.ID(), "")
	wantNoBranch(t, opened(t, p.repo), "weird-name")
}

// git-sync follows a head backward, too; a catalog goes forward only.
func headMoves(t *testing.T) {
	p := pull(t)
	first := p.head
	p.wants(t, p.next(t), 4)
	git(t, p.repo, "update-ref", "refs/heads/main", first.ID())
	wantRewound(t, p.s, p.head.ID(), first.ID())
	if head, err := p.s.Head(); err != nil || head.ID() != p.head.ID() {
		t.Errorf("head %v, %v", head, err)
	}
	git(t, p.repo, "update-ref", "refs/heads/main", p.head.ID())
	p.wants(t, p.head, 4)
}

func branchMoves(t *testing.T) {
	p := pull(t)
	git(t, p.repo, "branch", "other-branch")
	dir, first := t.TempDir(), p.head.ID()
	s := onBranch(t, dir, p.repo, "other-branch")
	wantPulled(t, s, first, 3)
	second := p.next(t).ID()
	wantPulled(t, s, first, 3) // main is not its business
	git(t, p.repo, "update-ref", "refs/heads/other-branch", second)
	wantPulled(t, s, second, 4)
	git(t, p.repo, "update-ref", "refs/heads/other-branch", first)
	wantRewound(t, s, second, first)
}

// To another branch, and back over the same mirror.
func branchSwitch(t *testing.T) {
	p := pull(t)
	git(t, p.repo, "branch", "other", p.head.ID())
	first := p.head
	second := p.next(t)
	wantPulled(t, onBranch(t, p.s.cfg.Dir, p.repo, "main"), second.ID(), 4)
	wantPulled(t, onBranch(t, p.s.cfg.Dir, p.repo, "other"), first.ID(), 3)
	wantPulled(t, onBranch(t, p.s.cfg.Dir, p.repo, "main"), second.ID(), 4)
}

// A site follows a branch; a tag that moves moves nothing.
func tagsAreNoBranches(t *testing.T) {
	p := pull(t)
	git(t, p.repo, "tag", "v1", p.head.ID())
	git(t, p.repo, "tag", "-a", "-m", "annotated", "v2", p.head.ID())
	for _, tag := range []string{"v1", "v2", "refs/tags/v1", "tags/v2"} {
		wantNoBranch(t, onBranch(t, t.TempDir(), p.repo, tag), "main")
	}
	first := p.head.ID()
	p.wants(t, p.next(t), 4)
	git(t, p.repo, "tag", "-f", "main", first) // of the branch's own name
	p.wants(t, p.head, 4)
}

func idsAreNoBranches(t *testing.T) {
	p := pull(t)
	wantNoBranch(t, onBranch(t, t.TempDir(), p.repo, p.head.ID()), "main")
}

// What others leave in the mirror while it is in use is cleared away or left alone,
// and never in the way.
func garbageInTheMirror(t *testing.T) {
	p := pull(t)
	work := filepath.Join(t.TempDir(), "work")
	git(t, p.s.path(gitName), "worktree", "add", "-q", work, "-b", "e2e", "--no-checkout")
	must(t, errors.Join(os.RemoveAll(p.s.path(incomingName)), os.WriteFile(p.s.path(incomingName), []byte("a file"), 0o644)))
	for _, name := range []string{besideName, replacedName, batchesName + "/not-a-pack/deep"} {
		must(t, os.MkdirAll(p.s.path(name), 0o755))
		must(t, os.WriteFile(filepath.Join(p.s.path(name), "HEAD"), []byte("x"), 0o644))
	}
	p.wants(t, p.next(t), 4)
	rewrite(t, onlyOrNewest(t, p.s), none) // made anew although another stands beside it already
	p.wants(t, p.next(t), 5)
	must(t, p.s.Close())
	s, _ := openedIn(t, p.s.cfg.Dir, p.repo)
	wantPulled(t, s, p.head.ID(), 5)
	for _, name := range []string{besideName, replacedName, batchesName + "/not-a-pack"} {
		if _, err := os.Lstat(s.path(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there (%v)", name, err)
		}
	}
}

// afterAccident is the scenario of something that happens to the mirror between two
// passes, of one process or of two.
func afterAccident(restart bool, accident func(t *testing.T, s *Source)) func(t *testing.T) {
	return func(t *testing.T) {
		for _, news := range []bool{false, true} {
			p := pull(t)
			if restart {
				must(t, p.s.Close())
			}
			accident(t, p.s)
			want := 3
			if news {
				p.next(t)
				want = 4
			}
			s := p.s
			if restart {
				s, _ = openedIn(t, p.s.cfg.Dir, p.repo)
			}
			wantPulled(t, s, p.head.ID(), want)
			git(t, s.path(gitName), "fsck", "--strict", "--full")
		}
	}
}

// The operator names a revision: it is taken and no other, be it here already or not.
func exactly(t *testing.T, known bool) {
	p := pull(t)
	second := p.next(t)
	third := p.next(t)
	if known {
		p.wants(t, third, 5)
	}
	for _, want := range []struct {
		r       *Revision
		entries int
	}{{second, 4}, {third, 5}, {second, 4}} {
		must(t, p.s.Accept(t.Context(), want.r.ID()))
		head, err := p.s.Head()
		must(t, err)
		if got := paths(t, head); head.ID() != want.r.ID() || len(got) != want.entries {
			t.Errorf("at %s with %q, want %s", head.Short(), got, want.r.Short())
		}
	}
	p.wants(t, third, 5) // from there on forward
}

func filesNamedLikeCommits(t *testing.T) {
	p := pull(t)
	next := p.next(t).ID()
	for _, name := range []string{next, filepath.Join(gitName, next), filepath.Join(gitName, "objects", "pack", next)} {
		must(t, os.WriteFile(p.s.path(name), []byte("a file"), 0o644))
	}
	p.wants(t, p.head, 4)
	if data, err := os.ReadFile(p.s.path(next)); err != nil || string(data) != "a file" {
		t.Errorf("%q, %v", data, err)
	}
}

// Another repository over the same mirror: a copy that went on is the same history,
// wherever it is; one that went elsewhere needs the operator's word.
func repoSwitch(t *testing.T) {
	p := pull(t)
	ahead, aside := filepath.Join(t.TempDir(), "ahead.git"), filepath.Join(t.TempDir(), "aside.git")
	git(t, "", "clone", "-q", "--bare", p.repo, ahead)
	git(t, "", "clone", "-q", "--bare", p.repo, aside)
	w := opened(t, aside)
	other := publish(t, w, fetched(t, w), Commit{Put: []File{torrent(t, "aside", 1)}})
	w = opened(t, ahead)
	onward := publish(t, w, fetched(t, w), Commit{Put: []File{torrent(t, "ahead", 1)}})
	s, _ := openedIn(t, p.s.cfg.Dir, ahead)
	wantPulled(t, s, onward.ID(), 4)
	s, _ = openedIn(t, p.s.cfg.Dir, aside)
	wantRewound(t, s, onward.ID(), other.ID())
	must(t, s.Accept(t.Context(), other.ID()))
	wantPulled(t, s, other.ID(), 4)
	if got := paths(t, fetched(t, s)); !slices.Contains(got, "photos/aside") {
		t.Errorf("lists %q", got)
	}
}

// A submodule where seedtree does not look is nobody's business, and is not fetched.
func submoduleBeside(t *testing.T) {
	p := pull(t)
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, "", "clone", "-q", p.repo, clone)
	must(t, os.WriteFile(filepath.Join(clone, ".gitmodules"), []byte("[submodule \"sub\"]\n\tpath = sub\n\turl = /nowhere\n"), 0o644))
	git(t, clone, "add", ".gitmodules")
	git(t, clone, "update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",sub")
	git(t, clone, "commit", "-q", "-m", "Add a submodule")
	git(t, clone, "push", "-q")
	wantPulled(t, p.s, git(t, clone, "rev-parse", "HEAD"), 3)
}
