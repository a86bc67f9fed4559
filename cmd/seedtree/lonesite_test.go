package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// loneSite is a site with a catalog, a tree of one file and no company.
type loneSite struct{ dir, config, state string }

func newLoneSite(t *testing.T) *loneSite {
	t.Helper()
	dir := t.TempDir()
	return newLoneSiteIn(t, dir, filepath.Join(dir, "catalog.git"))
}

// newLoneSiteIn is newLoneSite in a given folder and with a catalog anywhere.
func newLoneSiteIn(t *testing.T, dir, catalog string, flags ...string) *loneSite {
	t.Helper()
	s := &loneSite{dir: dir}
	s.config, s.state = filepath.Join(s.dir, "config.yaml"), filepath.Join(s.dir, "state")
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(s.dir, "photos")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "a.jpg"), []byte("this is a photo"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, append([]string{
		"init", "--config", s.config, "--site", "oslo", "--catalog", catalog,
		"--tree", "photos=" + tree, "--state", s.state, "--engine-embedded-listen", ports[0],
		"--schedule-sync", "@every 24h", "--schedule-build", "never",
	}, flags...)...)
	s.run(t, "build", "--config", s.config)
	return s
}

func (s *loneSite) run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "seedtree", args...).CombinedOutput(); err != nil {
		t.Fatalf("seedtree %q: %v: %s", args, err, out)
	}
}

// start runs the program beside the test; it is dead when the test ends.
func (s *loneSite) start(t *testing.T, args ...string) (cmd *exec.Cmd, said func() string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	said = func() string { data, _ := os.ReadFile(log.Name()); return string(data) }
	cmd = exec.CommandContext(t.Context(), "seedtree", args...)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, said
}

// waitFor polls a condition for up to a minute.
func (s *loneSite) waitFor(t *testing.T, what string, said func() string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s: %s", what, said())
		}
	}
}
