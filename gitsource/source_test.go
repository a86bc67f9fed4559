package gitsource

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"seedtree/manifests"
)

func TestLocalRoundTrip(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 300} { // loose objects, and a pack
		repo := bareRepo(t)
		s := opened(t, repo)
		if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrEmpty) {
			t.Fatalf("fetch from an unborn branch: %v", err)
		}
		if _, err := s.Head(); !errors.Is(err, ErrEmpty) {
			t.Fatalf("head of nothing: %v", err)
		}
		first := publish(t, s, nil, Commit{Message: "Begin", Put: some(t, n)})
		if out := git(t, repo, "fsck", "--strict", "--full"); strings.Contains(out, "error") {
			t.Errorf("git fsck: %s", out)
		}
		clone := filepath.Join(t.TempDir(), "clone")
		git(t, "", "clone", "-q", repo, clone)
		data, err := os.ReadFile(filepath.Join(clone, manifestName))
		if err != nil || string(data) != someManifest {
			t.Errorf("git's clone has manifest %q, %v", data, err)
		}
		if got := git(t, clone, "log", "-1", "--format=%H|%an <%ae>|%s"); got != first.ID()+"|Test <test@example.org>|Begin" {
			t.Errorf("git's log: %s", got)
		}

		other := opened(t, "file://"+repo)
		got := fetched(t, other)
		if got.ID() != first.ID() || got.Message != "Begin" || got.Author != "Test <test@example.org>" {
			t.Errorf("fetched %s %q by %q", got.ID(), got.Message, got.Author)
		}
		if p := paths(t, got); len(p) != n {
			t.Errorf("%d entries, want %d", len(p), n)
		}
		git(t, filepath.Join(other.cfg.Dir, gitName), "fsck", "--strict", "--full")
	}
}

func TestCommitsMadeByGit(t *testing.T) {
	t.Parallel()
	repo, work := bareRepo(t), filepath.Join(t.TempDir(), "work")
	s := opened(t, repo)
	first := publish(t, s, nil, Commit{Put: some(t, 12)})
	git(t, "", "clone", "-q", repo, work)
	f := torrent(t, "by/hand.jpg", 77)
	name := filepath.Join(work, filepath.FromSlash(f.Name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, f.Data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../x", filepath.Join(work, "torrents/photos/link.symlink")); err != nil {
		t.Fatal(err)
	}
	git(t, work, "rm", "-rq", "torrents/photos/d0", "torrents/photos/d1")
	git(t, work, "add", "-A")
	git(t, work, "commit", "-qm", "By hand")
	git(t, work, "push", "-q", "origin", "main")
	git(t, repo, "gc", "-q", "--prune=now") // packs with deltas, packed-refs

	r := fetched(t, s)
	if len(r.Parents) != 1 || r.Parents[0] != first.ID() || r.Message != "By hand" {
		t.Errorf("parents %v, message %q", r.Parents, r.Message)
	}
	l, err := r.Listing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e, ok := l.Get(manifests.Key{Tree: "photos", Path: "by/hand.jpg"})
	if !ok || !e.Executable || e.Length != 77 {
		t.Errorf("by/hand.jpg: %+v, %v", e, ok)
	}
	if e, _ := l.Get(manifests.Key{Tree: "photos", Path: "link"}); e.Target != "../x" {
		t.Errorf("link: %+v", e)
	}
	if data, err := r.Metainfo(t.Context(), e); err != nil || string(data) != string(f.Data) {
		t.Errorf("metainfo of %s: %d bytes, %v", e.Key(), len(data), err)
	}
	// The same through a fresh mirror: nothing taken over from an earlier listing.
	if fresh := paths(t, fetched(t, opened(t, repo))); strings.Join(fresh, "\n") != strings.Join(paths(t, r), "\n") {
		t.Errorf("fresh mirror lists %q", fresh)
	}
	// And we go on writing on top of packed refs.
	publish(t, s, r, Commit{Put: []File{torrent(t, "more", 5)}})
	git(t, repo, "fsck", "--strict")
	git(t, work, "pull", "-q", "--ff-only")
}

func TestCommitEditsTrees(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	s := opened(t, repo)
	r := publish(t, s, nil, Commit{Put: []File{
		{Name: manifestName, Data: []byte(someManifest)},
		torrent(t, "a/b/c", 1), torrent(t, "a/d", 2), torrent(t, "a.b", 3), torrent(t, "a0", 4),
		{Name: "torrents/photos/e.empty"},
		{Name: "torrents/photos/x.empty", Mode: Executable},
		{Name: "torrents/photos/l.symlink", Data: []byte("a/b"), Mode: Symlink},
		{Name: "torrents/photos/dir.dir"},
	}})
	git(t, repo, "fsck", "--strict")
	if m, err := r.Manifest(t.Context()); err != nil || m.Main != "oslo" {
		t.Errorf("manifest %+v, %v", m, err)
	}
	wantPaths(t, r, "photos/a.b", "photos/a/b/c", "photos/a/d", "photos/a0", "photos/dir", "photos/e", "photos/l", "photos/x")

	r2 := publish(t, s, r, Commit{
		Delete: []string{"torrents/photos/a/b/c.torrent", "torrents/photos/e.empty"},
		Put:    []File{torrent(t, "a/b2", 9)},
	})
	git(t, repo, "fsck", "--strict")
	wantPaths(t, r2, "photos/a.b", "photos/a/b2", "photos/a/d", "photos/a0", "photos/dir", "photos/l", "photos/x")
	if out := git(t, repo, "ls-tree", "-r", "--name-only", "main", "torrents/photos/a/"); out != "torrents/photos/a/b2.torrent\ntorrents/photos/a/d.torrent" {
		t.Errorf("git lists %q", out)
	}

	if _, err := s.Commit(t.Context(), r2, Commit{Put: []File{torrent(t, "a/b2", 9)}}); !errors.Is(err, ErrUnchanged) {
		t.Errorf("commit without a change: %v", err)
	}
	for _, c := range []Commit{
		{Delete: []string{"torrents/photos/none.torrent"}},
		{Delete: []string{"torrents/photos/a"}},
		{Put: []File{{Name: "torrents/../x"}}},
		{Put: []File{{Name: "/x"}}},
		{Put: []File{{Name: "a/.GIT/x"}}},
		{Put: []File{{Name: "x"}, {Name: "x"}}},
		{Put: []File{{Name: "x"}, {Name: "x/y"}}},
		{Put: []File{{Name: "torrents/photos/a"}}},
		{Put: []File{{Name: "torrents/photos/a0.torrent/x"}}},
	} {
		if _, err := s.Commit(t.Context(), r2, c); err == nil {
			t.Errorf("commit %+v went through", c)
		}
	}
	// A file may give way to a directory when it is deleted in the same commit.
	r3 := publish(t, s, r2, Commit{Delete: []string{"torrents/photos/a0.torrent"}, Put: []File{torrent(t, "a0/x", 3)}})
	git(t, repo, "fsck", "--strict")
	wantPaths(t, r3, "photos/a.b", "photos/a/b2", "photos/a/d", "photos/a0/x", "photos/dir", "photos/l", "photos/x")
}

func TestRevisionNames(t *testing.T) {
	t.Parallel()
	s := opened(t, bareRepo(t))
	var revs []*Revision
	var parent *Revision
	for i := range 4 {
		parent = publish(t, s, parent, Commit{Put: []File{torrent(t, "f", int64(i+1))}})
		revs = append(revs, parent)
	}
	for name, want := range map[string]*Revision{
		"HEAD": revs[3], "HEAD~0": revs[3], "HEAD~1": revs[2], "HEAD~": revs[2], "HEAD^^": revs[1], "HEAD~3": revs[0],
		revs[1].ID(): revs[1], revs[1].Short(): revs[1], revs[2].ID()[:9]: revs[2], strings.ToUpper(revs[0].Short()): revs[0],
	} {
		if r, err := s.Revision(t.Context(), name); err != nil || r.ID() != want.ID() {
			t.Errorf("%s: %v, %v, want %s", name, r, err, want.ID())
		}
	}
	for _, name := range []string{"", "HEAD~4", "HEAD~x", "HEADx", "zzzz", "abc", strings.Repeat("0", 40), "main", "HEAD~-1"} {
		if _, err := s.Revision(t.Context(), name); err == nil {
			t.Errorf("%q was found", name)
		}
	}
	log, err := s.Log(t.Context(), "", 3)
	if err != nil || len(log) != 3 || log[0].ID() != revs[3].ID() || log[2].ID() != revs[1].ID() {
		t.Errorf("log: %v, %v", log, err)
	}
}

func TestStatusBranches(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	s := opened(t, repo)
	publish(t, s, nil, Commit{Put: some(t, 2)})
	for _, text := range []string{"one", "two"} {
		if err := s.PushStatus(t.Context(), "lima", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PushStatus(t.Context(), "oslo", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if n := git(t, repo, "rev-list", "--count", "status/lima"); n != "1" {
		t.Errorf("status/lima has %s commits", n)
	}
	git(t, repo, "fsck", "--strict")
	git(t, repo, "branch", "status/UPPER", "main")
	git(t, repo, "branch", "status/odd", "main") // ours by name, but without a status document
	other := opened(t, repo)
	for range 2 { // the second time from memory
		got, err := other.Statuses(t.Context())
		if err != nil || len(got) != 2 || string(got["lima"]) != "two" || string(got["oslo"]) != "{}" {
			t.Errorf("statuses: %q, %v", got, err)
		}
	}
	if err := s.PushStatus(t.Context(), "../x", nil); err == nil {
		t.Error("a status for ../x was pushed")
	}
}
