package enginetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"seedtree/apply"
	"seedtree/manifests"
)

// treeRoot makes an empty tree root. Its last component is the tree's name,
// for clients that put a folder of that name below a download directory.
func treeRoot(t *testing.T, tree string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), tree)
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// stagingRoot names, and makes, the folder that apply stages one torrent in.
func stagingRoot(t *testing.T, root string, f File) string {
	t.Helper()
	dir := filepath.Join(root, manifests.PrivateDir, "staging", f.Entry.InfoHash.String(), f.Entry.Tree)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// inPlace is how apply adds a file whose bytes it has checked in a tree.
func inPlace(f File, root string) apply.Addition {
	return apply.Addition{Entry: f.Entry, Metainfo: f.Metainfo, Root: root, Have: f.Full(), ReadOnly: true}
}

// staged is how apply adds a file that must be fetched.
func staged(f File, root string, peers []string) apply.Addition {
	return apply.Addition{Entry: f.Entry, Metainfo: f.Metainfo, Root: root, Peers: peers}
}

// names lists every file below root, relative, for "nothing else appeared".
func names(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(root, name)
			all = append(all, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func testEmpty(t *testing.T, s *suite) {
	if list := s.torrents(t); len(list) != 0 {
		t.Fatalf("a fresh engine lists %+v", list)
	}
	if err := s.Engine.Add(t.Context(), nil); err != nil {
		t.Fatalf("adding nothing: %v", err)
	}
	if err := s.Engine.Remove(t.Context(), nil); err != nil {
		t.Fatalf("removing nothing: %v", err)
	}
}

func testAddFull(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	small := NewFile(t, "photos", "2019/a.jpg", Random(1, 1000))
	large := NewFile(t, "photos", "2019/deep/er/b.raw", Random(2, 5<<18+17))
	for _, f := range []File{small, large} {
		f.Write(t, root)
	}
	s.add(t, inPlace(small, root), inPlace(large, root))
	s.untilDone(t, root, small, large)
	s.requireFetch(t, small)
	s.requireFetch(t, large)
	requireSame(t, small, root, small.Data)
	if got := names(t, root); len(got) != 2 {
		t.Fatalf("the tree now holds %q", got)
	}
	st, err := os.Stat(large.Name(root))
	if err != nil || !st.ModTime().Equal(large.Entry.ModTime) {
		t.Fatalf("the data file's time was changed: %v %v", st.ModTime(), err)
	}
}

func testAddTwice(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	f := NewFile(t, "photos", "a.jpg", Random(1, 70000))
	f.Write(t, root)
	for range 3 {
		s.add(t, inPlace(f, root))
	}
	s.add(t, inPlace(f, root), inPlace(f, root))
	s.untilDone(t, root, f)
	// A second opinion on what is there must not reset what is held.
	again := inPlace(f, root)
	again.Have = nil
	s.add(t, again)
	s.untilDone(t, root, f)
	if n := len(s.torrents(t)); n != 1 {
		t.Fatalf("%d torrents after adding one several times", n)
	}
}

func testRemove(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	keep := NewFile(t, "photos", "keep.jpg", Random(1, 70000))
	gone := NewFile(t, "photos", "gone/x.jpg", Random(2, 70000))
	unknown := NewFile(t, "photos", "unknown.jpg", Random(3, 70000))
	for _, f := range []File{keep, gone} {
		f.Write(t, root)
		s.add(t, inPlace(f, root))
	}
	s.untilDone(t, root, keep, gone)
	both := []manifests.InfoHash{unknown.Entry.InfoHash, gone.Entry.InfoHash}
	for range 2 {
		if err := s.Engine.Remove(t.Context(), both); err != nil {
			t.Fatalf("remove: %v", err)
		}
		list := s.torrents(t)
		if _, still := list[gone.Entry.InfoHash]; still || len(list) != 1 {
			t.Fatalf("after remove the engine lists %+v", list)
		}
	}
	requireSame(t, gone, root, gone.Data)
	s.requireFetch(t, keep)
	s.add(t, inPlace(gone, root))
	s.untilDone(t, root, keep, gone)
}

func testForeign(t *testing.T, s *suite) {
	if s.Foreign == nil {
		t.Log("nothing but seedtree can add torrents to this engine")
		return
	}
	theirs := NewFile(t, "holiday", "film.mkv", Random(8, 300000))
	dir := treeRoot(t, "holiday")
	theirs.Write(t, dir)
	there := s.Foreign(t, theirs, dir)
	root := treeRoot(t, "photos")
	ours := NewFile(t, "photos", "a.jpg", Random(1, 70000))
	ours.Write(t, root)
	s.add(t, inPlace(ours, root))
	s.untilDone(t, root, ours)
	if list := s.torrents(t); len(list) != 1 {
		t.Fatalf("foreign torrents are listed: %+v", list)
	}
	if err := s.Engine.Remove(t.Context(), []manifests.InfoHash{theirs.Entry.InfoHash, ours.Entry.InfoHash}); err != nil {
		t.Fatalf("remove: %v", err)
	}
	if !there() {
		t.Fatal("the user's own torrent is gone or changed")
	}
	requireSame(t, theirs, dir, theirs.Data)
}

func testSameContentTwice(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	a := NewFile(t, "photos", "a.jpg", Random(1, 70000))
	b := NewFile(t, "photos", "copy of a.jpg", a.Data)
	if a.Entry.InfoHash == b.Entry.InfoHash || a.Entry.Content != b.Entry.Content {
		t.Fatal("test premise: equal content, different torrents")
	}
	a.Write(t, root)
	b.Write(t, root)
	s.add(t, inPlace(a, root), inPlace(b, root))
	s.untilDone(t, root, a, b)
	s.requireFetch(t, b)
}

func testMany(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	files := make([]File, s.Many)
	additions := make([]apply.Addition, s.Many)
	hashes := make([]manifests.InfoHash, 0, s.Many)
	for i := range files {
		files[i] = NewFile(t, "photos", fmt.Sprintf("%02d/%04d.txt", i%40, i), Random(uint64(i), 100+i))
		files[i].Write(t, root)
		additions[i] = inPlace(files[i], root)
		hashes = append(hashes, files[i].Entry.InfoHash)
	}
	s.add(t, additions[:s.Many/2]...)
	s.add(t, additions...)
	s.untilDone(t, root, files...)
	s.requireFetch(t, files[s.Many-1])
	if err := s.Engine.Remove(t.Context(), hashes[1:]); err != nil {
		t.Fatal(err)
	}
	if list := s.torrents(t); len(list) != 1 || !list[hashes[0]].Done() {
		t.Fatalf("after removing all but one, %d torrents are held", len(list))
	}
	if got := names(t, root); len(got) != s.Many {
		t.Fatalf("%d files are left of %d", len(got), s.Many)
	}
}

func testCancelled(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	f := NewFile(t, "photos", "a.jpg", Random(1, 70000))
	f.Write(t, root)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Engine.Add(ctx, []apply.Addition{inPlace(f, root)}); err == nil {
		t.Fatal("add under a cancelled context says it succeeded")
	}
	if list := s.torrents(t); len(list) != 0 {
		t.Fatalf("held although cancelled: %+v", list)
	}
	s.add(t, inPlace(f, root))
	s.untilDone(t, root, f)
}
