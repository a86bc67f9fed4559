package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// demoFlags are what `seedtree demo` is told.
type demoFlags struct {
	data  string
	dir   string
	sites int
	keep  bool
}

func (a *app) demoCommand() *cobra.Command {
	var flags demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole fleet on this machine and watch it work",
		Long: `Starts a tracker, a main site and followers, each a process of its own, around a
catalog repository in a temporary directory; nothing needs to be installed. Copies the
data there (the original is only read), replicates it, then adds, changes, renames and
deletes files, moves main, and takes back a bad commit. After every step each site is
compared with main, byte by byte. Ends with an error if anything differs.`,
		Example: `  seedtree demo
  seedtree demo --data ~/Pictures --sites 4`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.demo(cmd.Context(), flags) },
	}
	f := cmd.Flags()
	f.StringVar(&flags.data, "data", "", "`directory` to replicate (default: the source of the Go toolchain)")
	f.StringVar(&flags.dir, "dir", "", "work below this `directory` (default: the system's temporary directory)")
	f.IntVar(&flags.sites, "sites", 3, "`number` of sites, 2 to 9")
	f.BoolVar(&flags.keep, "keep", false, "leave the fleet running until Ctrl-C, and its files for good")
	return cmd
}

// demo prepares the stage, plays the steps and clears up, whatever happens.
func (a *app) demo(ctx context.Context, flags demoFlags) (err error) {
	if flags.sites < 2 || flags.sites > len(demoNames()) {
		return fmt.Errorf("--sites %d: want 2 to %d", flags.sites, len(demoNames()))
	}
	data, err := demoData(ctx, flags.data)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(flags.dir, "seedtree-demo-")
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	f, err := newFleetDemo(a, dir, data, flags.sites)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		if flags.keep && err == nil {
			a.say("The fleet runs on in %s. Ctrl-C stops it.", dir)
			<-ctx.Done()
		}
		err = errors.Join(err, f.stop())
		switch {
		case flags.keep:
			a.say("Everything is left in %s.", dir)
		case err != nil && ctx.Err() == nil:
			a.say("The logs are left in %s.", f.keepLogs())
		}
		if !flags.keep {
			err = errors.Join(err, f.remove())
		}
	}()
	begun := time.Now()
	if err := f.play(ctx); err != nil {
		return err
	}
	a.say("\nAll %d sites hold the same bytes. %d steps in %.0f s.", flags.sites, f.steps, time.Since(begun).Seconds())
	return nil
}

// demoNames are the sites; the first is main.
func demoNames() []string {
	return []string{"oslo", "lima", "kyoto", "accra", "quito", "perth", "turin", "dakar", "sofia"}
}
