package agent

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"seedtree/gitsource"
	"seedtree/manifests"
)

// Who touches the file is heard within a second, once for each time, also
// after somebody has cleaned the state folder up.
func TestWake(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	cfg, _ := c.config(nil)
	if err := Wake(cfg.StateDir); err != nil {
		t.Errorf("nobody to wake: %v", err)
	}
	file := filepath.Join(cfg.StateDir, wakeName)
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the file was made where no agent ran: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		site := &stepSite{}
		cfg.Apply = site
		a := newAgent(t, cfg)
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("an agent that does not run yet has made the file: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.Run(ctx) }()
		passes := 1
		for _, happens := range []struct {
			what string
			do   func() error
			asks bool
		}{
			{"nothing", func() error { return nil }, false},
			{"a touch", func() error { return Wake(cfg.StateDir) }, true},
			{"nothing again", func() error { return nil }, false},
			{"a touch from another process", func() error { return Wake(cfg.StateDir) }, true},
			// The new file's time is another one: better once too often.
			{"the file is removed", func() error { return os.Remove(file) }, true},
			{"a touch of the new one", func() error { return Wake(cfg.StateDir) }, true},
		} {
			time.Sleep(time.Minute)
			synctest.Wait()
			if err := happens.do(); err != nil {
				t.Fatalf("%s: %v", happens.what, err)
			}
			time.Sleep(2 * wakeEvery)
			synctest.Wait()
			if happens.asks {
				passes++
			}
			if got := len(site.passes()); got != passes {
				t.Fatalf("after %s %d passes, want %d", happens.what, got, passes)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
