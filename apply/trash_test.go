package apply_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/manifests"
)

func TestTrashIsForPeople(t *testing.T) {
	w := newWorld(t)
	w.manifest.Prune.Limit.Percent = 99
	odd := "odd \xff\n name/é"
	w.sync(w.want(w.file("2019/a.jpg", "aaa"), w.file(odd, "odd"), w.file("keep", "k"), w.file("keep2", "k2")))
	w.sync(w.want(w.file("keep", "k"), w.file("keep2", "k2")))
	w.now = w.now.Add(time.Hour)
	w.sync(w.want(w.file("keep", "k")))
	b, err := os.ReadFile(w.name(".seedtree/trash/2026-03-01T14.05.09Z-000000000000/2019/a.jpg"))
	if err != nil || string(b) != "aaa" {
		t.Fatalf("not where people look for it: %v", err)
	}
	items, err := w.site.Trash(t.Context())
	must(t, err)
	if len(items) != 3 || items[0].Path != "keep2" {
		t.Fatalf("%+v", items)
	}
	var found apply.TrashItem
	for _, i := range items {
		if string(i.Path) == odd {
			found = i
		}
	}
	want := w.file(odd, "odd")
	if found.Content != want.Content || found.Length != 3 || !found.ModTime.Equal(want.ModTime) ||
		!found.Trashed.Equal(w.now.Add(-time.Hour)) || found.Reason != "no longer listed" {
		t.Fatalf("%+v", found)
	}
	must(t, w.site.RestoreTrash(found))
	if w.read(odd) != "odd" {
		t.Fatal("not restored")
	}
	if err := w.site.RestoreTrash(found); err == nil {
		t.Fatal("restored twice")
	}
	kept := items[0]
	w.write("keep2", "something newer")
	if err := w.site.RestoreTrash(kept); err == nil || w.read("keep2") != "something newer" {
		t.Fatalf("something was overwritten: %v", err)
	}
	for _, bad := range []apply.TrashItem{
		{Tree: "photos", Folder: "..", Path: "marker.json"},
		{Tree: "photos", Folder: "", Path: "x"},
		{Tree: "photos", Folder: kept.Folder, Path: "../../marker.json"},
		{Tree: "nope", Folder: "x", Path: "y"},
	} {
		if err := w.site.RestoreTrash(bad); err == nil {
			t.Errorf("%+v was restored", bad)
		}
	}
}

func TestTrashRetention(t *testing.T) {
	w := newWorld(t)
	w.manifest.Prune = manifests.PruneSpec{Limit: manifests.Limit{Percent: 99, Files: 10}, Trash: 48 * time.Hour}
	w.sync(w.want(w.file("a", "aaa"), w.file("b", "bbb"), w.file("c", "ccc")))
	w.sync(w.want(w.file("b", "bbb"), w.file("c", "ccc")))
	must(t, os.MkdirAll(w.name(".seedtree/trash/put here by a person"), 0o755))
	w.now = w.now.Add(47 * time.Hour)
	w.sync(w.want(w.file("c", "ccc")))
	if got := w.inTrash(); len(got) != 2 {
		t.Fatalf("something went before its time: %q", got)
	}
	w.now = w.now.Add(2 * time.Hour)
	w.sync(w.want(w.file("c", "ccc")))
	if got := w.inTrash(); len(got) != 1 || got["b"] != "bbb" {
		t.Fatalf("trash: %q", got)
	}
	n, err := w.site.EmptyTrash(t.Context(), 0)
	must(t, err)
	left, err := os.ReadDir(w.name(".seedtree/trash"))
	if n != 1 || err != nil || len(left) != 1 {
		t.Fatalf("%d folders went, %v are left (%v)", n, left, err)
	}
}

func TestTrashIndexIsNoProof(t *testing.T) {
	w := newWorld(t)
	w.manifest.Prune.Limit.Percent = 99
	a, b, c := w.file("a", "aaa"), w.file("b", "bbb"), w.file("c", "ccc")
	keep := w.file("keep", "k")
	w.sync(w.want(a, b, c, keep))
	w.sync(w.want(keep))
	folder := w.name(".seedtree/trash/2026-03-01T14.05.09Z-000000000000")
	must(t, os.WriteFile(filepath.Join(folder, "a"), []byte("xxx"), 0o644)) // other bytes
	must(t, os.Remove(filepath.Join(folder, "b")))                          // gone
	f, err := os.OpenFile(folder+".jsonl", os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString("{\"path\":\"../../escape\",\"content\":\"" + strings.Repeat("00", 32) + "\"}\nnot json\n{\"path\":\"torn")
	must(t, err)
	must(t, f.Close())
	before := w.downloaded()
	w.sync(w.want(a, b, c, keep))
	if got := w.downloaded() - before; got != 6 {
		t.Fatalf("%d bytes were fetched, two files of three bytes were spoilt", got)
	}
}

// TestLookDeceives: what stands at the path has the listed length and time but
// other bytes, and the right ones are in the trash.
func TestLookDeceives(t *testing.T) {
	w := newWorld(t)
	w.manifest.Prune.Limit.Percent = 99
	a, keep := w.file("a", "right"), w.file("keep", "k")
	w.sync(w.want(a, keep))
	w.sync(w.want(keep))
	w.write("a", "wrong")
	must(t, os.Chtimes(w.name("a"), a.ModTime, a.ModTime))
	before := w.downloaded()
	w.sync(w.want(a, keep))
	if w.downloaded() != before || w.inTrash()["a"] != "wrong" {
		t.Fatalf("%d bytes fetched, trash %q", w.downloaded()-before, w.inTrash())
	}
}

func TestSamePathTwiceInOnePass(t *testing.T) {
	for _, keep := range []bool{true, false} {
		w := newWorld(t)
		must(t, w.site.ThrowAway("photos", "dir/a", keep, 3, func(i int) {
			_ = os.Remove(w.name("dir/a"))
			w.write("dir/a", strings.Repeat("x", i+1))
		}))
		kept := w.kept()
		if !kept["x"] || !kept["xx"] || !kept["xxx"] {
			t.Fatalf("keep %t: trash holds %v", keep, kept)
		}
		must(t, w.site.ThrowAway("photos", "b", keep, 1, func(int) { w.write("b", "a file") }))
		must(t, w.site.ThrowAway("photos", "b/c", keep, 1, func(int) {
			_ = os.Remove(w.name("b"))
			w.write("b/c", "below what was a file")
		}))
		if kept = w.kept(); !kept["a file"] || !kept["below what was a file"] {
			t.Fatalf("keep %t: trash holds %v", keep, kept)
		}
	}
}
