package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// demoStep is one scene: what is done, and how many payload bytes may travel.
type demoStep struct {
	name string
	do   func(context.Context) error
	free bool // nothing may travel: the bytes are at every site already
}

// play runs every step and compares every site with main after each.
func (f *demoFleet) play(ctx context.Context) error {
	if err := f.begin(ctx); err != nil {
		return err
	}
	t := &demoTable{app: f.app}
	t.head()
	for _, s := range f.script() {
		if err := f.step(ctx, t, s); err != nil {
			return fmt.Errorf("step %q: %w", s.name, err)
		}
	}
	f.steps = len(t.rows)
	return t.end()
}

// begin makes the stage: a copy of the data, the catalog, every site's
// configuration, the tracker and the agents.
func (f *demoFleet) begin(ctx context.Context) error {
	begun := time.Now()
	if err := copyTree(ctx, f.data, f.main.root); err != nil {
		return fmt.Errorf("copying %s: %w", f.data, err)
	}
	f.app.say("copied %s to %s in %.1f s", f.data, f.main.root, time.Since(begun).Seconds())
	for _, s := range f.sites {
		args := []string{
			"init", "--config", s.config, "--site", s.name, "--catalog", f.catalog, "--tree", demoTree + "=" + s.root,
			"--state", s.state, "--engine-embedded-listen", s.peer, "--peer", s.peer,
			"--schedule-sync", "@every 1m", "--schedule-build", "never", "--schedule-jitter", "0%",
		}
		if s == f.main {
			args = append(args, "--tracker", "http://"+f.tracker+"/announce")
		}
		if _, err := f.call(ctx, nil, args...); err != nil {
			return err
		}
	}
	if err := f.start("tracker", "tracker", "--catalog", f.catalog, "--tracker-listen", f.tracker,
		"--state", filepath.Join(f.dir, "tracker"), "--schedule-sync", "@every 2s"); err != nil {
		return err
	}
	for _, s := range f.sites {
		if err := f.start(s.name, "agent", "--config", s.config); err != nil {
			return err
		}
	}
	f.app.say("%d sites, a tracker and a catalog repository in %s\n", len(f.sites), f.dir)
	return nil
}

// script is the story. Each line is what somebody does at main or to the
// catalog; the sites follow by themselves.
func (f *demoFleet) script() []demoStep {
	next := f.sites[1]
	return []demoStep{
		{name: "build and replicate everything", do: f.build},
		{name: "add 20 files, one of 8 MB", do: f.addFiles},
		{name: "change 64 KB inside the 8 MB", do: f.changeFile},
		{name: "rename a folder", do: f.renameFolder, free: true},
		{name: "delete some files", do: f.deleteFiles, free: true},
		{name: "move main to " + next.name, do: func(ctx context.Context) error { return f.moveMain(ctx, next) }, free: true},
		{name: "add a file at " + next.name, do: f.addOne},
		{name: "commit a bad loss, approve it", do: f.badCommit, free: true},
		{name: "take it back", do: f.takeBack, free: true},
	}
}

// step plays one scene, waits until every site is complete at the head, and
// compares.
func (f *demoFleet) step(ctx context.Context, t *demoTable, s demoStep) error {
	for _, site := range f.sites {
		if st, err := site.status(); err == nil {
			site.before = st
		}
	}
	begun := time.Now()
	if err := s.do(ctx); err != nil {
		return err
	}
	if err := f.settled(ctx); err != nil {
		return err
	}
	row := demoRow{Step: s.name, Seconds: time.Since(begun).Seconds()}
	for _, site := range f.sites {
		if site != f.main {
			files, size, err := compareTrees(ctx, f.main.root, site.root)
			if err != nil {
				return err
			}
			row.Files, row.Bytes = files, size
		}
		st, err := site.status()
		if err != nil {
			return err
		}
		row.Wire += st.Bytes.Downloaded - site.before.Bytes.Downloaded
		row.Reused += st.Bytes.Reused - site.before.Bytes.Reused
	}
	t.add(row)
	if s.free && row.Wire != 0 {
		return fmt.Errorf("%d bytes travelled; every site had them already", row.Wire)
	}
	return nil
}

// Bounds of waiting: a step may take long on big data, but not stand still.
const (
	demoPoll    = 100 * time.Millisecond
	demoPatient = 2 * time.Minute
)

// settled waits until every agent says that it is complete at the catalog's
// head. It gives up when nothing moves any more.
func (f *demoFleet) settled(ctx context.Context) error {
	head, err := f.head(ctx)
	if err != nil {
		return err
	}
	f.wake()
	moved, last := time.Now(), ""
	for {
		behind, picture := f.behind(head)
		if len(behind) == 0 {
			return nil
		}
		if picture != last {
			moved, last = time.Now(), picture
		}
		if err := f.dead(); err != nil {
			return err
		}
		if time.Since(moved) > demoPatient {
			return fmt.Errorf("nothing moved for %v; not complete at %.12s:\n  %s", demoPatient, head, strings.Join(behind, "\n  "))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(demoPoll):
		}
	}
}

// behind names the sites that are not complete at head, and draws a picture
// that changes whenever anything moves.
func (f *demoFleet) behind(head string) (behind []string, picture string) {
	for _, s := range f.sites {
		st, err := s.status()
		switch {
		case err != nil:
			behind = append(behind, s.name+": "+err.Error())
		case st.Complete != head || st.Applied != head:
			behind = append(behind, fmt.Sprintf("%s: %s at %s, %s entries missing, %s held%s", s.name, st.Role, orNone(st.Complete),
				comma(st.Entries.Missing), comma(st.Entries.Held), strings.Join(append([]string{""}, st.Errors...), "\n    ")))
		}
		picture += fmt.Sprint(st.Attempted, st.Applied, st.Complete, st.Bytes.Have, st.Entries.Missing, ";")
	}
	return behind, picture
}

// head asks the catalog for its newest commit.
func (f *demoFleet) head(ctx context.Context) (string, error) {
	var fl struct{ Head string }
	_, err := f.call(ctx, &fl, "status", "--config", f.main.config)
	return fl.Head, err
}

func (f *demoFleet) build(ctx context.Context) error {
	_, err := f.call(ctx, nil, "build", "--config", f.main.config)
	return err
}

func (f *demoFleet) addFiles(ctx context.Context) error {
	for i := range 20 {
		size := int64(1000 * (i + 1) * (i + 1))
		if i == 19 {
			size = 8 << 20
		}
		if err := writeNoise(filepath.Join(f.main.root, f.added, fmt.Sprintf("new-%02d.bin", i)), size, uint64(i)); err != nil {
			return err
		}
	}
	return f.build(ctx)
}

func (f *demoFleet) changeFile(ctx context.Context) error {
	file, err := os.OpenFile(filepath.Join(f.main.root, f.added, "new-19.bin"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte(strings.Repeat("changed\n", 8<<10)), 3<<20)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return f.build(ctx)
}

func (f *demoFleet) renameFolder(ctx context.Context) error {
	folder, err := f.biggestFolder()
	if err != nil {
		return err
	}
	if folder == f.added { // the data has no folders of its own
		f.added += " renamed"
	}
	if err := os.Rename(filepath.Join(f.main.root, folder), filepath.Join(f.main.root, folder+" renamed")); err != nil {
		return err
	}
	return f.build(ctx)
}

// biggestFolder is the top folder of main with the most files, the demo's own
// only where there is no other.
func (f *demoFleet) biggestFolder() (string, error) {
	found, err := look(f.main.root)
	if err != nil {
		return "", err
	}
	count := map[string]int{}
	best := f.added
	for _, name := range sortedKeys(found) {
		if top, _, nested := strings.Cut(name, "/"); nested && top != f.added {
			if count[top]++; count[top] > count[best] {
				best = top
			}
		}
	}
	return best, nil
}

func (f *demoFleet) deleteFiles(ctx context.Context) error {
	found, err := look(f.main.root)
	if err != nil {
		return err
	}
	for i := range min(max(len(found)/20, 1), 10) { // below any limit
		if err := os.Remove(filepath.Join(f.main.root, f.added, fmt.Sprintf("new-%02d.bin", i))); err != nil {
			return err
		}
	}
	return f.build(ctx)
}

// moveMain promotes a site once its status says that it holds everything.
func (f *demoFleet) moveMain(ctx context.Context, to *demoSite) error {
	deadline := time.Now().Add(demoPatient)
	for {
		_, err := f.call(ctx, nil, "promote", to.name, "--config", f.main.config)
		if err == nil {
			f.main = to
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		time.Sleep(demoPoll)
	}
}

func (f *demoFleet) addOne(ctx context.Context) error {
	if err := writeNoise(filepath.Join(f.main.root, f.added, "from the new main.bin"), 1<<20, 4711); err != nil {
		return err
	}
	return f.build(ctx)
}

// badCommit loses main's biggest folders, as a slip with rm or a bad disk
// would. The builder refuses; it is told to go on; the sites hold the removals;
// that is overruled too.
func (f *demoFleet) badCommit(ctx context.Context) error {
	if err := f.lose(); err != nil {
		return err
	}
	code, err := f.call(ctx, nil, "build", "--config", f.main.config)
	if code != exitHeld {
		return fmt.Errorf("the builder should have refused the loss with exit code %d: %d, %w", exitHeld, code, err)
	}
	if _, err := f.call(ctx, nil, "build", "--allow-removals", "--config", f.main.config); err != nil {
		return err
	}
	if err := f.held(ctx); err != nil {
		return err
	}
	_, err = f.call(ctx, nil, "approve", "HEAD", "--config", f.main.config)
	return err
}

// lose moves main's biggest top entries out of the tree, until more is gone
// than any limit lets pass, but never the last.
func (f *demoFleet) lose() error {
	found, err := look(f.main.root)
	if err != nil {
		return err
	}
	count := map[string]int{}
	for name := range found {
		top, _, _ := strings.Cut(name, "/")
		count[top]++
	}
	tops := sortedKeys(count)
	slices.SortStableFunc(tops, func(a, b string) int { return count[b] - count[a] })
	if err := os.Mkdir(f.lost(), 0o755); err != nil {
		return err
	}
	gone := 0
	for _, top := range tops[:len(tops)-1] {
		if gone > max(len(found)/4, 1) || gone > 1500 {
			break
		}
		gone += count[top]
		if err := os.Rename(filepath.Join(f.main.root, top), filepath.Join(f.lost(), top)); err != nil {
			return err
		}
	}
	return nil
}

// lost is where the lost files wait, outside every site's tree.
func (f *demoFleet) lost() string { return filepath.Join(f.dir, "lost") }

// held waits until every follower says that it holds removals back.
func (f *demoFleet) held(ctx context.Context) error {
	f.wake()
	deadline := time.Now().Add(demoPatient)
	for _, s := range f.sites {
		for s != f.main {
			st, err := s.status()
			if err == nil && st.Entries.Held > 0 {
				break
			}
			if err := errors.Join(f.dead(), ctx.Err()); err != nil {
				return err
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s does not hold the removals back", s.name)
			}
			time.Sleep(demoPoll)
		}
	}
	return nil
}

// takeBack puts main's files back in place and rolls the catalog back to the
// revision before the loss. Every other site has the files in its trash.
func (f *demoFleet) takeBack(ctx context.Context) error {
	tops, err := os.ReadDir(f.lost())
	if err != nil {
		return err
	}
	for _, top := range tops {
		if err := os.Rename(filepath.Join(f.lost(), top.Name()), filepath.Join(f.main.root, top.Name())); err != nil {
			return err
		}
	}
	_, err = f.call(ctx, nil, "rollback", "HEAD~2", "--config", f.main.config)
	return err
}
