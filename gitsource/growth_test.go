package gitsource

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// history gives a repository n commits, each with one new entry, and returns their
// ids, oldest first. The branch is left where it was.
func history(t *testing.T, repo string, n int) []string {
	t.Helper()
	base := git(t, repo, "rev-parse", "main")
	var in bytes.Buffer
	for i := range n {
		f := torrent(t, fmt.Sprintf("d%d/e%d/new%d.jpg", i%3, i%5, i), int64(2<<20+i))
		fmt.Fprintf(&in, "commit refs/heads/work\ncommitter A <a@b> %d +0000\ndata 1\nx\n", 1_800_000_000+i)
		if i == 0 {
			fmt.Fprintf(&in, "from %s\n", base)
		}
		fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", f.Name, len(f.Data), f.Data)
	}
	cmd := exec.CommandContext(t.Context(), "git", "fast-import", "--quiet")
	cmd.Dir, cmd.Stdin = repo, &in
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.Fields(git(t, repo, "rev-list", "--reverse", base+"..work"))
}

// inMemory is a folder on which a thousand fsyncs cost nothing, where there is one.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "mirror")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

// usage counts the files below a folder and their bytes.
func usage(t *testing.T, dir string) (files int, size int64) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		files, size = files+1, size+info.Size()
		return err
	}))
	return files, size
}

// idle is what a pass without news costs a new process: objects read.
func idle(t *testing.T, dir, repo string) int {
	t.Helper()
	s, _ := openedIn(t, dir, repo)
	r := fetched(t, s)
	st, err := s.open()
	must(t, err)
	if _, err := r.Listing(t.Context()); err != nil {
		t.Fatal(err)
	}
	reads := st.reads
	must(t, s.Close())
	return reads
}

func TestMirrorDoesNotGrowOld(t *testing.T) {
	t.Parallel()
	const fetches = 1000
	repo, dir := bareRepo(t), inMemory(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 300)})
	s, _ := openedIn(t, dir, repo)
	fetched(t, s)
	must(t, s.Close())
	idle(t, dir, repo)
	dayOne := idle(t, dir, repo)
	ids := history(t, repo, fetches)
	s, _ = openedIn(t, dir, repo)
	for i, id := range ids {
		must(t, os.WriteFile(filepath.Join(repo, "refs/heads/main"), []byte(id+"\n"), 0o644))
		r := fetched(t, s)
		if r.ID() != id {
			t.Fatalf("fetched %s, want %s", r.ID(), id)
		}
		if i%10 == 0 {
			if _, err := r.Listing(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if i%100 == 0 {
			if files, _ := usage(t, dir); files > 2*s.lim.packs+20 {
				t.Fatalf("%d files after %d fetches", files, i)
			}
		}
	}
	must(t, s.Close())
	idle(t, dir, repo)
	if now := idle(t, dir, repo); now > dayOne+8 { // the cache may be a few entries old
		t.Errorf("a pass without news reads %d objects, on day one it was %d", now, dayOne)
	}
	clone := filepath.Join(t.TempDir(), "clone.git")
	git(t, "", "clone", "-q", "--bare", "--no-local", "--single-branch", "-b", "main", repo, clone)
	_, fresh := usage(t, filepath.Join(clone, "objects"))
	_, ours := usage(t, filepath.Join(dir, gitName, "objects"))
	t.Logf("mirror %d bytes, git's fresh clone %d", ours, fresh)
	if ours > 2*fresh {
		t.Errorf("the mirror has %d bytes, git's fresh clone %d", ours, fresh)
	}
	git(t, filepath.Join(dir, gitName), "fsck", "--strict", "--full")
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
