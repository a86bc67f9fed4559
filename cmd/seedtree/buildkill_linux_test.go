package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"seedtree/internal/testkit"
)

// A build is killed while it hashes, with most of its pack written.
func TestBuildKilledWhileWritingThePack(t *testing.T) {
	testkit.Need(t, "git", "git")
	t.Setenv("GOMAXPROCS", "1")
	t.Setenv("SEEDTREE_SHA1", "plain")
	s := newLoneSite(t)
	s.addFiles(t, "more", 2000)
	large := filepath.Join(s.dir, "photos", "zz-large")
	testkit.Speckled(t, large, 8<<30, 8<<20)
	build, said := s.start(t, "build", "--config", s.config)
	batches := filepath.Join(s.state, "catalog", "batches")
	s.waitFor(t, "the pack", said, func() bool {
		packs, _ := filepath.Glob(filepath.Join(batches, "*", "objects", "pack", "incoming"))
		for _, name := range packs {
			if info, err := os.Stat(name); err == nil && info.Size() > 100<<10 {
				return true
			}
		}
		return false
	})
	must(t, build.Process.Kill())
	if err := build.Wait(); err == nil {
		t.Fatal("the build was done before it was killed")
	}
	must(t, os.Truncate(large, 1<<20))
	s.wantSync(t, filepath.Join(s.dir, "catalog.git"), 2002)
	if left, err := os.ReadDir(batches); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A build is killed in the middle of its push: before the server takes it, and
// with it taken or thrown away afterwards; and when it is taken, with nobody
// left to hear that.
func TestBuildKilledAtThePush(t *testing.T) {
	for name, c := range map[string]struct {
		hook  string
		stage string // of those the hook is called for; "": the only one
		code  int
		head  bool // the push counts
	}{
		"before and thrown away": {"pre-receive", "", 1, false},
		"before and taken":       {"pre-receive", "", 0, true},
		"after":                  {"reference-transaction", "committed", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, catalog := newServedSite(t, 0)
			head := func() string {
				out, err := exec.Command("git", "-C", catalog, "rev-parse", "main").Output()
				must(t, err)
				return string(out)
			}
			exists := func(name string) func() bool {
				return func() bool { _, err := os.Stat(name); return err == nil }
			}
			before := head()
			s.addFiles(t, "more", 200)
			here, begun, goOn, ended := filepath.Join(catalog, "hooks", c.hook), filepath.Join(s.dir, "begun"), filepath.Join(s.dir, "go-on"), filepath.Join(s.dir, "ended")
			must(t, os.MkdirAll(filepath.Dir(here), 0o755))
			must(t, os.WriteFile(here, fmt.Appendf(nil,
				"#!/bin/sh\n[ \"$1\" = %q ] || exit 0\ntouch %s\nuntil [ -e %s ]; do sleep 0.02; done\ntouch %s\nexit %d\n",
				c.stage, begun, goOn, ended, c.code), 0o755))
			t.Cleanup(func() { _ = os.WriteFile(goOn, nil, 0o600) })
			build, said := s.start(t, "build", "--config", s.config)
			s.waitFor(t, "the hook", said, exists(begun))
			must(t, build.Process.Kill())
			if err := build.Wait(); err == nil {
				t.Fatal("the build was done before it was killed")
			}
			must(t, os.WriteFile(goOn, nil, 0o600))
			s.waitFor(t, "the end of the hook", said, exists(ended))
			if c.head {
				s.waitFor(t, "the push", said, func() bool { return head() != before })
			}
			must(t, os.Remove(here))
			s.wantSync(t, catalog, 201)
			out, err := exec.Command("git", "-C", catalog, "log", "--format=%s", "main").Output()
			must(t, err)
			if n := strings.Count(string(out), ": 200 added"); n != 1 {
				t.Errorf("%d commits add the files: %s", n, out)
			}
		})
	}
}

// One file that cannot be read: the others are committed, and it is named.
func TestBuildWithAnUnreadableFile(t *testing.T) {
	s := newLoneSite(t)
	s.addFiles(t, "more", 3)
	secret := filepath.Join(s.dir, "photos", "more", "00", "00001.jpg")
	must(t, os.Chmod(secret, 0))
	cmd := []string{"seedtree", "build", "--config", s.config}
	if os.Geteuid() == 0 { // who may read everything, unless that is taken away
		cmd = append([]string{testkit.Need(t, "setpriv", "util-linux"), "--bounding-set=-dac_override,-dac_read_search"}, cmd...)
	}
	for _, want := range []string{"committed", "nothing changed"} {
		build := exec.Command(cmd[0], cmd[1:]...)
		out, _ := build.CombinedOutput()
		said := string(out)
		if build.ProcessState.ExitCode() != 7 || !strings.Contains(said, want) || !strings.Contains(said, "photos/more/00/00001.jpg: open: permission denied") {
			t.Fatalf("exit code %d: %s", build.ProcessState.ExitCode(), said)
		}
	}
	must(t, os.Chmod(secret, 0o600))
	s.wantSync(t, filepath.Join(s.dir, "catalog.git"), 4)
}
