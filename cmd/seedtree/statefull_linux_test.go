package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// fill leaves so many bytes of a file system free.
func fill(t *testing.T, dir string, free int64) (filler string) {
	t.Helper()
	var fs syscall.Statfs_t
	must(t, syscall.Statfs(dir, &fs))
	filler = filepath.Join(dir, "filler")
	must(t, os.WriteFile(filler, make([]byte, int64(fs.Bavail)*fs.Bsize-free), 0o600))
	return filler
}

// The disk has room for all but the journal: the build goes on and says that it is
// not kept, whether it gets to its end or is interrupted.
func TestBuildWithoutRoomForItsJournal(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	t.Setenv("GOMAXPROCS", "1")
	t.Setenv("SEEDTREE_SHA1", "plain")
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	_ = smallDisk(t, state, 256, 0)
	_ = smallDisk(t, filepath.Join(state, "catalog"), 64<<10, 0)
	s := newLoneSiteIn(t, dir, filepath.Join(dir, "catalog.git"))
	const size = 4 << 30
	large := filepath.Join(s.dir, "photos", "large")
	testkit.Speckled(t, large, size, manifests.PieceLength(size))
	filler := fill(t, state, 8<<10) // one record of that file has more
	journal := filepath.Join(state, "build.journal")

	build, said := s.start(t, "build", "--config", s.config)
	s.waitFor(t, "the journal", said, func() bool { return sizeOf(t, journal) > 0 })
	must(t, build.Process.Signal(os.Interrupt))
	_ = build.Wait()
	if code := build.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(said(), "could not be kept for the next build: journal "+journal) || !strings.Contains(said(), "no space left on device") {
		t.Errorf("exit code %d: %s", code, said())
	}
	code, text := s.outcome(t, "build", "--config", s.config)
	if code != 0 || !strings.Contains(text, "committed ") || strings.Contains(text, "taken over") {
		t.Errorf("exit code %d: %s", code, text)
	}
	if !strings.Contains(text, "has to hash again") || !strings.Contains(text, "no space left on device") || !strings.Contains(text, journal) {
		t.Errorf("nobody is told that nothing was kept: %s", text)
	}
	if n := sizeOf(t, journal); n != 0 {
		t.Errorf("%d bytes of a journal are left", n)
	}
	must(t, os.Remove(filler))
	s.wantSync(t, filepath.Join(dir, "catalog.git"), 2)
}

// The disk has room for all but the listing that is kept for the next start: what
// is there stays, and the next start works from that.
func TestBuildWithoutRoomForTheListing(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	_ = smallDisk(t, state, 64<<10, 0)
	s := newLoneSiteIn(t, dir, filepath.Join(dir, "catalog.git"))
	s.addFiles(t, "more", 4000)
	for range 2 { // the second sees what the first has made
		s.run(t, "build", "--config", s.config)
	}
	kept := filepath.Join(state, "catalog", "listing.cache")
	before, err := os.ReadFile(kept)
	must(t, err)
	filler := fill(t, state, int64(len(before))-64<<10)
	for _, in := range []string{"one", "two"} {
		s.addFiles(t, in, 30)
		code, said := s.outcome(t, "build", "--config", s.config)
		if code != 0 || !strings.Contains(said, "30 added") {
			t.Fatalf("exit code %d: %s", code, said)
		}
		code, said = s.outcome(t, "build", "--config", s.config)
		if code != 0 || !strings.Contains(said, "nothing changed") {
			t.Fatalf("exit code %d: %s", code, said)
		}
		if !strings.Contains(said, "the listing cannot be kept") || !strings.Contains(said, filepath.Dir(kept)) || !strings.Contains(said, "no space left on device") {
			t.Errorf("nobody is told that the listing was not kept: %s", said)
		}
	}
	if after, err := os.ReadFile(kept); err != nil || string(after) != string(before) {
		t.Errorf("the listing that was kept is another: %d bytes, %v", len(after), err)
	}
	if left, err := filepath.Glob(filepath.Join(state, "catalog", "*listing*")); err != nil || len(left) != 1 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	must(t, os.Remove(filler))
	s.wantSync(t, filepath.Join(dir, "catalog.git"), 4061)
}
