//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// A build of one large file is killed in its middle, begun again and stopped by
// Ctrl-C, begun again and stopped as systemd does, and begun again: in the end it was read once. One slow core makes it
// last long enough to be met at work.
func TestInterruptedBuild(t *testing.T) {
	t.Setenv("GOMAXPROCS", "1")
	t.Setenv("SEEDTREE_SHA1", "plain")
	s := newLoneSite(t)
	const size = 6 << 30
	large, journal := filepath.Join(s.dir, "photos", "large"), filepath.Join(s.state, "build.journal")
	testkit.Speckled(t, large, size, manifests.PieceLength(size))
	journalSize := func() int64 {
		info, err := os.Stat(journal)
		if errors.Is(err, fs.ErrNotExist) {
			return 0
		}
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}

	build, said := s.start(t, "build", "--config", s.config)
	s.waitFor(t, "the journal", said, func() bool { return journalSize() > 1000 })
	if err := build.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = build.Wait()

	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		kept := journalSize()
		build, said = s.start(t, "build", "--config", s.config)
		s.waitFor(t, "more in the journal", said, func() bool { return journalSize() > kept })
		begun := time.Now()
		if err := build.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = build.Wait()
		// A second is promised; another is for a machine that is busy with other tests.
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("%v: it took %v to stop", sig, took)
		}
		if code := build.ProcessState.ExitCode(); code != exitInterrupted {
			t.Errorf("%v: exit code %d, want %d: %s", sig, code, exitInterrupted, said())
		}
		if !regexp.MustCompile(`(?m)^error: interrupted after hashing .*B; the next build takes it over$`).MatchString(said()) {
			t.Errorf("%v: it does not say what becomes of its work: %s", sig, said())
		}
	}

	out, err := exec.CommandContext(t.Context(), "seedtree", "build", "--config", s.config, "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var r buildReport
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	if r.ResumedBytes < 64<<20 || r.HashedBytes+r.ResumedBytes != size || r.Revision == "" {
		t.Errorf("read %d bytes and took over %d of %d: %s", r.HashedBytes, r.ResumedBytes, int64(size), out)
	}
	if n := journalSize(); n != 0 {
		t.Errorf("after the push the journal is still there, with %d bytes", n)
	}
}
