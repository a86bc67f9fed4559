package builder

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"seedtree/manifests"
)

func TestTorrents(t *testing.T) {
	f := newFixture(t)
	f.write("a", "aa")
	f.write("d/b", strings.Repeat("b", 600<<10))
	f.write("d/old", "no")
	f.write("left/c", "no")
	f.write("x.tmp", "no")
	f.write("empty", "")
	f.must(os.Symlink("a", f.path("link")))
	want := map[string]manifests.Content{"a": contentOf("aa"), "d/b": contentOf(strings.Repeat("b", 600<<10))}
	skipped, failed, err := Torrents(t.Context(), TorrentOptions{
		Name: "photos", Dir: f.dir, Ignore: []string{"*.tmp"},
		Leave: func(p string) bool { return p == "left" },
		Want:  func(p manifests.Path, _ time.Time) bool { return p != "d/old" },
	}, func(m manifests.Metainfo) {
		if m.Tree != "photos" || m.Content() != want[string(m.Path)] {
			t.Errorf("made a torrent of %s/%s with content %s", m.Tree, m.Path, m.Content())
		}
		delete(want, string(m.Path))
	})
	f.must(err)
	if len(want)+len(failed) != 0 {
		t.Fatalf("not made: %v, failed: %v", want, failed)
	}
	var names []string
	for _, s := range skipped {
		names = append(names, string(s.Key.Path))
	}
	if !slices.Equal(names, []string{"empty", "link"}) {
		t.Fatalf("skipped %v", skipped)
	}
}
