package gitsource

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"seedtree/internal/testkit"
)

// The end-to-end scenarios of git-sync, the puller that has met the most servers,
// under its names, as far as they mean something here. What is not here stands with
// its own fault: broken mirrors in faults_test.go, servers that go wrong in
// deadline_test.go, credentials in sshauth_test.go and httpsauth_test.go.
func TestGitSync(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 3)})
	try := func(dir string) error {
		s, err := Open(Config{URLs: []string{repo}, Dir: dir})
		if err != nil {
			return err
		}
		defer s.Close()
		r, err := s.Fetch(t.Context())
		if err == nil && len(paths(t, r)) != 3 {
			t.Error("not everything came")
		}
		return err
	}
	for name, dir := range map[string]func(t *testing.T, base string) string{
		"init_root_doesnt_exist":     func(_ *testing.T, base string) string { return filepath.Join(base, "a", "b", "c") },
		"init_root_exists_empty":     func(_ *testing.T, base string) string { return base },
		"init_root_flag_is_weird":    func(_ *testing.T, base string) string { return base + "/../" + filepath.Base(base) + "/./x/../y" },
		"init_root_flag_has_symlink": linkedDir,
		"init_root_is_under_another_repo": func(t *testing.T, base string) string {
			git(t, base, "init", "-q")
			return filepath.Join(base, "mirror")
		},
	} {
		t.Run(name, func(t *testing.T) {
			at := dir(t, t.TempDir())
			for range 2 { // absent, and there
				must(t, try(at))
			}
		})
	}
	t.Run("init_root_fails_sanity", func(t *testing.T) {
		base := t.TempDir()
		precious := filepath.Join(base, "precious")
		must(t, os.WriteFile(precious, []byte("mine"), 0o600))
		if err := try(base); err == nil || !strings.Contains(err.Error(), "precious") {
			t.Errorf("somebody's folder: %v", err)
		}
		if data, err := os.ReadFile(precious); err != nil || string(data) != "mine" {
			t.Errorf("%q, %v", data, err)
		}
	})
	t.Run("change_repos_after_sync", func(t *testing.T) {
		other, dir := bareRepo(t), t.TempDir()
		publish(t, opened(t, other), nil, Commit{Put: some(t, 2)})
		must(t, try(dir))
		s, _ := openedIn(t, dir, other)
		if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrRewound) {
			t.Errorf("another history: %v", err)
		}
	})
}

func linkedDir(t *testing.T, base string) string {
	real, link := filepath.Join(base, "real"), filepath.Join(base, "link")
	must(t, errors.Join(os.Mkdir(real, 0o755), os.Symlink(real, link)))
	return filepath.Join(link, "mirror")
}

// branch_sync and branch_switch: forward, to another branch, and back over the same mirror.
func TestGitSyncBranches(t *testing.T) {
	t.Parallel()
	repo, dir := bareRepo(t), t.TempDir()
	w := opened(t, repo)
	first := publish(t, w, nil, Commit{Put: some(t, 3)})
	git(t, repo, "branch", "other", first.ID())
	second := publish(t, w, first, Commit{Put: []File{torrent(t, "x", 1)}})
	for _, step := range []struct {
		branch string
		want   *Revision
	}{{"main", second}, {"other", first}, {"main", second}} {
		s, err := Open(Config{URLs: []string{repo}, Dir: dir, Branch: step.branch})
		must(t, err)
		if r, err := s.Fetch(t.Context()); err != nil || r.ID() != step.want.ID() {
			t.Errorf("branch %s: %v, %v", step.branch, r, err)
		}
		must(t, s.Close())
	}
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

// Hundreds of reports cost the server no more than the last one, after its own
// cleaning, and cost our mirror nothing.
func TestStatusBranchDoesNotGrow(t *testing.T) {
	t.Parallel()
	_, cfg, repo := overHTTPS(t)
	s := with(t, cfg)
	local := opened(t, repo)
	publish(t, local, nil, Commit{Put: some(t, 3)})
	fetched(t, s)
	git(t, repo, "gc", "-q", "--prune=now")
	objects, size := inPacks(t, repo), treeSize(t, s.cfg.Dir)
	for i := range 200 {
		to := local
		if i%10 == 0 {
			to = s // the dear way
		}
		must(t, to.PushStatus(t.Context(), "lima", fmt.Appendf(nil, `{"n": %d}`, i)))
	}
	if n := git(t, repo, "rev-list", "--count", "status/lima"); n != "1" {
		t.Errorf("the branch has %s commits", n)
	}
	git(t, repo, "gc", "-q", "--prune=now")
	if grown := inPacks(t, repo) - objects; grown != 3 {
		t.Errorf("the server keeps %d objects of 200 reports, want a commit, a tree and a file", grown)
	}
	if grown := treeSize(t, s.cfg.Dir) - size; grown > 0 {
		t.Errorf("the mirror grew by %d bytes", grown)
	}
}

// inPacks counts a repository's objects.
func inPacks(t *testing.T, repo string) int {
	t.Helper()
	for line := range strings.Lines(git(t, repo, "count-objects", "-v")) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "in-pack: "); ok {
			count, err := strconv.Atoi(n)
			must(t, err)
			return count
		}
	}
	t.Fatal("git does not count")
	return 0
}

// treeSize sums up the files below a folder.
func treeSize(t *testing.T, dir string) (sum int64) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	}))
	return sum
}
