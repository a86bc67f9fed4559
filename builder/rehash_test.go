package builder

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"seedtree/manifests"
)

// rot changes a file's bytes and nothing else that a listing knows.
func (f *fixture) rot(name, data string) {
	f.t.Helper()
	info, err := os.Stat(f.path(name))
	f.must(err)
	f.must(os.WriteFile(f.path(name), []byte(data), 0o644))
	f.must(os.Chtimes(f.path(name), info.ModTime(), info.ModTime()))
}

// Rot is reported and not committed; everything else is built as ever.
func TestRehashFindsRot(t *testing.T) {
	f := newFixture(t)
	f.write("d/rotten", "good bytes")
	f.write("d/fine", "fine")
	f.write("edited", "before")
	f.commit()
	f.rot("d/rotten", "bad  bytes")
	f.write("edited", "after, and longer")
	f.write("new", "new")

	if r, err := f.build(); err != nil || len(r.Suspects) != 0 {
		t.Fatalf("nobody asked to read everything, and yet: %v, %v", r.Suspects, err)
	}
	f.o.Rehash = true
	r := f.commit()
	if len(r.Suspects) != 1 || r.Suspects[0].Entry.Path != "d/rotten" || r.Suspects[0].Entry.Content != contentOf("good bytes") || r.Suspects[0].Found != contentOf("bad  bytes") {
		t.Fatalf("suspects: %+v", r.Suspects)
	}
	f.wantContent(r.Listing, "d/rotten", "good bytes")
	f.wantContent(r.Listing, "edited", "after, and longer")
	f.wantContent(r.Listing, "new", "new")
	if r.HashedFiles != 4 || r.Put.Len() != 2 {
		t.Errorf("hashed %d files, put %d", r.HashedFiles, r.Put.Len())
	}
	// An interrupted look at everything finds it as well.
	path := filepath.Join(t.TempDir(), "journal")
	f.must(f.openJournalAndBuild(path))
	j := f.openJournal(path)
	if r := f.commit(); len(r.Suspects) != 1 || r.HashedFiles != 0 {
		t.Errorf("from a journal: suspects %+v, hashed %d", r.Suspects, r.HashedFiles)
	}
	f.must(j.Close())
}

func (f *fixture) openJournalAndBuild(path string) error {
	j := f.openJournal(path)
	_, err := f.build()
	return errors.Join(err, j.Close())
}

// What is accepted is committed with its new bytes, and nothing beside it;
// without Rehash nothing else is read.
func TestAccept(t *testing.T) {
	for _, c := range []struct {
		accept   manifests.Path
		rehash   bool
		suspects int
		hashed   int
		read     int
	}{
		{"d/one", true, 2, 1, 4},
		{"d", true, 1, 2, 4},
		{"", true, 0, 3, 4},
		{"d/one", false, 0, 1, 1},
		{"d", false, 0, 2, 2},
		{"", false, 0, 3, 4},
	} {
		f := newFixture(t)
		for _, name := range []string{"d/one", "d/two", "d.three", "four"} {
			f.write(name, "good bytes of "+name)
		}
		f.commit()
		for _, name := range []string{"d/one", "d/two", "d.three"} {
			f.rot(name, "bad_ bytes of "+name)
		}
		f.o.Rehash, f.o.Accept = c.rehash, []manifests.Key{{Tree: "t", Path: c.accept}}
		r := f.commit()
		if len(r.Suspects) != c.suspects || len(r.Diff.Changed) != c.hashed || r.HashedFiles != c.read {
			t.Errorf("accept %q, rehash %v: %d suspects, %d changed, %d read", c.accept, c.rehash, len(r.Suspects), len(r.Diff.Changed), r.HashedFiles)
		}
		if c.accept != "" {
			f.wantContent(r.Listing, "d/one", "bad_ bytes of d/one")
			f.wantContent(r.Listing, "d.three", "good bytes of d.three")
		}
	}
}

func TestAcceptUnknown(t *testing.T) {
	f := newFixture(t)
	f.write("d/one", "one")
	f.commit()
	f.write("new", "not listed yet")
	for _, k := range []manifests.Key{{Tree: "t", Path: "d/on"}, {Tree: "t", Path: "d/one/x"}, {Tree: "u"}, {Tree: "t", Path: "new"}} {
		f.o.Accept = []manifests.Key{{Tree: "t", Path: "d/one"}, k}
		if r, err := f.build(); r != nil || !errors.Is(err, ErrNotListed) {
			t.Errorf("%s: %v", k, err)
		}
	}
}
