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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dustin/go-humanize"

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
	journalSize := func() int64 { return sizeOf(t, journal) }

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

// sizeOf is 0 of a file that is not there.
func sizeOf(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// What a killed build has hashed is taken over by the agent, and by the next agent
// when that one is stopped while it builds.
func TestAgentGoesOnWithABuild(t *testing.T) {
	t.Setenv("GOMAXPROCS", "1")
	t.Setenv("SEEDTREE_SHA1", "plain")
	s := newLoneSite(t)
	const size = 6 << 30
	testkit.Speckled(t, filepath.Join(s.dir, "photos", "large"), size, manifests.PieceLength(size))
	journal := filepath.Join(s.state, "build.journal")
	agent := []string{"agent", "--config", s.config, "--schedule-build", "@every 1s", "--schedule-jitter", "0%"}
	for i, args := range [][]string{{"build", "--config", s.config}, agent} {
		kept := sizeOf(t, journal)
		cmd, said := s.start(t, args...)
		s.waitFor(t, "more in the journal", said, func() bool { return sizeOf(t, journal) > kept })
		if i == 0 {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			continue
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || !strings.Contains(said(), "the next build takes it over") {
			t.Errorf("%v: %s", err, said())
		}
	}
	_, said := s.start(t, agent...)
	built := regexp.MustCompile(`msg=built revision=[0-9a-f]{40} changes="1 added, .*?" hashed="(.*?)" resumed="(.*?)" `)
	s.waitFor(t, "the build", said, func() bool { return built.MatchString(said()) })
	var sum uint64
	for i, text := range built.FindStringSubmatch(said())[1:] {
		n, err := humanize.ParseBytes(text)
		if err != nil || n < 64<<20 {
			t.Errorf("hashed, resumed: number %d is %s, %v", i, text, err)
		}
		sum += n
	}
	if sum < size*95/100 || sum > size*105/100 {
		t.Errorf("read and taken over: %d bytes of %d: %s", sum, int64(size), said())
	}
}
