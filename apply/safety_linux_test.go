package apply_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"seedtree/apply/enginetest"
	"seedtree/internal/testkit"
)

// TestTrashAcrossFileSystemsKeepsNeighbours: copies into the trash grow under
// names of their own, not under one that another item may have there.
func TestTrashAcrossFileSystemsKeepsNeighbours(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	w := newWorld(t)
	w.manifest.Prune.Limit.Percent = 99
	mount(t, w.name("disk2"), "size=8m")
	w.sync(w.want(w.file("disk2/a", "the shorter name"), w.file("disk2/a.part", "version one"), w.file("c", "c")))
	two := w.know(enginetest.NewFileAt(t, "photos", "disk2/a.part", []byte("version two"), time.Unix(1700000000, 0)))
	d := w.want(w.file("disk2/a", "the shorter name"), two, w.file("c", "c"))
	w.pass(w.again(d))
	must(t, w.engine.Feed())
	// One pass: the new version is placed, the old one trashed, then a goes.
	d = w.want(two, w.file("c", "c"))
	w.sync(d)
	if got := w.inTrash(); got["disk2/a.part"] != "version one" || got["disk2/a"] != "the shorter name" {
		t.Fatalf("the trash holds %q", got)
	}
}

// TestOneFileUnderTwoNames: what looks like two names is one file with a single
// link, as with a bind mount, or where the file system takes two spellings of
// a letter for one. Dropping the old name would drop the file.
func TestOneFileUnderTwoNames(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	w := newWorld(t)
	w.manifest.Prune.Limit.Percent = 99
	w.sync(w.want(w.file("old/a", "aaa"), w.file("c", "c")))
	must(t, os.Mkdir(w.name("new"), 0o755))
	must(t, syscall.Mount(w.name("old"), w.name("new"), "", syscall.MS_BIND, ""))
	t.Cleanup(func() { _ = syscall.Unmount(w.name("new"), syscall.MNT_DETACH) })
	before := w.downloaded()
	d := w.want(w.file("new/a", "aaa"), w.file("c", "c"))
	for range 3 {
		must(t, w.pass(w.again(d)).Err())
		if _, err := os.Lstat(w.name("new/a")); err != nil {
			t.Fatalf("the only name is gone: %v; trash: %q", err, w.inTrash())
		}
		must(t, w.engine.Feed())
	}
	if w.downloaded() != before {
		t.Fatal("bytes that were here were fetched again")
	}
}

// TestMovedCopyIsDurable: what moves from another file system is a copy, and
// must be on the disk before its old name goes; so must the copy in the trash.
func TestMovedCopyIsDurable(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	w := newWorld(t)
	w.manifest.Prune.Limit.Percent = 99
	mount(t, w.name("disk2"), "size=8m")
	a := w.file("a", "aaa")
	w.sync(w.want(w.file("disk2/a", "aaa"), w.file("disk2/b", "b")))
	var log []string
	w.site.SetStep(func(op string) { log = append(log, op) })
	var mu sync.Mutex
	w.site.SetFsync(func(f *os.File) error {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, "fsync "+f.Name())
		return f.Sync()
	})
	w.sync(w.want(a, w.file("disk2/b", "b")))
	at := 0
	for _, want := range []string{
		"fsync .*/" + a.InfoHash.String() + ".ready$", "rename .* to a$",
		"finish copy .seedtree/trash/", "fsync .*/trash/.*/disk2/a$", "fsync .*/trash/.*/disk2$", "remove disk2/a$",
	} {
		i := slices.IndexFunc(log[at:], regexp.MustCompile("^"+want).MatchString)
		if i < 0 {
			t.Fatalf("%q does not follow in\n%s", want, strings.Join(log, "\n"))
		}
		at += i + 1
	}
}
