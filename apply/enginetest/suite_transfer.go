package enginetest

import (
	"os"
	"path/filepath"
	"testing"

	"seedtree/apply"
	"seedtree/manifests"
)

func testAddNone(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	f := NewFile(t, "photos", "2019/a.jpg", Random(1, 600000))
	stage := stagingRoot(t, root, f)
	s.add(t, staged(f, stage, nil))
	s.until(t, "waiting with everything missing", func(list map[manifests.InfoHash]apply.Torrent) bool {
		one, held := list[f.Entry.InfoHash]
		if one.Done() {
			t.Fatalf("complete without data: %+v", one)
		}
		return held && one.Root == stage && one.State == apply.Downloading && one.Left == f.Entry.Length
	})
}

func testDownload(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	files := []File{
		NewFile(t, "photos", "one byte", []byte{7}),
		NewFile(t, "photos", "2019/exactly one piece", Random(1, 1<<18)),
		NewFile(t, "photos", "2019/deep/several.raw", Random(2, 5<<18+1)),
	}
	peers := s.Seed(t, files...)
	for _, f := range files {
		s.add(t, staged(f, stagingRoot(t, root, f), peers))
	}
	for _, f := range files {
		stage := stagingRoot(t, root, f)
		s.untilDone(t, stage, f)
		requireSame(t, f, stage, f.Data)
		if got := names(t, stage); len(got) != 1 {
			t.Fatalf("staging holds %q", got)
		}
		if _, err := os.Lstat(f.Name(root)); !os.IsNotExist(err) {
			t.Fatalf("the engine wrote into the tree: %v", err)
		}
	}
	if m, counts := s.Engine.(apply.Meter); counts {
		traffic, err := m.Traffic(t.Context())
		if want := int64(1 + 1<<18 + 5<<18 + 1); err != nil || traffic.Downloaded < want {
			t.Fatalf("the meter says %+v (%v), %d bytes were moved", traffic, err, want)
		}
	}
}

func testDownloadPartial(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	f := NewFile(t, "photos", "film.raw", Random(1, 8<<18))
	stage := stagingRoot(t, root, f)
	old := append([]byte(nil), f.Data...)
	copy(old[3<<18:], Random(2, 1<<18)) // piece 3 is of an older version
	f.WriteData(t, stage, old)
	a := staged(f, stage, s.Seed(t, f))
	a.Have = f.Without(3)
	s.add(t, a)
	s.untilDone(t, stage, f)
	requireSame(t, f, stage, f.Data)
	if m, counts := s.Engine.(apply.Meter); counts {
		traffic, err := m.Traffic(t.Context())
		if err != nil || traffic.Downloaded >= f.Entry.Length/2 {
			t.Fatalf("one piece of eight was missing, the meter says %+v (%v)", traffic, err)
		}
	}
}

// place publishes staged data as apply does: link, tell the engine, clean up.
func (s *suite) place(t *testing.T, f File, stage, root string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(f.Name(root)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(f.Name(stage), f.Name(root)); err != nil {
		t.Fatal(err)
	}
	if err := s.Engine.Move(t.Context(), f.Entry.InfoHash, root); err != nil {
		t.Fatalf("move: %v", err)
	}
	if err := os.RemoveAll(filepath.Dir(stage)); err != nil {
		t.Fatal(err)
	}
}

func testMove(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	f := NewFile(t, "photos", "2019/a.raw", Random(1, 3<<18))
	stage := stagingRoot(t, root, f)
	s.add(t, staged(f, stage, s.Seed(t, f)))
	s.untilDone(t, stage, f)
	s.place(t, f, stage, root)
	s.untilDone(t, root, f)
	requireSame(t, f, root, f.Data)
	s.requireFetch(t, f)
	// Told again, as after a crash between the move and the clean-up.
	if err := s.Engine.Move(t.Context(), f.Entry.InfoHash, root); err != nil {
		t.Fatalf("move to where it already is: %v", err)
	}
	s.untilDone(t, root, f)
	if got := names(t, root); len(got) != 1 {
		t.Fatalf("the tree holds %q", got)
	}
}

func testMoveThenReadOnly(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	f := NewFile(t, "photos", "a.raw", Random(1, 3<<18))
	stage := stagingRoot(t, root, f)
	peers := s.Seed(t, f)
	s.add(t, staged(f, stage, peers))
	s.untilDone(t, stage, f)
	s.place(t, f, stage, root)
	s.untilDone(t, root, f)
	edited := Random(9, len(f.Data))
	f.WriteData(t, root, edited)
	s.Engine = s.Reopen(t)
	s.passTime(t)
	requireSame(t, f, root, edited)
}

func testMoveUnknown(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	f := NewFile(t, "photos", "a.jpg", Random(1, 1000))
	err := s.Engine.Move(t.Context(), f.Entry.InfoHash, root)
	if failed, only := apply.EngineErrors(err); !only || failed[f.Entry.InfoHash] == nil {
		t.Fatalf("moving an unknown torrent gives %v", err)
	}
}

func testReopen(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	here := NewFile(t, "photos", "here.jpg", Random(1, 300000))
	here.Write(t, root)
	waits := NewFile(t, "photos", "waits.jpg", Random(2, 300000))
	fetched := NewFile(t, "photos", "fetched.jpg", Random(3, 300000))
	peers := s.Seed(t, fetched)
	s.add(t, inPlace(here, root),
		staged(waits, stagingRoot(t, root, waits), nil),
		staged(fetched, stagingRoot(t, root, fetched), peers))
	s.untilDone(t, root, here)
	s.untilDone(t, stagingRoot(t, root, fetched), fetched)

	s.Engine = s.Reopen(t)
	s.untilDone(t, root, here)
	s.untilDone(t, stagingRoot(t, root, fetched), fetched)
	s.requireFetch(t, here)
	s.until(t, "the incomplete one is still held in staging", func(list map[manifests.InfoHash]apply.Torrent) bool {
		one, held := list[waits.Entry.InfoHash]
		if one.Done() {
			t.Fatalf("complete without data: %+v", one)
		}
		return held && one.Root == stagingRoot(t, root, waits)
	})
	if err := s.Engine.Remove(t.Context(), []manifests.InfoHash{here.Entry.InfoHash}); err != nil {
		t.Fatal(err)
	}
	s.Engine = s.Reopen(t)
	if _, back := s.torrents(t)[here.Entry.InfoHash]; back {
		t.Fatal("a removed torrent came back")
	}
}

// passTime lets the engine do a round of real work, so that whatever it is
// about to do with other torrents would have happened by then.
func (s *suite) passTime(t *testing.T) {
	t.Helper()
	for i := range 2 {
		root := treeRoot(t, "clock")
		f := NewFile(t, "clock", string(rune('a'+i)), Random(uint64(100+i), 300000))
		s.add(t, staged(f, stagingRoot(t, root, f), s.Seed(t, f)))
		s.untilDone(t, stagingRoot(t, root, f), f)
	}
}
