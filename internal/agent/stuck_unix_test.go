//go:build unix

package agent

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/apply/transmission"
	"seedtree/gitsource"
	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// A file whose reading never ends, as on a network mount whose server is gone: here it
// is a pipe into which nobody writes.
func TestFileThatNeverAnswers(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	cfg, _ := c.config(&stepSite{})
	cfg.Watchdog = patience
	name := filepath.Join(c.dir, "config")
	settings, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	for _, err := range []error{os.Rename(name, name+".good"), syscall.Mkfifo(pipe, 0o600), os.Symlink(pipe, name)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	a, began := newAgent(t, cfg), time.Now()
	comeBack := func() {
		if os.Rename(name+".good", name) != nil {
			return // it is back
		}
		// Whoever reads it by now reads the end of it.
		w, err := os.OpenFile(pipe, os.O_RDWR, 0)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = w.Write(settings)
		_ = w.Close()
	}
	start(t, a)
	t.Cleanup(comeBack) // before the agent is stopped
	sick(t, a, began, "fetching the catalog")
	comeBack()
	well(t, a)
}

// A client that stops in the middle of everything, as one does whose disk hangs, answers
// no call; each has half a minute.
func TestClientThatNeverAnswers(t *testing.T) {
	d := testkit.StartTransmission(t, testkit.TransmissionOptions{Settings: map[string]any{"rename-partial-files": false}})
	engine, err := transmission.Open(t.Context(), transmission.Config{URL: d.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	c := newCatalog(t)
	files := photos(t, 0, 3)
	c.commit(append(listed(files...), put(manifests.ManifestName, manifest("lima"))))
	lima := newPlace(t, c, "lima", manifests.RoleCopy, func(cfg *Config) { cfg.Watchdog = patience })
	site, err := apply.Open(apply.Config{Name: "lima", Engine: engine, Trees: map[string]string{"photos": lima.root}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := lima.cfg
	cfg.Apply = site
	a := newAgent(t, cfg)
	start(t, a)
	well(t, a)
	d.Signal(syscall.SIGSTOP)
	t.Cleanup(func() { d.Signal(syscall.SIGCONT) }) // before the agent is stopped
	began := time.Now()
	a.Trigger()
	sick(t, a, began, "asking the client for its torrents")
	d.Signal(syscall.SIGCONT)
	well(t, a)
}
