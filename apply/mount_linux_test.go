package apply_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/internal/testkit"
	"seedtree/manifests"
)

func mount(t *testing.T, dir, options string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, options))
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// TestMountInsideTheTree: a folder of the tree is another file system. Hard
// links and renames into it fail with EXDEV.
func TestMountInsideTheTree(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	w := newWorld(t)
	w.manifest.Prune.Limit.Percent = 99
	mount(t, w.name("disk2"), "size=8m")
	w.write("disk2/foreign", "f")
	old := w.file("disk2/doc", "version one")
	first := w.want(old, w.file("a", "aaa"), w.file("disk2/b", "bbb"))
	for range 3 {
		must(t, w.pass(w.again(first)).Err())
		must(t, w.engine.Feed())
	}
	w.requireTree(first.Listing, filepath.Join("disk2", "foreign"))
	before := w.downloaded()
	two := w.know(enginetest.NewFileAt(t, "photos", "disk2/doc", []byte("version two"), time.Unix(1700000000, 0)))
	second := w.want(two, w.file("disk2/a", "aaa"), w.file("b", "bbb"))
	for range 3 {
		must(t, w.pass(w.again(second)).Err())
		must(t, w.engine.Feed())
	}
	w.requireTree(second.Listing, filepath.Join("disk2", "foreign"))
	if got := w.downloaded() - before; got != int64(len("version two")) {
		t.Fatalf("%d bytes were fetched", got)
	}
	if w.inTrash()["disk2/doc"] != "version one" {
		t.Fatal("the old version is not in the trash")
	}
	third := w.want(old, w.file("b", "bbb"))
	for range 2 {
		must(t, w.pass(w.again(third)).Err())
	}
	w.requireTree(third.Listing, filepath.Join("disk2", "foreign"))
	w.requireStagingEmpty()
}

func TestTreesOnTwoFileSystems(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	w := newWorld(t, "photos", "music")
	mount(t, w.roots["music"], "size=8m")
	must(t, w.site.InitTree("music", manifests.RoleCopy))
	w.manifest.Prune.Limit.Percent = 99
	w.sync(w.want(w.file("a", "moves"), w.file("keep", "k")))
	before := w.downloaded()
	w.sync(w.want(w.fileIn("music", "sub/a", "moves"), w.fileIn("music", "twin", "k"), w.file("keep", "k")))
	if w.downloaded() != before {
		t.Fatal("bytes that were here were fetched")
	}
	w.requireStagingEmpty()
}

func TestReadOnlyTree(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	w := newWorld(t)
	mount(t, w.roots["photos"], "size=8m")
	must(t, w.site.InitTree("photos", manifests.RoleCopy))
	w.manifest.Prune.Limit.Percent = 99
	first := w.want(w.file("a", "aaa"), w.file("b", "bbb"))
	w.sync(first)
	must(t, syscall.Mount("", w.roots["photos"], "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	second := w.want(w.file("b", "bbb"), w.file("c", "ccc"), w.file("d", "ddd"))
	r := w.pass(w.again(second))
	if len(r.Errors) != 1 || r.Applied || !strings.Contains(r.Err().Error(), "read-only") {
		t.Fatalf("%+v", r)
	}
	w.requireTree(first.Listing)
	must(t, syscall.Mount("", w.roots["photos"], "", syscall.MS_REMOUNT, "size=8m"))
	w.sync(second)
}

// TestDiskFull: the disk fills up while files are begun and trashed; after
// room is made, the next passes finish.
func TestDiskFull(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	w := newWorld(t)
	mount(t, w.roots["photos"], "size=3m")
	must(t, w.site.InitTree("photos", manifests.RoleCopy))
	w.manifest.Prune.Limit.Percent = 99
	first := w.want(w.know(bigFile(t, "big", 1)), w.file("small", "s"))
	w.sync(first)
	ballast := w.name("ballast")
	_ = os.WriteFile(ballast, make([]byte, 4<<20), 0o644) // until it is full
	changed := bigFile(t, "big", 1)
	copy(changed.Data[1<<18:], "changed")
	second := w.want(w.know(enginetest.NewFile(t, "photos", "big", changed.Data)), w.file("small2", "s2"), empty("e"))
	for range 2 {
		r := w.pass(w.again(second))
		if len(r.Errors) == 0 || r.Applied || r.Actions[apply.Prune] != 0 {
			t.Fatalf("%+v", r)
		}
		_ = w.engine.Feed()
		have := contents(t, w.roots["photos"])
		if have["big"] != string(w.data[first.Listing.ByContent(bigFile(t, "big", 1).Entry.Content)[0].InfoHash]) || have["small"] != "s" {
			t.Fatal("something old was lost on the full disk")
		}
	}
	must(t, os.Remove(ballast))
	for range 6 {
		if w.pass(w.again(second)).Complete {
			break
		}
		_ = w.engine.Feed()
		for h := range w.data {
			w.engine.Stop(h, "")
		}
	}
	w.sync(second)
	w.requireTree(second.Listing)
}
