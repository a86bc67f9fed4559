package gitsource

import (
	"errors"
	"os"
	"os/exec"
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

// The disk fills up while a pack comes: an error that says so, what was here before
// stays readable, and with room the next pass is whole. A real small file system.
func TestDiskFullWhileFetching(t *testing.T) {
	t.Parallel()
	unshare := testkit.Need(t, "unshare", "util-linux")
	repo := bareRepo(t)
	w := opened(t, repo)
	first := publish(t, w, nil, Commit{Put: some(t, 3)})
	publish(t, w, first, Commit{Put: []File{noise("noise", 3<<20)}})
	self, err := os.Executable()
	must(t, err)
	mnt := t.TempDir()
	script := `set -e
mount -t tmpfs -o size=2m tmpfs ` + mnt + `
! "$0" 2>` + mnt + `.err
grep -q 'no space left' ` + mnt + `.err
mount -o remount,size=64m ` + mnt + `
"$0"`
	args := []string{"--mount", "--propagation", "private"}
	if os.Geteuid() != 0 {
		args = append(args, "--map-root-user")
	}
	cmd := exec.CommandContext(t.Context(), unshare, append(args, "sh", "-c", script, self)...)
	cmd.Env = append(os.Environ(), fetchForChild+"="+filepath.Join(mnt, "mirror"), "GITSOURCE_TEST_URL="+repo)
	if out, err := cmd.CombinedOutput(); err != nil {
		said, _ := os.ReadFile(mnt + ".err")
		t.Errorf("%v\n%s\n%s", err, out, said)
	}
}
