package gitsource

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// manyPacks is a mirror with n packs, and its newest revision.
func manyPacks(t *testing.T, n int) (s *Source, repo string, head *Revision) {
	t.Helper()
	repo = bareRepo(t)
	s = opened(t, repo)
	s.lim.packs = n
	for i := range n {
		head = publish(t, s, head, Commit{Put: []File{torrent(t, fmt.Sprintf("a/f%03d", i), int64(i+1))}})
	}
	fetched(t, s)
	return s, repo, head
}

// A crash between the new pack and the removal of those it was merged from leaves
// both; merging them again makes the very same pack.
func TestMergingAgainAfterACrash(t *testing.T) {
	t.Parallel()
	s, _, head := manyPacks(t, 6)
	want := paths(t, head)
	packs := filepath.Join(s.cfg.Dir, gitName, "objects", "pack")
	aside := filepath.Join(t.TempDir(), "packs")
	must(t, os.CopyFS(aside, os.DirFS(packs)))
	s.lim.packs = 1
	fetched(t, s)
	must(t, s.Close())
	merged, err := packNames(filepath.Join(s.cfg.Dir, gitName))
	must(t, err)
	if len(merged) != 1 {
		t.Fatalf("%d packs after merging", len(merged))
	}
	left, err := os.ReadDir(aside)
	must(t, err)
	for _, f := range left {
		must(t, os.Rename(filepath.Join(aside, f.Name()), filepath.Join(packs, f.Name())))
	}

	again, log := openedIn(t, s.cfg.Dir, s.cfg.URLs...)
	again.lim.packs = 1
	if got := paths(t, fetched(t, again)); !slices.Equal(got, want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
	if names, err := packNames(filepath.Join(s.cfg.Dir, gitName)); err != nil || !slices.Equal(names, merged) || log.Len() > 0 {
		t.Errorf("packs %q, want %q; %v; log %s", names, merged, err, log)
	}
	git(t, filepath.Join(s.cfg.Dir, gitName), "fsck", "--strict", "--full")
}

// Rot that only merging meets is damage like any other: not copied on, and not met
// again at each pass.
func TestMergingMeetsRot(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"torrents/photos/a/f000.torrent", "torrents"} {
		s, repo, head := manyPacks(t, 6)
		want := paths(t, head)
		rot(t, s, plumbing.NewHash(git(t, repo, "rev-parse", "main~5:"+name)))
		must(t, s.Close())
		again, log := openedIn(t, s.cfg.Dir, repo)
		again.lim.packs = 1
		for range 3 { // the small ones, with the large one, after the damage was noticed
			if got := paths(t, fetched(t, again)); !slices.Equal(got, want) {
				t.Errorf("%s: %d entries, want %d", name, len(got), len(want))
			}
		}
		if !strings.Contains(log.String(), "made anew") {
			t.Errorf("%s: nobody was told: %s", name, log)
		}
		git(t, filepath.Join(s.cfg.Dir, gitName), "fsck", "--strict", "--full")
	}
}

// rot changes a byte of an object in the mirror.
func rot(t *testing.T, s *Source, id hash) {
	t.Helper()
	st, err := s.open()
	must(t, err)
	p, offset := st.find(id)
	if p == nil {
		t.Fatalf("%s is in no pack", id)
	}
	rewrite(t, strings.TrimSuffix(p.f.Name(), ".pack")+".pack", func(b []byte) []byte {
		b[offset+12] ^= 4
		return b
	})
}
