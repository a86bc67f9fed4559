package gitsource

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"seedtree/internal/testkit"
)

// A full disk fails the fetch, the commit and the cache, and takes nothing away.
func TestDiskFull(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	repo, disk := bareRepo(t), t.TempDir()
	must(t, syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"))
	defer func() { must(t, syscall.Unmount(disk, syscall.MNT_DETACH)) }()
	dir := filepath.Join(disk, "state")
	w := opened(t, repo)
	small := publish(t, w, nil, Commit{Put: some(t, 20)})
	s, _ := openedIn(t, dir, repo)
	if got := paths(t, fetched(t, s)); len(got) != 20 {
		t.Fatalf("%d entries", len(got))
	}
	large := publish(t, w, small, Commit{Put: []File{torrent(t, "large", 1<<40)}})
	for range 2 {
		if _, err := s.Fetch(t.Context()); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrDamaged) {
			t.Fatalf("fetch: %v", err)
		}
		if r, err := s.Head(); err != nil || r.ID() != small.ID() || len(paths(t, r)) != 20 {
			t.Errorf("head: %v", err)
		}
	}
	b, err := s.Batch(t.Context())
	must(t, err)
	for err == nil {
		_, err = b.Blob([]byte(t.Name() + string(make([]byte, b.pack.index.n<<10))))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("blob: %v", err)
	}
	must(t, b.Close())
	if left := scratch(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if left, err := os.ReadDir(filepath.Join(dir, incomingName)); err == nil && len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	must(t, syscall.Mount("", disk, "", syscall.MS_REMOUNT, "size=64m"))
	if r := fetched(t, s); r.ID() != large.ID() || len(paths(t, r)) != 21 {
		t.Errorf("head %s", r.ID())
	}
	git(t, filepath.Join(dir, gitName), "fsck", "--strict", "--full")
}
