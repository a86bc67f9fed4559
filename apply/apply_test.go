package apply_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/manifests"
)

func TestFollowerFetchesEverything(t *testing.T) {
	w := newWorld(t)
	big := w.know(enginetest.NewFile(t, "photos", "raw/big.raw", enginetest.Random(1, 5<<18+3)))
	x := w.file("bin/tool", "#!/bin/sh\n")
	x.Executable = true
	d := w.want(w.file("2019/a.jpg", "a"), w.file("b.jpg", "bb"), big, x,
		empty("empty.txt"), symlink("latest", "2019/../../nowhere"), emptyDir("2020/new"))

	r := w.pass(d)
	if r.Complete || !r.Applied || r.Waiting != 4 || r.BytesMissing != 1+2+10+5<<18+3 || len(r.Missing) != 4 {
		t.Fatalf("first pass: %+v", r)
	}
	if _, err := os.Lstat(w.name("2019/a.jpg")); err == nil {
		t.Fatal("something is visible before it was fetched")
	}
	must(t, w.engine.Feed())
	r = w.pass(w.again(d))
	if !r.Complete || r.Actions[apply.Place] != 4 || r.InSync != 7 {
		t.Fatalf("second pass: %+v", r)
	}
	w.requireTree(d.Listing)
	w.requireStagingEmpty()
	calls := len(w.engine.Calls())
	if p := w.plan(w.again(d)); len(p.Actions) != 0 || p.InSync != 7 || p.Foreign != 0 {
		t.Fatalf("third pass would do %s, in sync %d", kinds(p.Actions), p.InSync)
	}
	if r = w.pass(w.again(d)); !r.Complete || len(w.engine.Calls()) != calls {
		t.Fatalf("a pass without work did something: %+v", r)
	}
}

func TestSettlePlacesWhatArrived(t *testing.T) {
	w := newWorld(t)
	a, b := w.file("a", "aaaa"), w.file("deep/b", "bbbb")
	d := w.want(a, b)
	w.pass(d)
	must(t, w.engine.Feed(a.InfoHash))
	r, err := w.site.Settle(t.Context(), w.again(d))
	must(t, err)
	if r.Waiting != 1 || r.Complete || r.Actions[apply.Place] != 1 || w.read("a") != "aaaa" {
		t.Fatalf("%+v", r)
	}
	must(t, w.engine.Feed())
	r, err = w.site.Settle(t.Context(), w.again(d))
	must(t, err)
	if r.Waiting != 0 || !r.Complete {
		t.Fatalf("%+v", r)
	}
	w.requireTree(d.Listing)
	w.requireStagingEmpty()
	if r := w.pass(w.again(d)); !r.Complete {
		t.Fatalf("%+v", r)
	}
}

func TestAdoptPreseededDrive(t *testing.T) {
	w := newWorld(t)
	good := w.file("good", "good bytes")
	touched := w.file("touched", "same bytes, copied without -p")
	rotten := w.file("rotten", strings.Repeat("r", 3<<18))
	rottenData := []byte(w.data[rotten.InfoHash])
	rottenData = append([]byte(nil), rottenData...)
	rottenData[1<<18] = 'X'
	for e, data := range map[*manifests.Entry][]byte{&good: w.data[good.InfoHash], &rotten: rottenData} {
		w.write(string(e.Path), string(data))
		must(t, os.Chtimes(w.name(string(e.Path)), e.ModTime, e.ModTime))
	}
	w.write("touched", string(w.data[touched.InfoHash]))
	d := w.want(good, touched, rotten)
	if got := kinds(w.plan(d).Actions); got != "add touched; adopt good; adopt rotten" {
		t.Fatal(got)
	}
	w.sync(d)
	// Only the one bad piece of the rotten file came over the wire.
	if got := w.downloaded(); got != 1<<18 {
		t.Fatalf("%d bytes were fetched", got)
	}
	if got := w.inTrash(); len(got) != 1 || got["rotten"] != string(rottenData) {
		t.Fatalf("the trash holds %d items", len(got))
	}
	for _, e := range []manifests.Entry{good, touched, rotten} {
		if !w.engine.ReadOnly(e.InfoHash) {
			t.Errorf("%s may be written by the engine in the tree", e.Path)
		}
	}
}

func TestReplaceAndRevert(t *testing.T) {
	w := newWorld(t)
	v1 := w.file("doc", strings.Repeat("1", 3<<18))
	text2 := strings.Repeat("1", 2<<18) + strings.Repeat("2", 1<<18)
	v2 := w.know(enginetest.NewFileAt(t, "photos", "doc", []byte(text2), time.Unix(1700000000, 5)))
	one := w.want(v1)
	w.sync(one)
	before := w.downloaded()
	two := w.want(v2)
	w.pass(two)
	if w.read("doc") != string(w.data[v1.InfoHash]) {
		t.Fatal("the old version was not left in place while the new one is fetched")
	}
	w.sync(two)
	if got := w.downloaded() - before; got != 1<<18 {
		t.Fatalf("%d bytes were fetched for one changed piece", got)
	}
	if w.inTrash()["doc"] != string(w.data[v1.InfoHash]) {
		t.Fatal("the old version is not in the trash")
	}
	before = w.downloaded()
	three := w.want(v1)
	if got := kinds(w.plan(w.again(three)).Actions); got != "restore doc" {
		t.Fatal(got)
	}
	r := w.sync(three)
	if w.downloaded() != before || r.BytesReused == 0 {
		t.Fatalf("a revert fetched %d bytes, reused %d", w.downloaded()-before, r.BytesReused)
	}
	if got := w.inTrash()["doc"]; got != text2 {
		t.Fatal("the reverted version is not in the trash")
	}
	w.requireStagingEmpty()
}

func TestRemoveAndRevert(t *testing.T) {
	w := newWorld(t)
	w.manifest.Prune.Limit.Percent = 90
	keep, gone := w.file("keep", "k"), w.file("a/b/gone", "g")
	twin := w.file("a/b/twin", "g")
	w.sync(w.want(keep, gone, twin, empty("e"), symlink("s", "keep")))
	before := w.downloaded()
	r := w.sync(w.want(keep))
	if r.Actions[apply.Prune] != 4 {
		t.Fatalf("%+v", r)
	}
	trash := w.inTrash()
	if len(trash) != 4 || trash["a/b/gone"] != "g" {
		t.Fatalf("trash: %q", trash)
	}
	if _, err := os.Lstat(w.name("a")); err == nil {
		t.Fatal("directories that became empty are still there")
	}
	w.sync(w.want(keep, gone, twin, empty("e"), symlink("s", "keep")))
	if w.downloaded() != before {
		t.Fatal("bytes from the trash were fetched again")
	}
	if _, left := w.inTrash()["a/b/gone"]; left {
		t.Fatal("what was restored is still in the trash")
	}
}

func TestRenameDirectoryOfThousands(t *testing.T) {
	const n = 2000
	w := newWorld(t)
	var old, moved []manifests.Entry
	for i := range n {
		text := strings.Repeat("x", i%50) + time.Duration(i).String()
		sub := string(rune('a'+i%7)) + "/" + time.Duration(i).String()
		old = append(old, w.file("2019 unsorted/"+sub, text))
		moved = append(moved, w.file("archive/2019/"+sub, text))
	}
	w.manifest.Prune.Limit = manifests.Limit{Percent: 1, Files: 1}
	for _, e := range old {
		w.write(string(e.Path), string(w.data[e.InfoHash]))
		must(t, os.Chtimes(w.name(string(e.Path)), e.ModTime, e.ModTime))
	}
	w.sync(w.want(old...))
	d := w.want(moved...)
	p := w.plan(w.again(d))
	if len(p.Held) != 0 || len(p.Actions) != n || p.Actions[n-1].Kind != apply.Move {
		t.Fatalf("%d held, %d actions", len(p.Held), len(p.Actions))
	}
	r := w.pass(w.again(d))
	must(t, r.Err())
	if !r.Complete || r.Actions[apply.Move] != n || w.downloaded() != 0 {
		t.Fatalf("complete %t, actions %v, %d bytes fetched", r.Complete, r.Actions, w.downloaded())
	}
	w.requireTree(d.Listing)
	w.requireStagingEmpty()
	if got := w.inTrash(); len(got) != 0 {
		t.Fatalf("%d items went to the trash", len(got))
	}
	if _, err := os.Lstat(w.name("2019 unsorted")); err == nil {
		t.Fatal("the old directory is still there")
	}
}

// TestRotateThousand renames every file to its neighbour's name, over more
// files than one batch holds: no name is overwritten before its bytes are taken.
func TestRotateThousand(t *testing.T) {
	const n = 1100
	w := newWorld(t)
	var before, after []manifests.Entry
	for i := range n {
		e := enginetest.NewFileAt(t, "photos", fmt.Sprintf("%04d", i), fmt.Appendf(nil, "content %d", i), time.Unix(1600000000+int64(i), 0))
		next := enginetest.NewFileAt(t, "photos", fmt.Sprintf("%04d", (i+1)%n), e.Data, e.Entry.ModTime)
		before, after = append(before, w.know(e)), append(after, w.know(next))
		e.Write(t, w.roots["photos"])
	}
	w.sync(w.want(before...))
	w.sync(w.want(after...))
	if w.downloaded() != 0 {
		t.Fatalf("%d bytes were fetched", w.downloaded())
	}
	w.requireStagingEmpty()
}

// TestMoveInterruptedBeforeTheOldNameWent: both names are one file.
func TestMoveInterruptedBeforeTheOldNameWent(t *testing.T) {
	w := newWorld(t)
	a, x := w.file("dir/a", "aaa"), w.file("x", "aaa")
	w.sync(w.want(a))
	must(t, os.Link(w.name("dir/a"), w.name("x")))
	w.sync(w.want(x))
	if got := w.inTrash(); len(got) != 0 || w.downloaded() != 3 {
		t.Fatalf("trash %q, fetched %d", got, w.downloaded())
	}
}

// TestPlaceInterruptedBeforeTheEngineKnew: the file is in the tree and, by the
// same link, in staging.
func TestPlaceInterruptedBeforeTheEngineKnew(t *testing.T) {
	w := newWorld(t)
	e := w.file("dir/a", "aaa")
	d := w.want(e)
	w.pass(d)
	must(t, w.engine.Feed())
	staged := filepath.Join(w.roots["photos"], ".seedtree/staging", e.InfoHash.String(), "photos/dir/a")
	must(t, os.Chtimes(staged, e.ModTime, e.ModTime))
	must(t, os.Mkdir(w.name("dir"), 0o755))
	must(t, os.Link(staged, w.name("dir/a")))
	w.sync(d)
	w.requireStagingEmpty()
	if got := w.inTrash(); len(got) != 0 {
		t.Fatalf("trash %q", got)
	}
}

// TestListedEmptyDirectoryStays: the last file leaves a directory that is
// listed as empty from now on.
func TestListedEmptyDirectoryStays(t *testing.T) {
	w := newWorld(t)
	w.sync(w.want(w.file("dir/x", "x"), w.file("keep", "k"), w.file("keep2", "k2")))
	made := 0
	w.site.SetStep(func(op string) {
		if op == "rmdir dir" {
			made++
		}
	})
	w.sync(w.want(emptyDir("dir"), w.file("keep", "k"), w.file("keep2", "k2")))
	if made != 0 {
		t.Fatal("the directory was gone for a moment")
	}
}

// TestNewVersionTurnsUp: somebody copied the new version over the old one, by
// hand and with a time of its own. One path must not have two torrents.
func TestNewVersionTurnsUp(t *testing.T) {
	w := newWorld(t)
	old := w.file("a", "old!")
	w.sync(w.want(old))
	next := w.file("a", "new!")
	w.write("a", "new!")
	d := w.want(next)
	w.sync(d)
	if w.downloaded() != 4 {
		t.Fatalf("%d bytes were fetched", w.downloaded())
	}
	w.write("a", "newer!")
	last := w.know(enginetest.NewFileAt(t, "photos", "a", []byte("newer!"), time.Unix(1700000000, 0)))
	removed := false
	w.site.SetStep(func(op string) {
		if op == "engine remove" {
			removed = true
		}
		if op == "engine add" && !removed {
			t.Error("the new torrent was added while the old one was seeded from the same path")
		}
	})
	w.sync(w.want(last))
}

func TestSwapAndDuplicate(t *testing.T) {
	w := newWorld(t)
	a, b := w.file("a", "content of a"), w.file("b", "other content, of b")
	w.sync(w.want(a, b))
	before := w.downloaded()
	w.sync(w.want(w.file("a", "other content, of b"), w.file("b", "content of a")))
	w.sync(w.want(w.file("a", "other content, of b"), w.file("b", "content of a"),
		w.file("copies/1", "content of a"), w.file("copies/2", "content of a")))
	w.sync(w.want(w.file("x/1", "content of a"), w.file("x/2", "content of a"), w.file("x/3", "content of a"),
		w.file("x/4", "content of a"), w.file("a", "other content, of b")))
	if w.downloaded() != before {
		t.Fatal("bytes that were here were fetched")
	}
	first, err := os.Stat(w.name("x/1"))
	must(t, err)
	for _, other := range []string{"x/2", "x/3", "x/4"} {
		info, err := os.Stat(w.name(other))
		must(t, err)
		if os.SameFile(first, info) {
			t.Fatalf("x/1 and %s are one file: an edit of one changes the other", other)
		}
	}
	w.requireStagingEmpty()
}
