package apply_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/manifests"
)

// newMain is a site that is main with its files in place and listed.
func newMain(t *testing.T, trees ...string) *world {
	w := newWorld(t, trees...)
	w.manifest.Main = "lima"
	for name := range w.roots {
		must(t, w.site.InitTree(name, manifests.RoleSource))
	}
	return w
}

// keep writes a listed file with its time, as it stands at its source.
func (w *world) keep(entries ...manifests.Entry) {
	w.t.Helper()
	for _, e := range entries {
		if e.Kind != manifests.Regular {
			continue
		}
		w.write(string(e.Path), string(w.data[e.InfoHash]))
		must(w.t, os.Chtimes(w.name(string(e.Path)), e.ModTime, e.ModTime))
	}
}

// readOnlySteps fails the test when anything but the engine or our own
// private folder is touched.
func (w *world) readOnlySteps() {
	w.site.SetStep(func(op string) {
		if !strings.HasPrefix(op, "engine ") && !strings.Contains(op, manifests.PrivateDir) {
			w.t.Errorf("the source was changed: %s", op)
		}
	})
}

func TestMainSeedsAndNeverWrites(t *testing.T) {
	w := newMain(t)
	a, b, c, gone := w.file("a", "aaa"), w.file("dir/b", "bbb"), w.file("c", "ccc"), w.file("gone", "gone")
	w.keep(a, b, c)
	w.write("unbuilt", "new, not yet built")
	c.Executable = true // on disk it is not: for the builder to see, not for us to change
	w.readOnlySteps()
	d := w.want(a, b, c, gone, empty("missing"), symlink("link", "a"))
	before := contents(t, w.roots["photos"])
	r := w.pass(d)
	must(t, r.Err())
	if r.Role != apply.Main || r.Complete || r.InSync != 3 || r.Drift != 3 || r.Foreign != 1 {
		t.Fatalf("%+v", r)
	}
	for _, e := range []manifests.Entry{a, b, c} {
		if !w.engine.ReadOnly(e.InfoHash) {
			t.Fatalf("%s is not seeded read-only", e.Path)
		}
	}
	// The user edits one file, deletes one, and edits one keeping its time.
	w.write("a", "edited")
	must(t, os.Remove(w.name("dir/b")))
	before["a"] = "edited"
	delete(before, "dir/b")
	before["dir/"] = ""
	must(t, w.engine.Feed())
	r = w.pass(w.again(d))
	must(t, r.Err())
	if r.Drift != 5 || r.Actions[apply.Forget] != 2 || r.InSync != 1 {
		t.Fatalf("%+v", r)
	}
	// Listed no longer: main keeps the file, it only stops seeding it.
	d = w.want(a)
	r = w.pass(w.again(d))
	must(t, r.Err())
	if got := contents(t, w.roots["photos"]); !sameMap(got, before) {
		t.Fatalf("the source is %q, it was %q", got, before)
	}
	if list, err := w.engine.List(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("still seeded: %v", list)
	}
}

func sameMap(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if got, ok := b[k]; !ok || got != v {
			return false
		}
	}
	return true
}

func TestMainDoubtsWhatTheClientDoubts(t *testing.T) {
	w := newMain(t)
	e := w.know(enginetest.NewFile(t, "photos", "big", enginetest.Random(1, 3<<18)))
	w.keep(e)
	d := w.want(e)
	w.pass(d)
	rotten := append([]byte(nil), w.data[e.InfoHash]...)
	rotten[5] ^= 1
	w.write("big", string(rotten))
	must(t, os.Chtimes(w.name("big"), e.ModTime, e.ModTime))
	w.engine.Stop(e.InfoHash, "piece 0 does not verify")
	w.readOnlySteps()
	r := w.pass(w.again(d))
	if len(r.Errors) != 1 || !strings.Contains(r.Err().Error(), "bit rot") {
		t.Fatalf("%+v", r)
	}
	if w.read("big") != string(rotten) {
		t.Fatal("main's file was written")
	}
	// And when the file is right after all, it is seeded again.
	w.keep(e)
	w.now = w.now.Add(time.Hour)
	w.pass(w.again(d))
	w.engine.Stop(e.InfoHash, "tracker said no")
	w.now = w.now.Add(time.Hour)
	if r = w.pass(w.again(d)); !r.Complete {
		t.Fatalf("%+v", r)
	}
}

func TestPromotionCompletesFirst(t *testing.T) {
	w := newWorld(t)
	a, b := w.file("a", "aaa"), w.file("b", "bbb")
	w.sync(w.want(a))
	w.manifest = testManifest("lima")
	d := w.want(a, b)
	r := w.pass(w.again(d))
	if r.Role != apply.PendingMain {
		t.Fatalf("role %v", r.Role)
	}
	if m, err := w.site.Marker("photos"); err != nil || m.Role != manifests.RoleCopy {
		t.Fatalf("%+v %v", m, err)
	}
	must(t, w.engine.Feed())
	r = w.pass(w.again(d))
	must(t, r.Err())
	if m, err := w.site.Marker("photos"); err != nil || m.Role != manifests.RoleSource || r.Role != apply.Main {
		t.Fatalf("complete, but %+v %v, role %v", m, err, r.Role)
	}
	w.write("a", "edited at the new main")
	if r = w.pass(w.again(d)); r.Role != apply.Main || w.read("a") != "edited at the new main" {
		t.Fatalf("%+v", r)
	}
}

func TestHeldRemovalsDelayPromotion(t *testing.T) {
	w := newWorld(t)
	w.manifest.Prune.Limit = manifests.Limit{Percent: 1, Files: 1}
	w.sync(w.want(w.file("a", "aaa"), w.file("b", "bbb"), w.file("c", "ccc"), w.file("d", "ddd")))
	limit := w.manifest.Prune
	w.manifest = testManifest("lima")
	w.manifest.Prune = limit
	d := w.want(w.file("a", "aaa"), w.file("b", "bbb"))
	if r := w.pass(w.again(d)); r.Held != 2 || r.Role != apply.PendingMain {
		t.Fatalf("%+v: what is held would come back as new files of main", r)
	}
	d.AllowPrune = true
	if r := w.pass(w.again(d)); r.Role != apply.Main {
		t.Fatalf("%+v", r)
	}
}

func TestDemotion(t *testing.T) {
	w := newMain(t)
	a, b := w.file("a", "aaa"), w.file("b", "bbb")
	w.keep(a, b)
	w.pass(w.want(a, b))
	w.write("a", "edited, never committed")
	w.write("stays", "never committed either")
	w.manifest = testManifest("oslo")
	d := w.want(a, b)
	written := false
	w.site.SetStep(func(op string) {
		written = written || op == "rename "+manifests.MarkerName+".new to "+manifests.MarkerName
		if written {
			return
		}
		if strings.HasPrefix(op, "link") || strings.HasPrefix(op, "mkdir") {
			t.Errorf("%s before the marker says that this is a copy", op)
		}
	})
	w.pass(w.again(d))
	w.site.SetStep(nil)
	if m, err := w.site.Marker("photos"); err != nil || m.Role != manifests.RoleCopy {
		t.Fatalf("%+v %v", m, err)
	}
	for range 3 {
		must(t, w.engine.Feed())
		w.pass(w.again(d))
	}
	w.requireTree(d.Listing, "stays")
	if w.inTrash()["a"] != "edited, never committed" {
		t.Fatal("the old main's edit is lost")
	}
}

// TestNewTreeAtMain: one more folder is configured at main. Until it is
// complete the site is pending, but its other trees stay the truth.
func TestNewTreeAtMain(t *testing.T) {
	w := newMain(t, "photos", "music")
	must(t, w.site.InitTree("music", manifests.RoleCopy))
	a, m := w.file("a", "aaa"), w.fileIn("music", "m", "mmm")
	w.keep(a)
	d := w.want(a, m, w.file("gone", "gone"))
	w.pass(d)
	w.write("a", "edited, not built yet")
	for range 3 {
		r := w.pass(w.again(d))
		must(t, r.Err())
		must(t, w.engine.Feed())
	}
	r := w.pass(w.again(d))
	if w.read("a") != "edited, not built yet" {
		t.Fatal("main's edit was taken for drift")
	}
	if _, err := os.Lstat(w.name("gone")); err == nil {
		t.Fatal("a file that main deleted came back")
	}
	if mk, err := w.site.Marker("music"); err != nil || mk.Role != manifests.RoleSource || r.Role != apply.Main {
		t.Fatalf("%+v %v, role %v", mk, err, r.Role)
	}
}

func TestPartialSite(t *testing.T) {
	w := newWorld(t)
	w.manifest.Sites["lima"] = manifests.SiteSpec{Include: []string{"photos/2019/**"}, Exclude: []string{"**/*.raw"}}
	w.write("2018/mine", "a user's own file at a path that is listed, but not for this site")
	all := w.want(w.file("2019/a", "aaa"), w.file("2019/b.raw", "bbb"), w.file("2018/mine", "theirs"))
	for range 2 {
		r := w.pass(all)
		must(t, r.Err())
		must(t, w.engine.Feed())
	}
	if r := w.pass(all); !r.Complete || r.Entries != 1 || r.Foreign != 1 {
		t.Fatalf("%+v", r)
	}
	w.owned, w.earlier = apply.Wanted(w.manifest, "lima", all.Listing), nil
	// Now the site shall hold other things: what it held goes to the trash.
	w.manifest = testManifest("oslo")
	w.manifest.Prune.Limit.Percent = 100
	w.manifest.Sites["lima"] = manifests.SiteSpec{Include: []string{"photos/2019/*.raw"}}
	d := w.want(w.file("2019/a", "aaa"), w.file("2019/b.raw", "bbb"), w.file("2018/mine", "theirs"))
	d.AllowPrune = true
	for range 3 {
		r := w.pass(w.again(d))
		must(t, r.Err())
		must(t, w.engine.Feed())
	}
	got := contents(t, w.roots["photos"])
	if len(got) != 2 || got["2019/b.raw"] != "bbb" || !strings.HasPrefix(got["2018/mine"], "a user's own") {
		t.Fatalf("%q", got)
	}
	if w.inTrash()["2019/a"] != "aaa" {
		t.Fatal("what left the site is not in its trash")
	}
}

func TestOpenRefusesOverlap(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/inner", 0o755))
	must(t, os.Symlink(dir, dir+"-alias"))
	for _, trees := range []map[string]string{
		{"a": dir, "b": dir},
		{"a": dir, "b": dir + "/inner"},
		{"a": dir + "/inner", "b": dir + "/"},
		{"a": dir + "-alias", "b": dir + "/inner"},
		{"a/b": dir},
		{"..": dir},
	} {
		if _, err := apply.Open(apply.Config{Name: "lima", Engine: enginetest.NewMemory(), Trees: trees}); err == nil {
			t.Errorf("%v is taken", trees)
		}
	}
	s, err := apply.Open(apply.Config{Name: "lima", Engine: enginetest.NewMemory(), Trees: map[string]string{"a": dir + "/inner", "b": dir + "/inner2"}})
	must(t, err)
	if err := s.InitTree("b", manifests.RoleCopy); err == nil {
		t.Error("a folder that is not there was made")
	}
	if err := s.InitTree("c", manifests.RoleCopy); err == nil {
		t.Error("a tree that is not configured was made")
	}
}

// A site steps down in all its trees or in none; what it then lacks comes back,
// what differs goes to the trash, and it is main again.
func TestStepDown(t *testing.T) {
	w := newMain(t, "photos", "music")
	away := w.roots["music"] + ".away"
	must(t, os.Rename(w.roots["music"], away))
	if err := w.site.StepDown(); err == nil {
		t.Error("it stepped down although a tree is not there")
	}
	if m, err := w.site.Marker("photos"); err != nil || m.Role != manifests.RoleSource {
		t.Errorf("half a step down: %+v, %v", m, err)
	}
	must(t, os.Rename(away, w.roots["music"]))

	lost, changed, kept := w.file("lost", "lost"), w.file("changed", "as listed"), w.file("kept", "kept")
	w.keep(kept)
	w.write("changed", "something else")
	must(t, w.site.StepDown())
	d := w.want(lost, changed, kept)
	r := w.pass(d)
	must(t, r.Err())
	if r.Role != apply.PendingMain || r.Waiting != 2 {
		t.Fatalf("%+v", r)
	}
	must(t, w.engine.Feed())
	r = w.pass(d)
	must(t, r.Err())
	if r.Role != apply.Main || !r.Complete || w.read("changed") != "as listed" || w.read("lost") != "lost" {
		t.Fatalf("%+v", r)
	}
	if items, err := w.site.Trash(t.Context()); err != nil || len(items) != 1 || items[0].Path != "changed" {
		t.Errorf("trash: %+v, %v", items, err)
	}
}
