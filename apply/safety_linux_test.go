package apply_test

import (
	"testing"
	"time"

	"seedtree/apply/enginetest"
)

// TestTrashAcrossFileSystemsKeepsNeighbours: copies into the trash grow under
// names of their own, not under one that another item may have there.
func TestTrashAcrossFileSystemsKeepsNeighbours(t *testing.T) {
	withMounts(t, func(t *testing.T) {
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
	})
}
