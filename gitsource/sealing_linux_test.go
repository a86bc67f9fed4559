package gitsource

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"seedtree/internal/testkit"
)

// A disk that is full just when the pack of a commit is closed: the error is the same
// each time, and once there is room the batch goes on with all it was given.
func TestDiskFullAtSealing(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	repo, disk := bareRepo(t), t.TempDir()
	must(t, syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=4m"))
	defer func() { must(t, syscall.Unmount(disk, syscall.MNT_DETACH)) }()
	s, _ := openedIn(t, filepath.Join(disk, "state"), repo)
	first := publish(t, s, nil, Commit{Put: some(t, 3)})
	b := batch(t, s)
	var put []File
	for i := range 20_000 {
		put = append(put, File{Name: fmt.Sprintf("notes/%05d", i), Data: fmt.Append(nil, "note ", i)})
	}
	put = batched(t, b, put)[:100] // the index lists all, the trees only these
	ballast := filepath.Join(disk, "ballast")
	left := func(room int64) {
		t.Helper()
		var st syscall.Statfs_t
		must(t, syscall.Statfs(disk, &st))
		must(t, os.WriteFile(ballast, make([]byte, int64(st.Bavail)*st.Bsize-room), 0o600))
	}
	left(256 << 10) // what is buffered and the trees need less, the index needs more
	for range 3 {
		_, err := b.Commit(t.Context(), first, Commit{Message: "Notes", Put: put})
		if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "complete pack-") {
			t.Fatalf("commit on a full disk: %v", err)
		}
		if files, err := os.ReadDir(filepath.Join(b.in.dir, "objects", "pack")); err != nil || len(files) != 1 {
			t.Errorf("left in the batch: %v, %v", files, err)
		}
	}
	must(t, os.Remove(ballast))
	// Another batch is none the worse, and neither is this one.
	other := batch(t, s)
	second, err := other.Commit(t.Context(), first, Commit{Put: batched(t, other, []File{torrent(t, "x", 1)})})
	must(t, err)
	must(t, s.Push(t.Context(), second))
	r, err := b.Commit(t.Context(), second, Commit{Message: "Notes", Put: put})
	must(t, err)
	must(t, s.Push(t.Context(), r))
	must(t, other.Close())
	must(t, b.Close())
	if files := scratch(t, s.cfg.Dir); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
	git(t, repo, "fsck", "--strict", "--full")
	git(t, filepath.Join(s.cfg.Dir, gitName), "fsck", "--strict", "--full")
	if got := git(t, repo, "cat-file", "-p", "main:notes/00099"); got != "note 99" {
		t.Errorf("%q", got)
	}
}
