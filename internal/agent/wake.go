package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// wakeName is a file in the state folder that other processes of this site
// touch when they have committed something. It is always empty.
const wakeName = "wake"

// wakeEvery is how often the agent looks at it: a stat costs nothing, and what
// would tell it sooner works on some file systems only.
const wakeEvery = time.Second

// Wake makes the agent that works on a state folder look at the catalog at
// once. Where no agent ever ran there is nobody to wake, and no error.
func Wake(stateDir string) error {
	now := time.Now()
	err := os.Chtimes(filepath.Join(stateDir, wakeName), now, now)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// touched returns when somebody last called, and lays the file out for those
// who come. The zero time is as good as any when that fails: it is looked at
// again.
func (a *Agent) touched() time.Time {
	name := filepath.Join(a.cfg.StateDir, wakeName)
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.WriteFile(name, nil, 0o644); err == nil {
			info, err = os.Stat(name)
		}
	}
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// followWakes triggers a pass whenever the file was touched since it was last
// looked at.
func (a *Agent) followWakes(ctx context.Context, last time.Time) {
	tick := time.NewTicker(wakeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := a.touched(); !now.Equal(last) {
			last = now
			a.log.Debug("woken: this site's catalog was committed to")
			a.Trigger()
		}
	}
}
