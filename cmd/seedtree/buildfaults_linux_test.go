package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"seedtree/internal/testkit"
)

// addFiles puts n small files into the tree, in folders of a hundred.
func (s *loneSite) addFiles(t *testing.T, in string, n int) {
	t.Helper()
	for i := range n {
		name := filepath.Join(s.dir, "photos", in, fmt.Sprintf("%02d", i/100), fmt.Sprintf("%05d.jpg", i))
		if i%100 == 0 {
			must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		}
		must(t, os.WriteFile(name, fmt.Appendf(nil, "%s/%d", in, i), 0o600))
		must(t, os.Chtimes(name, time.Time{}, time.Now().Add(-time.Hour)))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantSync builds until the end and makes sure that nothing was lost and both
// repositories are sound.
func (s *loneSite) wantSync(t *testing.T, catalog string, torrents int) {
	t.Helper()
	s.run(t, "build", "--config", s.config)
	if code, said := s.outcome(t, "build", "--config", s.config); code != 0 || !strings.Contains(said, "nothing changed") {
		t.Fatalf("not in sync: exit code %d: %s", code, said)
	}
	for _, repo := range []string{catalog, filepath.Join(s.state, "catalog", "catalog.git")} {
		if out, err := exec.Command("git", "-C", repo, "fsck", "--strict", "--full").CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", repo, err, out)
		}
	}
	out, err := exec.Command("git", "-C", catalog, "ls-tree", "-r", "--name-only", "HEAD", "torrents/").Output()
	must(t, err)
	if n := strings.Count(string(out), "\n"); n != torrents {
		t.Errorf("the catalog has %d torrents, want %d", n, torrents)
	}
}

// smallDisk mounts a file system that holds next to nothing, or grows one.
func smallDisk(t *testing.T, dir string, kib int, flags uintptr) error {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	err := syscall.Mount("tmpfs", dir, "tmpfs", flags, fmt.Sprintf("size=%dk", kib))
	if flags == 0 {
		must(t, err)
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	}
	return err
}

// The disk with our state, or with the catalog, gets full wherever it may in the
// course of a build: it grows a little each time. Each build says what is full,
// the one that fits says that all is there.
func TestBuildOnAFullDisk(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	testkit.Need(t, "git", "git")
	const count = 1500
	for _, full := range []string{"state", "catalog.git"} {
		t.Run(full, func(t *testing.T) {
			dir := t.TempDir()
			catalog, disk := filepath.Join(dir, "catalog.git"), filepath.Join(dir, full)
			if full == "catalog.git" {
				disk = filepath.Join(dir, "small")
				catalog = filepath.Join(disk, full)
			}
			_ = smallDisk(t, disk, 64<<10, 0)
			s := newLoneSiteIn(t, dir, catalog)
			s.addFiles(t, "more", count)
			failed, kib := 0, 64
			for ; ; kib += 48 {
				if smallDisk(t, disk, kib, syscall.MS_REMOUNT) != nil {
					continue // more than that is in use
				}
				code, said := s.outcome(t, "build", "--config", s.config)
				if code == 0 && !strings.Contains(said, "no space left on device") {
					break // not even a warning
				}
				if failed++; kib > 32<<10 {
					t.Fatalf("it never fits: %s", said)
				}
				if !strings.Contains(strings.ToLower(said), "no space left on device") || !strings.Contains(said, disk) {
					t.Errorf("%d KiB: exit code %d, and nobody knows what is full: %s", kib, code, said)
				}
				if out, err := exec.Command("git", "-C", catalog, "fsck", "--strict", "--full").CombinedOutput(); err != nil {
					t.Fatalf("%d KiB: %v: %s", kib, err, out)
				}
			}
			if failed < 3 {
				t.Errorf("the disk was full in %d builds only", failed)
			}
			t.Logf("it was full %d times, and has %d KiB", failed, kib)
			must(t, smallDisk(t, disk, 64<<10, syscall.MS_REMOUNT))
			s.wantSync(t, catalog, count+1)
		})
	}
}

// The server's disk is full: what it says comes through.
func TestBuildOntoAFullServer(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	ip := testkit.Need(t, "ip", "iproute2")
	if out, err := exec.Command(ip, "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s, catalog := newServedSite(t, 64<<10)
	disk := filepath.Dir(catalog)
	s.addFiles(t, "more", 3000)
	must(t, smallDisk(t, disk, 512, syscall.MS_REMOUNT))
	for range 2 {
		code, said := s.outcome(t, "build", "--config", s.config)
		if code != 1 || !strings.Contains(strings.ToLower(said), "no space left on device") {
			t.Errorf("exit code %d: %s", code, said)
		}
	}
	must(t, smallDisk(t, disk, 64<<10, syscall.MS_REMOUNT))
	s.wantSync(t, catalog, 3001)
}

// newServedSite is a lone site whose catalog is behind sshd, on a disk of its own
// if kib says so.
func newServedSite(t *testing.T, kib int) (s *loneSite, catalog string) {
	t.Helper()
	g := testkit.ServeGitSSH(t)
	disk := t.TempDir()
	if kib > 0 {
		_ = smallDisk(t, disk, kib, 0)
	}
	catalog = filepath.Join(disk, "catalog.git")
	if out, err := exec.Command("git", "init", "-q", "--bare", "-b", "main", catalog).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return newLoneSiteIn(t, t.TempDir(), g.URL(catalog),
		"--catalog-ssh-key-file", g.KeyFile, "--catalog-ssh-known-hosts-file", g.KnownHostsFile), catalog
}
