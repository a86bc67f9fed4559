package builder

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"seedtree/manifests"
)

func TestBuildAllKinds(t *testing.T) {
	f := newFixture(t)
	big := strings.Repeat("0123456789abcdef", 50_000) // four pieces
	f.write("2019/a.jpg", "picture")
	f.write("2019/big", big)
	f.write("empty", "")
	f.write("run", "#!/bin/sh")
	f.write("nothing", "")
	f.must(os.Chmod(f.path("run"), 0o755))
	f.must(os.Chmod(f.path("nothing"), 0o755))
	f.must(os.MkdirAll(f.path("bare/inner"), 0o755))
	f.must(os.Symlink("2019/a.jpg", f.path("link")))
	r := f.commit()
	f.wantPaths(r, "2019/a.jpg", "2019/big", "empty (empty file)", "run", "nothing (empty file)",
		"bare/inner (empty directory)", "link (symlink)")
	f.wantContent(r.Listing, "2019/big", big)
	f.wantContent(r.Listing, "2019/a.jpg", "picture")
	for path, want := range map[string]bool{"run": true, "nothing": true, "empty": false, "2019/big": false} {
		if e, _ := r.Listing.Get(manifests.Key{Tree: "t", Path: manifests.Path(path)}); e.Executable != want {
			t.Errorf("%s: executable %v, want %v", path, e.Executable, want)
		}
	}
	if r.HashedFiles != 3 || r.HashedBytes != int64(len(big)+16) || r.BytesTotal != r.HashedBytes {
		t.Errorf("hashed %d files, %d of %d bytes", r.HashedFiles, r.HashedBytes, r.BytesTotal)
	}
	if r.Put.Len() != 7 || len(r.Delete)+len(r.Failed)+len(r.Skipped)+len(r.Warnings) != 0 {
		t.Errorf("result has more to say: %+v", r)
	}
}

// The second build reads nothing and has nothing to write.
func TestUnchangedIsNotRead(t *testing.T) {
	f := newFixture(t)
	f.write("a", "aa")
	f.write("d/b", "bb")
	f.commit()
	r := f.commit()
	if r.HashedFiles != 0 || r.HashedBytes != 0 || r.Put.Len()+len(r.Delete) != 0 || !r.Diff.Empty() {
		t.Fatalf("second build: %+v", r)
	}
	// Proof that it is the listing that says so: bytes change, the time does not.
	info, err := os.Stat(f.path("a"))
	f.must(err)
	f.must(os.WriteFile(f.path("a"), []byte("xx"), 0o644))
	f.must(os.Chtimes(f.path("a"), time.Time{}, info.ModTime()))
	f.wantContent(f.commit().Listing, "a", "aa")
	f.o.Rehash = true
	r = f.commit()
	f.wantContent(r.Listing, "a", "aa")
	if r.HashedFiles != 2 || len(r.Suspects) != 1 || !r.Diff.Empty() {
		t.Fatalf("rehash: %d hashed, suspects %+v, diff %+v", r.HashedFiles, r.Suspects, r.Diff)
	}
}

func TestExecutableBitAlone(t *testing.T) {
	f := newFixture(t)
	f.write("a", "aa")
	f.commit()
	f.must(os.Chmod(f.path("a"), 0o755))
	r := f.commit()
	if r.HashedFiles != 0 || r.Put.Len() != 1 || r.Put.At(0).Mode != Executable || len(r.Diff.Changed) != 1 {
		t.Fatalf("after chmod: %+v", r)
	}
	f.must(os.Chmod(f.path("a"), 0o644))
	f.o.Metainfo = nil
	if r := f.commit(); r.HashedFiles != 1 || r.Put.Len() != 1 || r.Put.At(0).Mode != File {
		t.Fatalf("after chmod back, without the old bytes: %+v", r)
	}
}

func TestTouchKeepsTheInfoHash(t *testing.T) {
	f := newFixture(t)
	f.write("a", "aa")
	f.commit()
	later := time.Now().Add(-time.Minute)
	f.must(os.Chtimes(f.path("a"), later, later))
	r := f.commit()
	if len(r.Diff.Changed) != 1 || r.Diff.Changed[0].Old.InfoHash != r.Diff.Changed[0].New.InfoHash {
		t.Fatalf("diff %+v", r.Diff)
	}
	if !r.Diff.Changed[0].New.ModTime.Equal(later) {
		t.Fatalf("listed at %v, want %v", r.Diff.Changed[0].New.ModTime, later)
	}
}

// Whatever becomes of a path, the catalog ends up saying so and nothing else
// (commit compares).
func TestKindChanges(t *testing.T) {
	f := newFixture(t)
	f.write("keep", "k")
	steps := []func(){
		func() { f.write("x", "file") },
		func() { f.must(os.Symlink("to", f.path("x"))) },
		func() { f.must(os.Mkdir(f.path("x"), 0o755)) },
		func() { f.write("x/y", "below") },
		func() { f.write("x", "") },
		func() { f.write("x/y/z", "deeper") },
		func() { f.write("x", "file again") },
	}
	for i, step := range steps {
		f.must(os.RemoveAll(f.path("x")))
		step()
		r := f.commit()
		if r.Listing.Len() != 2 {
			t.Fatalf("step %d: %q", i, paths(r.Listing))
		}
	}
}

func TestRename(t *testing.T) {
	f := newFixture(t)
	for i := range 20 {
		f.write(fmt.Sprintf("old/%d", i), fmt.Sprint("bytes of ", i))
	}
	f.commit()
	f.must(os.Rename(f.path("old"), f.path("new")))
	r := f.commit() // everything moved: nothing is lost, so no limit holds it
	if len(r.Diff.Renamed) != 20 || len(r.Diff.Added)+len(r.Diff.Removed)+len(r.Diff.Changed) != 0 {
		t.Fatalf("diff %+v", r.Diff)
	}
	if r.Put.Len() != 20 || len(r.Delete) != 20 {
		t.Fatalf("%d to put, %d to delete", r.Put.Len(), len(r.Delete))
	}
}

func TestIgnoreRules(t *testing.T) {
	f := newFixture(t)
	f.ignore("*.tmp", "/cache/**", "!keep.tmp")
	f.write("a.tmp", "1")
	f.write("keep.tmp", "2")
	f.write("cache/x", "3")
	f.write("d/cache/x", "4")
	f.write("d/.seedtreeignore", "/secret\n!b.tmp\n")
	f.write("d/secret", "5")
	f.write("d/b.tmp", "6")
	f.write("d/e/secret", "7")
	r := f.commit()
	f.wantPaths(r, "keep.tmp", "cache (empty directory)", "d/cache/x", "d/.seedtreeignore", "d/b.tmp", "d/e/secret")
	// What is ignored from now on leaves the catalog.
	f.ignore("*.tmp", "e/")
	f.wantPaths(f.commit(), "cache/x", "d/cache/x", "d/.seedtreeignore", "d/b.tmp")
}

func TestRemovalLimit(t *testing.T) {
	f := newFixture(t)
	f.o.Manifest.Prune.Limit = manifests.Limit{Percent: 10, Files: 1000}
	for i := range 40 {
		f.write(fmt.Sprint(i), fmt.Sprint("bytes of ", i))
	}
	f.commit()
	for i := range 12 {
		f.must(os.Remove(f.path(fmt.Sprint(i))))
	}
	r, err := f.build()
	var limit *LimitError
	if !errors.Is(err, ErrTooManyRemovals) || !errors.As(err, &limit) {
		t.Fatalf("got %v", err)
	}
	if limit.Removed != 12 || limit.Base != 40 || len(limit.Sample) != 10 || !strings.Contains(err.Error(), `"t/0"`) {
		t.Fatalf("limit error %+v", limit)
	}
	if r == nil || len(r.Diff.Removed) != 12 {
		t.Fatal("no result to look at")
	}
	f.o.AllowRemovals = true
	if r := f.commit(); len(r.Delete) != 12 {
		t.Fatalf("deletes %d", len(r.Delete))
	}
	f.o.AllowRemovals = false
	f.must(os.Remove(f.path("20")))
	f.must(os.Remove(f.path("21")))
	if r := f.commit(); len(r.Delete) != 2 { // 10 % of 28
		t.Fatalf("deletes %d", len(r.Delete))
	}
}

func TestTreesMustBeTheSame(t *testing.T) {
	f := newFixture(t)
	f.write("a", "aa")
	f.o.Manifest.Trees["films"] = manifests.TreeSpec{}
	if _, err := f.build(); err == nil || !strings.Contains(err.Error(), "films") {
		t.Fatalf("a tree without a folder: %v", err)
	}
	delete(f.o.Manifest.Trees, "films")
	f.o.Trees["music"] = t.TempDir()
	if _, err := f.build(); err == nil || !strings.Contains(err.Error(), "music") {
		t.Fatalf("a folder without a tree: %v", err)
	}
}

func TestTwoTrees(t *testing.T) {
	f, g := newFixture(t), newFixture(t)
	g.marker(manifests.Marker{Tree: "u", Site: "oslo", Role: manifests.RoleSource})
	f.o.Trees["u"] = g.dir
	f.o.Manifest.Trees["u"] = manifests.TreeSpec{Ignore: []string{"*.o"}}
	f.write("a.o", "aa")
	g.write("a.o", "aa")
	g.write("b", "bb")
	r := f.commit()
	if got := r.Listing.Trees(); !slices.Equal(got, []string{"t", "u"}) || r.Listing.Len() != 2 {
		t.Fatalf("listed %q of %q", paths(r.Listing), got)
	}
	// One of two trees emptied is an emptied tree, however small its part.
	f.must(os.Remove(g.path("b")))
	if _, err := f.build(); !errors.Is(err, ErrEmpty) {
		t.Fatalf("emptied tree: %v", err)
	}
}

func TestProgress(t *testing.T) {
	f := newFixture(t)
	f.write("a", "aa")
	f.write("b", "bbb")
	f.write("c", "")
	var last Progress
	f.o.Progress = func(p Progress) { last = p }
	f.commit()
	if want := (Progress{Seen: 3, Files: 2, FilesTotal: 2, Bytes: 5, BytesTotal: 5}); last != want {
		t.Fatalf("last progress %+v, want %+v", last, want)
	}
}
