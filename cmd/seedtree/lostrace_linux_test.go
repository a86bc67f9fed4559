package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"seedtree/internal/testkit"
)

// Somebody's commit comes in while a builder's push is under way over ssh. The
// builder makes its commit anew on top of theirs, and what the system saw of it is
// that each file was read once.
func TestLostRaceReadsNothingTwice(t *testing.T) {
	strace := testkit.Need(t, "strace", "strace")
	s, catalog := newServedSite(t, 0)
	const count = 120
	s.addFiles(t, "more", count)
	begun, goOn := filepath.Join(s.dir, "begun"), filepath.Join(s.dir, "go-on")
	hook := filepath.Join(catalog, "hooks", "pre-receive")
	must(t, os.MkdirAll(filepath.Dir(hook), 0o755))
	must(t, os.WriteFile(hook, fmt.Appendf(nil, // the first push waits, the other goes by
		"#!/bin/sh\nmkdir %s 2>/dev/null || exit 0\nuntil [ -e %s ]; do sleep 0.02; done\n", begun, goOn), 0o755))
	t.Cleanup(func() { _ = os.WriteFile(goOn, nil, 0o600) })

	trace := filepath.Join(t.TempDir(), "trace")
	build := exec.CommandContext(t.Context(), strace, "-f", "-y", "-qq", "-e", "trace=read,pread64", "-o", trace,
		"seedtree", "build", "--config", s.config, "-o", "json")
	var out, errs strings.Builder
	build.Stdout, build.Stderr = &out, &errs
	must(t, build.Start())
	t.Cleanup(func() { _ = build.Process.Kill() })
	s.waitFor(t, "the push", errs.String, func() bool { _, err := os.Stat(begun); return err == nil })

	edit := filepath.Join(t.TempDir(), "edit")
	for _, args := range [][]string{
		{"clone", "-q", "--no-hardlinks", catalog, edit},
		{"-C", edit, "-c", "user.name=ada", "-c", "user.email=ada@example", "commit", "-q", "--allow-empty", "-m", "Be faster"},
		{"-C", edit, "push", "-q", "origin", "HEAD:main"},
	} {
		if out, err := exec.CommandContext(t.Context(), "git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v: %s", args, err, out)
		}
	}
	must(t, os.WriteFile(goOn, nil, 0o600))
	if err := build.Wait(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	var r buildReport
	must(t, json.Unmarshal([]byte(out.String()), &r))
	if r.HashedFiles != count || r.ResumedFiles != 0 || r.Counts.Added != count {
		t.Errorf("hashed %d, resumed %d, added %d of %d files", r.HashedFiles, r.ResumedFiles, r.Counts.Added, count)
	}
	log, err := exec.CommandContext(t.Context(), "git", "-C", catalog, "log", "-2", "--format=%s", "main").Output()
	must(t, err)
	if !regexp.MustCompile(`^Build at oslo: .*\nBe faster\n$`).Match(log) {
		t.Errorf("the catalog has %s", log)
	}

	data, err := os.ReadFile(trace)
	must(t, err)
	reads := map[string]int{} // a small file is read by one call
	for _, m := range regexp.MustCompile(`read(?:64)?\(\d+<([^>]*/photos/more/[^>]*)>`).FindAllStringSubmatch(string(data), -1) {
		reads[m[1]]++
	}
	if len(reads) != count {
		t.Errorf("%d of %d files were read", len(reads), count)
	}
	for name, n := range reads {
		if n != 1 {
			t.Errorf("%s was read %d times", name, n)
		}
	}
}
