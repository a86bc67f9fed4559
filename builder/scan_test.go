package builder

import (
	"errors"
	"os"
	"testing"

	"seedtree/internal/dirat"
	"seedtree/internal/pieces"
	"seedtree/manifests"
)

// What becomes of a directory between the look at its name and its opening.
func TestDirectoryChangesUnderTheScan(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(f *fixture)
		failed bool
	}{
		{"gone", func(*fixture) {}, false},
		{"another directory", func(f *fixture) { f.must(os.Rename(f.path("other"), f.path("d"))) }, true},
		{"a pipe", func(f *fixture) { f.must(mkfifo(f.path("d"))) }, true},
		{"a file", func(f *fixture) { f.write("d", "x") }, true},
		{"a link to another directory", func(f *fixture) { f.must(os.Symlink("other", f.path("d"))) }, true},
		{"a link out of the tree", func(f *fixture) { f.must(os.Symlink(f.t.TempDir(), f.path("d"))) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.write("d/x", "listed")
			f.write("other/x", "never to be taken for d/x")
			f.write("other/y", "never to be taken for d/y")
			s := f.scanner()
			info, err := s.src.root.Lstat("d")
			f.must(err)
			f.must(os.Rename(f.path("d"), f.path("d.away"))) // not removed: inodes are given out again
			c.change(f)
			// The root is scanned already and found a directory "d".
			s.at = &place{dir: s.src.root, open: 1}
			s.at = &place{in: s.at, name: "d", path: "d/", stat: info, open: 1}
			if s.dir = s.read(); s.dir != nil {
				t.Fatal("it was read")
			}
			if s.at.found != c.failed || s.at.gone == c.failed {
				t.Fatalf("place %+v", s.at)
			}
			if c.failed != (len(s.out.failed) == 1) || c.failed != (len(s.out.hidden) == 1) {
				t.Fatalf("failed %v, hidden %v", s.out.failed, s.out.hidden)
			}
			if c.name == "another directory" && !errors.Is(s.out.failed[0], pieces.ErrChanged) {
				t.Fatalf("failed %v", s.out.failed)
			}
		})
	}
}

// A name that is gone when it is looked at was never there.
func TestNamesVanishUnderTheScan(t *testing.T) {
	f := newFixture(t)
	f.write("a", "aa")
	f.write("b", "bb")
	s := f.scanner()
	s.at = &place{dir: s.src.root, open: 1}
	s.dir = s.read()
	f.must(os.Remove(f.path("a")))
	s.walk()
	if len(s.out.folders) != 1 || len(s.out.folders[0].files) != 1 || len(s.out.failed) != 0 {
		t.Fatalf("found %+v", s.out)
	}
}

func (f *fixture) scanner() *scanner {
	f.t.Helper()
	root, err := dirat.Open(f.dir)
	f.must(err)
	f.t.Cleanup(func() { _ = root.Close() })
	none, err := manifests.NewListing(nil)
	f.must(err)
	s := &scan{src: &source{tree: "t", dir: f.dir, root: root}, previous: none, seen: func(int) {}}
	return &scanner{scan: s, out: &findings{newest: map[uint64]int64{}}}
}
