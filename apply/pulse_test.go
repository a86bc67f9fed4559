package apply_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/internal/pulse"
	"seedtree/manifests"
)

// counted is a context whose signs of life are counted.
func counted(t *testing.T) (context.Context, *atomic.Int64) {
	var beats atomic.Int64
	return pulse.With(t.Context(), func(string) { beats.Add(1) }), &beats
}

// A step of a pass must show life as often as it has things to do: on a slow disk, or
// with a slow client, each may take long. The steps that grow with the data are gone
// through one after the other.
func TestEveryStepShowsLife(t *testing.T) {
	const n = 300
	w := newWorld(t)
	var files []manifests.Entry
	for i := range n {
		files = append(files, w.file(fmt.Sprintf("%03d", i), fmt.Sprint("bytes of ", i)))
	}
	all := w.want(files...)
	shows := func(what string, atLeast int64, do func(context.Context)) {
		t.Helper()
		ctx, beats := counted(t)
		do(ctx)
		if got := beats.Load(); got < atLeast {
			t.Errorf("%s: %d signs of life, want %d", what, got, atLeast)
		}
	}
	var plan *apply.Plan
	pass := func(d apply.Desired) func(context.Context) {
		return func(ctx context.Context) {
			if r, err := w.site.Execute(ctx, d, plan); err != nil || len(r.Errors) > 0 {
				t.Fatal(err, r.Errors)
			}
		}
	}
	look := func(d apply.Desired) func(context.Context) {
		return func(ctx context.Context) {
			o, err := w.site.Observe(ctx, d)
			must(t, err)
			plan = apply.NewPlan(d, o)
		}
	}
	shows("looking at an empty tree", 2, look(all))
	// From here on each number is in how many things are done for one file.
	shows("handing over", 6*n, pass(all))
	must(t, w.engine.Feed())
	shows("looking at staging", n, look(w.again(all)))
	shows("placing", 14*n, pass(w.again(all)))
	shows("looking at files", n, look(w.again(all)))
	w.reopen()
	for _, e := range files {
		must(t, w.engine.Remove(t.Context(), []manifests.InfoHash{e.InfoHash}))
	}
	look(w.again(all))(t.Context())
	shows("adopting", 5*n, pass(w.again(all)))
	w.owned = all.Listing
	none := w.want(files[0])
	none.AllowPrune = true
	look(none)(t.Context())
	shows("removing", 4*n, pass(none))
	w.sync(none)
	shows("looking at the trash", n, look(w.again(all)))
	shows("emptying the trash", n, func(ctx context.Context) {
		gone, err := w.site.EmptyTrash(ctx, 0)
		must(t, err)
		if gone != 1 {
			t.Errorf("%d folders went", gone)
		}
	})
}

// Emptying the trash hears that its time is over in the middle of a folder, and leaves
// the index to those files that are left.
func TestEmptyingTheTrashIsCutShort(t *testing.T) {
	w := newWorld(t)
	w.sync(w.want(w.file("keep", "k"), w.file("d/a", "a"), w.file("d/b", "b"), w.file("d/e/c", "c")))
	less := w.want(w.file("keep", "k"))
	less.AllowPrune = true
	w.sync(less)
	ctx, cancel := context.WithCancel(t.Context())
	beats := 0
	ctx = pulse.With(ctx, func(string) {
		if beats++; len(w.inTrash()) == 2 {
			cancel()
		}
	})
	if _, err := w.site.EmptyTrash(ctx, 0); !strings.Contains(fmt.Sprint(err), "context canceled") {
		t.Errorf("cut short: %v", err)
	}
	if left := w.inTrash(); len(left) != 2 {
		t.Fatalf("left: %v", left)
	}
	items, err := w.site.Trash(t.Context())
	if must(t, err); len(items) != 2 {
		t.Errorf("the index knows %v", items)
	}
	if _, err := w.site.EmptyTrash(t.Context(), 0); err != nil || len(w.inTrash()) != 0 {
		t.Errorf("afterwards: %v, %v", err, w.inTrash())
	}
}

// What stands in the trash is destroyed as it is: through a symlink nothing is.
func TestEmptyingTheTrashFollowsNoLinks(t *testing.T) {
	w := newWorld(t)
	w.sync(w.want(w.file("keep/a", "a")))
	folder := w.now.Add(-time.Hour).UTC().Format("2006-01-02T15.04.05Z")
	w.write(".seedtree/trash/"+folder+"/sub/x", "x")
	must(t, os.Symlink(w.name("keep"), w.name(".seedtree/trash/"+folder+"/absolute")))
	must(t, os.Symlink("../../../keep", w.name(".seedtree/trash/"+folder+"/relative")))
	must(t, os.Symlink("../../keep", w.name(".seedtree/trash/"+folder+"-2")))
	if gone, err := w.site.EmptyTrash(t.Context(), 0); err != nil || gone != 2 {
		t.Errorf("%d, %v", gone, err)
	}
	if left := w.inTrash(); len(left) != 0 || w.read("keep/a") != "a" {
		t.Errorf("left %v", left)
	}
}
