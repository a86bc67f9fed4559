package builder

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// mount puts an empty drive at a folder of the tree.
func (f *fixture) mount(name string) {
	f.t.Helper()
	f.must(os.MkdirAll(f.path(name), 0o755))
	f.must(syscall.Mount("tmpfs", f.path(name), "tmpfs", 0, "size=1m"))
	f.t.Cleanup(func() { _ = syscall.Unmount(f.path(name), syscall.MNT_DETACH) })
}

func (f *fixture) unmount(name string) { f.t.Helper(); f.must(syscall.Unmount(f.path(name), 0)) }

// keep is commit, and what the next build remembers of it.
func (f *fixture) keep() *Result {
	f.t.Helper()
	r := f.commit()
	f.o.Mounts = r.Mounts
	return r
}

// wantMounts compares what the next build is told.
func (f *fixture) wantMounts(r *Result, want ...string) {
	f.t.Helper()
	if len(r.Mounts) != len(want) {
		f.t.Fatalf("mount points %v, want %q", r.Mounts, want)
	}
	for i, k := range r.Mounts {
		if k != (manifests.Key{Tree: "t", Path: manifests.Path(want[i])}) {
			f.t.Fatalf("mount points %v, want %q", r.Mounts, want)
		}
	}
}

func (f *fixture) wantNoneFailed(r *Result) {
	f.t.Helper()
	if len(r.Failed) != 0 {
		f.t.Fatalf("failed: %v", r.Failed)
	}
}

func (f *fixture) wantHidden(r *Result, at string, why error) {
	f.t.Helper()
	if len(r.Failed) != 1 || string(r.Failed[0].Key.Path) != at || !errors.Is(r.Failed[0], why) {
		f.t.Fatalf("failed: %v; want %s: %v", r.Failed, at, why)
	}
}

// drive is a tree with a file of its own and a drive in a folder.
func drive(t *testing.T) *fixture {
	f := newFixture(t)
	f.write("own", "own")
	f.mount("d/usb")
	f.write("d/usb/a", "on the drive")
	f.write("d/usb/deep/b", "on the drive, too")
	r := f.keep()
	f.wantPaths(r, "own", "d/usb/a", "d/usb/deep/b")
	f.wantMounts(r, "d/usb")
	return f
}

// A folder without its drive keeps what is listed there, build after build,
// whatever lies in the folder, while the rest of the tree goes on.
func TestDriveIsAway(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	f := drive(t)
	f.unmount("d/usb")
	f.write("new", "new")
	for range 2 {
		r := f.keep()
		f.wantPaths(r, "own", "new", "d/usb/a", "d/usb/deep/b")
		f.wantHidden(r, "d/usb", ErrUnmounted)
		f.wantMounts(r, "d/usb")
	}
	// What programs left in the folder meanwhile is not published, nor does it
	// get in the way: a file of a listed name, a folder where a file is listed.
	f.write("d/usb/deep/b", "another one")
	f.write("d/usb/stray", "stray")
	f.must(os.Mkdir(f.path("d/usb/a"), 0o755))
	r := f.keep()
	f.wantPaths(r, "own", "new", "d/usb/a", "d/usb/deep/b")
	f.wantContent(r.Listing, "d/usb/deep/b", "on the drive, too")
	f.wantHidden(r, "d/usb", ErrUnmounted)

	// The drive comes back, under another device number, with a file less.
	f.mount("d/usb")
	f.write("d/usb/a", "on the drive")
	r = f.keep()
	f.wantPaths(r, "own", "new", "d/usb/a")
	f.wantMounts(r, "d/usb")
	f.wantNoneFailed(r)
}

// Another drive in its place, with nothing on it but what mkfs leaves.
func TestDriveIsEmpty(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	f := drive(t)
	f.unmount("d/usb")
	f.mount("d/usb")
	f.must(os.Mkdir(f.path("d/usb/lost+found"), 0o700))
	r := f.keep()
	f.wantPaths(r, "own", "d/usb/a", "d/usb/deep/b")
	f.wantHidden(r, "d/usb", ErrEmptyMount)
	f.wantMounts(r, "d/usb")

	// It has files: then it is what it looks like.
	f.o.Manifest.Prune.Limit.Percent = 100
	f.write("d/usb/c", "c")
	r = f.keep()
	f.wantPaths(r, "own", "d/usb/c", "d/usb/lost+found (empty directory)")
	f.wantNoneFailed(r)
}

// How to say that a drive is really gone.
func TestDriveIsGone(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	for name, c := range map[string]struct {
		do   func(f *fixture)
		want []string
	}{
		"folder removed":     {func(f *fixture) { f.must(os.Remove(f.path("d/usb"))) }, []string{"own", "d (empty directory)"}},
		"replaced by a file": {func(f *fixture) { f.must(os.Remove(f.path("d/usb"))); f.write("d/usb", "x") }, []string{"own", "d/usb"}},
		"removals allowed":   {func(f *fixture) { f.o.AllowRemovals = true }, []string{"own", "d/usb (empty directory)"}},
		"copied into the folder": {func(f *fixture) {
			f.write("d/usb/a", "on the drive, and changed")
			f.write("d/usb/deep/b", "on the drive, too")
			f.write("d/usb/c", "c")
		}, []string{"own", "d/usb/a", "d/usb/deep/b", "d/usb/c"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := drive(t)
			f.o.Manifest.Prune.Limit.Percent = 100
			f.unmount("d/usb")
			c.do(f)
			for range 2 {
				r := f.keep()
				f.wantPaths(r, c.want...)
				f.wantMounts(r)
				f.wantNoneFailed(r)
			}
		})
	}
}

// A drive on a drive is remembered while the one below it is away.
func TestDriveOnADrive(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	f := drive(t)
	f.mount("d/usb/deep/er")
	f.write("d/usb/deep/er/c", "c")
	f.wantMounts(f.keep(), "d/usb", "d/usb/deep/er")
	f.unmount("d/usb/deep/er")
	f.unmount("d/usb")
	r := f.keep()
	f.wantPaths(r, "own", "d/usb/a", "d/usb/deep/b", "d/usb/deep/er/c")
	f.wantHidden(r, "d/usb", ErrUnmounted)
	f.wantMounts(r, "d/usb", "d/usb/deep/er")
}

// A drive that is pulled while it is read takes no entry with it.
func TestDriveGoesWhileReading(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	f := drive(t)
	f.write("d/usb/a", "written again")
	f.meddle(1, func() { f.must(syscall.Unmount(f.path("d/usb"), syscall.MNT_DETACH)) })
	if r, err := f.build(); r != nil || !errors.Is(err, ErrNotMounted) {
		t.Fatalf("got %v", err)
	}
}

// What is said of places on a drive is what a build makes of them.
func TestExplainADrive(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	f := drive(t)
	want := func(places map[string]string, why error) {
		t.Helper()
		for path, state := range places {
			x, err := Explain(f.o, manifests.Key{Tree: "t", Path: manifests.Path(path)})
			f.must(err)
			if x.State != state || state == StateAway && x.Why != "t/d/usb: "+why.Error()+"; what is listed there stays" {
				t.Errorf("%s is %s: %s; want %s", path, x.State, x.Why, state)
			}
		}
	}
	there := map[string]string{"own": StateUnchanged, "d": StateDirectory, "d/usb": StateDirectory, "d/usb/a": StateUnchanged, "d/usb/c": StateAbsent}
	without := map[string]string{"own": StateUnchanged, "d": StateDirectory, "d/usb": StateAway, "d/usb/a": StateAway, "d/usb/c": StateAway, "d/usb/deep/b": StateAway}
	want(there, nil)
	f.unmount("d/usb")
	want(without, ErrUnmounted)
	f.write("d/usb/a", "somebody wrote into the folder")
	want(without, ErrUnmounted)
	f.mount("d/usb")
	f.must(os.Mkdir(f.path("d/usb/lost+found"), 0o700))
	want(without, ErrEmptyMount)
	f.write("d/usb/c", "another drive's file")
	want(map[string]string{"d/usb": StateDirectory, "d/usb/a": StateMissing, "d/usb/c": StateNew}, nil)
	f.unmount("d/usb")
	f.write("d/usb/a", "copied from the drive")
	f.write("d/usb/deep/b", "copied, too")
	want(map[string]string{"d/usb/a": StateChanged, "d/usb/deep/b": StateChanged, "d/usb/c": StateAbsent}, nil)
	f.must(os.RemoveAll(f.path("d/usb")))
	want(map[string]string{"d/usb": StateAbsent, "d/usb/a": StateMissing}, nil)
}
