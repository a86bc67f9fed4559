package apply_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/manifests"
)

func TestParentBecomesSymlinkOut(t *testing.T) {
	w := newWorld(t)
	d := w.want(w.file("dir/a", "aaa"), w.file("dir/sub/b", "bbb"), w.file("c", "ccc"))
	w.sync(d)
	outside := filepath.Join(w.dir, "outside")
	must(t, os.Rename(w.name("dir"), outside))
	must(t, os.Symlink(outside, w.name("dir")))
	must(t, os.WriteFile(filepath.Join(outside, "a"), []byte("theirs"), 0o644))

	d2 := w.want(w.file("dir/a", "aaa"), w.file("dir/new", "new"), w.file("c", "ccc")) // dir/sub/b departs as well
	w.sync(d2)
	if got := contents(t, outside); len(got) != 2 || got["a"] != "theirs" || got[filepath.Join("sub", "b")] != "bbb" {
		t.Fatalf("outside the tree is now %q", got)
	}
	if _, ok := w.inTrash()["dir"]; !ok {
		t.Fatal("the symlink is not in the trash")
	}
}

func TestSymlinkInsideTheTreeIsNotFollowed(t *testing.T) {
	w := newWorld(t)
	w.sync(w.want(w.file("real/a", "aaa")))
	must(t, os.Symlink("real", w.name("alias")))
	d := w.want(w.file("real/a", "aaa"), w.file("alias/a", "another a"))
	w.sync(d)
	if w.read("real/a") != "aaa" || w.read("alias/a") != "another a" {
		t.Fatal("a file was written through a symlink")
	}
}

func TestFileReplacedBehindOurBack(t *testing.T) {
	for name, replace := range map[string]func(w *world, name string) error{
		"directory": func(w *world, name string) error {
			return errors.Join(os.Remove(name), os.MkdirAll(filepath.Join(name, "full/of"), 0o755),
				os.WriteFile(filepath.Join(name, "full/of/files"), []byte("theirs"), 0o644))
		},
		"empty directory": func(_ *world, name string) error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o755)) },
		"symlink": func(_ *world, name string) error {
			return errors.Join(os.Remove(name), os.Symlink("/etc/passwd", name))
		},
		"symlink to twin": func(w *world, name string) error {
			return errors.Join(os.Rename(name, filepath.Join(w.dir, "elsewhere")), os.Symlink(filepath.Join(w.dir, "elsewhere"), name))
		},
		"nothing":      func(_ *world, name string) error { return os.Remove(name) },
		"other length": func(_ *world, name string) error { return os.WriteFile(name, []byte("x"), 0o644) },
		"other bytes":  func(_ *world, name string) error { return os.WriteFile(name, []byte("theirs"), 0o644) },
		"no mode":      func(_ *world, name string) error { return os.Chmod(name, 0o755) },
		"time": func(_ *world, name string) error {
			return os.Chtimes(name, time.Time{}, time.Unix(1, 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.want(w.file("sub/file", "ours!!"), w.file("other", "other"))
			w.sync(d)
			must(t, replace(w, w.name("sub/file")))
			if p := w.plan(w.again(d)); len(p.Actions) != 1 {
				t.Fatalf("plan: %s", kinds(p.Actions))
			}
			w.sync(d)
			trash, _ := w.site.Trash(t.Context())
			kept := w.kept()
			switch name {
			case "directory":
				if !kept["theirs"] || len(trash) != 1 {
					t.Fatalf("the directory's files are lost; trash: %v", trash)
				}
			case "other bytes":
				if w.inTrash()["sub/file"] != "theirs" {
					t.Fatal("the edited file is not in the trash")
				}
			case "symlink":
				if len(trash) != 1 {
					t.Fatalf("trash: %v", trash)
				}
			}
		})
	}
}

func TestDriftReportedOnly(t *testing.T) {
	w := newWorld(t)
	w.drift = apply.Report
	w.reopen()
	e := w.file("file", "ours!!")
	d := w.want(e, w.file("other", "other"), symlink("link", "other"), w.file("dies", "dies"))
	w.sync(d)
	w.write("file", "theirs")
	must(t, os.Remove(w.name("link")))
	must(t, os.Symlink("somewhere", w.name("link")))
	d2 := w.want(e, w.file("other", "other"), symlink("link", "other"))
	r := w.pass(w.again(d2))
	must(t, r.Err())
	if r.Drift != 2 || r.Complete || !r.Applied || w.read("file") != "theirs" || r.Actions[apply.Prune] != 1 {
		t.Fatalf("%+v", r)
	}
	if p := w.plan(w.again(d2)); len(p.Actions) != 0 || len(p.Differs) != 2 {
		t.Fatalf("plan: %s, differs %v", kinds(p.Actions), p.Differs)
	}
}

func TestUnmountedTreeStopsAlone(t *testing.T) {
	w := newWorld(t, "photos", "music")
	d := w.want(w.file("a", "aaa"), w.fileIn("music", "m", "mmm"))
	w.sync(d)
	hidden := filepath.Join(w.dir, "unmounted")
	must(t, os.Rename(w.roots["photos"], hidden))
	must(t, os.Mkdir(w.roots["photos"], 0o755)) // the bare mount point

	d2 := w.want(w.fileIn("music", "m", "mmm"), w.fileIn("music", "n", "nnn"), w.file("b", "bbb")) // a departs, b comes
	must(t, w.engine.Feed())
	calls := len(w.engine.Calls())
	w.pass(w.again(d2))
	must(t, w.engine.Feed())
	r := w.pass(w.again(d2))
	must(t, r.Err())
	if r.Complete || r.Applied || len(r.Stopped) != 1 || !strings.Contains(r.Stopped["photos"], "no marker") {
		t.Fatalf("%+v", r)
	}
	if r.BytesMissing != 3 {
		t.Fatalf("%d bytes are missing, want the 3 of the tree that nobody can look into", r.BytesMissing)
	}
	if got := contents(t, w.roots["photos"]); len(got) != 0 {
		t.Fatalf("the bare mount point now holds %q", got)
	}
	for _, call := range w.engine.Calls()[calls:] {
		if strings.HasPrefix(call, "remove") {
			t.Fatalf("the engine was told: %s", call)
		}
	}
	if b, err := os.ReadFile(filepath.Join(w.roots["music"], "n")); err != nil || string(b) != "nnn" {
		t.Fatal("the other tree did not go on")
	}
	must(t, os.Remove(w.roots["photos"]))
	must(t, os.Rename(hidden, w.roots["photos"]))
	w.sync(d2)
}

func TestMarkerOfAnother(t *testing.T) {
	for name, text := range map[string]string{
		"tree":  `{"tree":"music","site":"lima","role":"copy"}`,
		"site":  `{"tree":"photos","site":"oslo","role":"source"}`,
		"none":  `garbage`,
		"empty": ``,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.want(w.file("a", "aaa"))
			must(t, os.WriteFile(w.name(manifests.MarkerName), []byte(text), 0o644))
			r := w.pass(d)
			if len(r.Stopped) != 1 || len(w.engine.Calls()) != 0 {
				t.Fatalf("%+v", r)
			}
			if _, err := w.site.Marker("photos"); !errors.Is(err, apply.ErrMarker) {
				t.Fatal(err)
			}
			must(t, w.site.InitTree("photos", manifests.RoleCopy))
			w.sync(d)
		})
	}
}

func TestPrivateFolderIsSymlink(t *testing.T) {
	w := newWorld(t)
	outside := filepath.Join(w.dir, "outside")
	must(t, os.Rename(w.name(".seedtree"), outside))
	must(t, os.Symlink(outside, w.name(".seedtree")))
	if r := w.pass(w.want(w.file("a", "aaa"))); len(r.Stopped) != 1 {
		t.Fatalf("%+v", r)
	}
	if got := contents(t, outside); len(got) != 1 {
		t.Fatalf("outside: %q", got)
	}
}

func TestEmptyListingRemovesNothing(t *testing.T) {
	w := newWorld(t)
	w.sync(w.want(w.file("a", "aaa"), w.file("b", "bbb"), empty("c")))
	none := w.want()
	none.AllowPrune = true // not even then
	r := w.pass(w.again(none))
	if r.Held != 3 || r.Applied || !strings.Contains(r.HeldWhy, "empty") {
		t.Fatalf("%+v", r)
	}
	if got := contents(t, w.roots["photos"]); len(got) != 3 {
		t.Fatalf("%q", got)
	}
	if data, err := w.engine.Fetch(w.file("a", "aaa").InfoHash); err != nil || string(data) != "aaa" {
		t.Fatal("it is no longer seeded")
	}
}

func TestMassRemovalHeldThenApproved(t *testing.T) {
	w := newWorld(t)
	w.manifest.Prune.Limit = manifests.Limit{Percent: 10, Files: 1000}
	var all []manifests.Entry
	for i := range 20 {
		all = append(all, w.file("dir/"+strings.Repeat("x", i+1), strings.Repeat("y", i+1)))
	}
	w.sync(w.want(all...))
	d := w.want(append([]manifests.Entry{w.file("new", "new")}, all[3:]...)...)
	w.pass(w.again(d))
	must(t, w.engine.Feed())
	r := w.pass(w.again(d))
	must(t, r.Err())
	if r.Held != 3 || r.Applied || !r.Complete || w.read("new") != "new" || w.read("dir/x") != "y" {
		t.Fatalf("additions should go ahead and removals wait: %+v", r)
	}
	if _, err := w.engine.Fetch(all[0].InfoHash); err != nil {
		t.Fatal("what is held is no longer seeded")
	}
	d.AllowPrune = true
	r = w.pass(w.again(d))
	if r.Held != 0 || r.Actions[apply.Prune] != 3 || !r.Applied {
		t.Fatalf("%+v", r)
	}
	w.requireTree(d.Listing)
	if len(w.inTrash()) != 3 {
		t.Fatal("what was removed is not in the trash")
	}
}

func TestHeldRemovalIsNotDisplaced(t *testing.T) {
	w := newWorld(t)
	w.manifest.Prune.Limit = manifests.Limit{Percent: 10, Files: 1}
	w.sync(w.want(w.file("a", "was a file"), w.file("dir/x", "x!"), w.file("dir/y", "y!!"), w.file("keep", "k")))
	d := w.want(w.file("a/in", "now a directory"), w.file("dir", "now a file"), w.file("keep", "k"))
	for range 3 {
		w.pass(w.again(d))
		must(t, w.engine.Feed())
	}
	r := w.pass(w.again(d))
	if r.Held != 3 || r.Complete || w.read("a") != "was a file" || w.read("dir/x") != "x!" {
		t.Fatalf("%+v", r)
	}
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "held") {
		t.Fatalf("the reason is not told: %v", err)
	}
	d.AllowPrune = true
	w.sync(d)
	if got := w.inTrash(); got["a"] != "was a file" || got["dir/x"] != "x!" || got["dir/y"] != "y!!" {
		t.Fatalf("trash: %q", got)
	}
}

func TestForeignObstructionsGoToTrash(t *testing.T) {
	w := newWorld(t)
	w.write("a", "a foreign file where a directory is needed")
	w.write("b/c", "a foreign file in a directory where a file is needed")
	w.write("untouched/d", "d")
	d := w.want(w.file("a/x", "ax"), w.file("b", "b"), symlink("untouched/link", "d"))
	w.pass(d)
	must(t, w.engine.Feed())
	r := w.pass(w.again(d))
	must(t, r.Err())
	w.requireTree(d.Listing, filepath.Join("untouched", "d"))
	kept := w.kept()
	if !kept["a foreign file where a directory is needed"] || !kept["a foreign file in a directory where a file is needed"] {
		t.Fatal("foreign bytes are lost")
	}
	if r.Foreign != 1 && r.Foreign != 3 {
		t.Fatalf("%d foreign files", r.Foreign)
	}
}

func TestClientLies(t *testing.T) {
	w := newWorld(t)
	e := w.know(enginetest.NewFile(t, "photos", "big", enginetest.Random(3, 4<<18)))
	d := w.want(e)
	w.pass(d)
	staged := filepath.Join(w.roots["photos"], ".seedtree/staging", e.InfoHash.String(), "photos", "big")
	bad := append([]byte(nil), w.data[e.InfoHash]...)
	bad[3<<18] ^= 1
	must(t, os.WriteFile(staged, bad, 0o644))
	w.engine.Lie(e.InfoHash)
	r := w.pass(w.again(d))
	if r.Complete || len(r.Errors) != 1 || !strings.Contains(r.Err().Error(), "only 786432 of 1048576 bytes are right") {
		t.Fatalf("%+v", r)
	}
	if _, err := os.Lstat(w.name("big")); err == nil {
		t.Fatal("wrong bytes are visible")
	}
	before := w.downloaded()
	w.sync(d)
	if got := w.downloaded() - before; got != 1<<18 {
		t.Fatalf("%d bytes were fetched for one bad piece", got)
	}
}

func TestClientKeepsALongerFile(t *testing.T) {
	w := newWorld(t)
	e := w.file("file", "right")
	d := w.want(e)
	w.pass(d)
	must(t, w.engine.Feed())
	staged := filepath.Join(w.roots["photos"], ".seedtree/staging", e.InfoHash.String(), "photos", "file")
	must(t, os.WriteFile(staged, []byte("right, and a tail of an old version"), 0o644))
	w.sync(d)
}

func TestEngineRefusesOneTorrent(t *testing.T) {
	w := newWorld(t)
	bad := w.file("bad", "bad name")
	w.sync(w.want(w.file("old", "old"), w.file("dies", "dies")))
	w.engine.Fail = func(op string, h manifests.InfoHash) error {
		if op == "add" && h == bad.InfoHash {
			return errors.New("the client renames this file")
		}
		return nil
	}
	d := w.want(w.file("a", "aaa"), bad, w.file("c", "ccc"), w.file("old", "old"))
	w.pass(w.again(d))
	must(t, w.engine.Feed())
	r := w.pass(w.again(d))
	if len(r.Errors) != 1 || r.Errors[0].Key != bad.Key() || r.Complete || r.Applied || r.Postponed != 1 {
		t.Fatalf("%+v", r)
	}
	if w.read("a") != "aaa" || w.read("c") != "ccc" || w.read("dies") != "dies" {
		t.Fatal("the others did not go on, or something was removed in a pass with errors")
	}
	w.engine.Fail = nil
	w.sync(d)
}

func TestEngineDown(t *testing.T) {
	w := newWorld(t)
	d := w.want(w.file("a", "aaa"))
	w.sync(d)
	down := errors.New("connection refused")
	w.engine.Fail = func(string, manifests.InfoHash) error { return down }
	if _, err := w.site.Observe(t.Context(), w.again(d)); !errors.Is(err, down) {
		t.Fatal(err)
	}
	w.requireTree(d.Listing)
}

func TestEngineLosesItsSession(t *testing.T) {
	w := newWorld(t)
	d := w.want(w.file("a", "aaa"), w.file("dir/b", "bbb"))
	w.sync(d)
	began := w.want(w.file("a", "aaa"), w.file("dir/b", "bbb"), w.file("half", strings.Repeat("h", 100)))
	w.pass(w.again(began))
	must(t, w.engine.Feed())
	w.engine = enginetest.NewMemory()
	w.reopen()
	r := w.pass(w.again(began))
	must(t, r.Err())
	if !r.Complete || w.downloaded() != 0 {
		t.Fatalf("%+v, %d fetched", r, w.downloaded())
	}
	w.requireTree(began.Listing)
}

func TestWrongMetainfo(t *testing.T) {
	w := newWorld(t)
	a, b := w.file("a", "aaa"), w.file("b", "bbb")
	w.meta[a.InfoHash] = w.meta[b.InfoHash]
	delete(w.meta, b.InfoHash)
	c := w.file("c", "ccc")
	r := w.pass(w.want(a, b, c))
	if len(r.Errors) != 2 || r.Waiting != 1 {
		t.Fatalf("%+v", r)
	}
}
