package manifests

import (
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// file makes a regular entry whose bytes are told by content.
func file(tree, path, content string) Entry {
	return Entry{
		Tree: tree, Path: Path(path), Length: int64(len(content)) + 1, ModTime: time.Unix(1, 0).UTC(),
		InfoHash: sha1.Sum([]byte(tree + "/" + path + content)), Content: sha256.Sum256([]byte(content)),
	}
}

func listing(t testing.TB, entries ...Entry) *Listing {
	t.Helper()
	l, err := NewListing(entries)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func keysOf(entries []Entry) []string {
	keys := []string{}
	for _, e := range entries {
		keys = append(keys, e.Key().String())
	}
	return keys
}

func TestListing(t *testing.T) {
	l := listing(t,
		file("b", "x", "one"), file("a", "z", "two"), file("a", "a/b", "one"), file("a", "a!", "one"),
		Entry{Tree: "a", Path: "link", Kind: Symlink, Target: "/etc"}, Entry{Tree: "c", Path: "d", Kind: EmptyDir})
	want := []string{"a/a!", "a/a/b", "a/link", "a/z", "b/x", "c/d"}
	if diff := cmp.Diff(want, keysOf(slices.Collect(l.All()))); diff != "" {
		t.Error(diff)
	}
	if l.Len() != 6 || l.Bytes() != 16 {
		t.Errorf("Len %d, Bytes %d", l.Len(), l.Bytes())
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, l.Trees()); diff != "" {
		t.Error(diff)
	}
	for tree, want := range map[string][]string{"a": want[:4], "b": want[4:5], "": {}, "bb": {}, "z": {}} {
		if diff := cmp.Diff(want, keysOf(slices.Collect(l.Tree(tree)))); diff != "" {
			t.Errorf("Tree(%q): %s", tree, diff)
		}
	}
	for e := range l.All() {
		if got, ok := l.Get(e.Key()); !ok || !got.Equal(e) {
			t.Errorf("Get(%s) = %v, %v", e.Key(), got, ok)
		}
		got, ok := l.ByInfoHash(e.InfoHash)
		if ok != (e.Kind == Regular) || ok && !got.Equal(e) {
			t.Errorf("ByInfoHash(%s) = %v, %v", e.Key(), got, ok)
		}
	}
	if _, ok := l.Get(Key{"a", "a"}); ok {
		t.Error("Get finds what is not there")
	}
	one := sha256.Sum256([]byte("one"))
	if diff := cmp.Diff([]string{"a/a!", "a/a/b", "b/x"}, keysOf(l.ByContent(one))); diff != "" {
		t.Error(diff)
	}
	if got := l.ByContent(Content{1}); got != nil || l.HasContent(Content{1}) || !l.HasContent(one) || l.HasContent(Content{}) {
		t.Error("ByContent or HasContent is wrong about what is not there")
	}
	part := l.Filter(func(e Entry) bool { return e.Tree == "a" && e.Kind == Regular })
	if part.Len() != 3 || part.Bytes() != 12 || len(part.ByContent(one)) != 2 {
		t.Errorf("Filter: %v", keysOf(slices.Collect(part.All())))
	}
	none := listing(t)
	if _, ok := none.Get(Key{}); ok || none.Len() != 0 || none.HasContent(one) {
		t.Error("the empty listing holds something")
	}
}

// The indexes are made on demand, by whoever comes first (run with -race).
func TestListingConcurrently(t *testing.T) {
	l := listing(t, file("a", "x", "one"), file("a", "y", "two"))
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for e := range l.All() {
				if _, ok := l.ByInfoHash(e.InfoHash); !ok || !l.HasContent(e.Content) {
					t.Errorf("%s is not found", e.Key())
				}
			}
		})
	}
	wait.Wait()
}

func TestListingConflicts(t *testing.T) {
	const dir = " is listed as no directory, but "
	for name, c := range map[string]struct {
		entries []Entry
		want    string // "" is fine
	}{
		"siblings":       {[]Entry{file("t", "a", ""), file("t", "a.b", ""), file("t", "ab/c", "")}, ""},
		"twice":          {[]Entry{file("t", "a", ""), {Tree: "t", Path: "a", Kind: Symlink}}, "t/a is listed twice, as file and as symlink"},
		"thrice":         {[]Entry{file("t", "a", ""), file("t", "a", ""), file("t", "a", "")}, "t/a is listed twice, as file and as file"},
		"other tree":     {[]Entry{file("t", "a", ""), file("u", "a", ""), file("u", "b", ""), file("v", "b/c", "")}, ""},
		"file in file":   {[]Entry{file("t", "a", ""), file("t", "a/b", "")}, "t/a" + dir + "t/a/b"},
		"not adjacent":   {[]Entry{file("t", "a", ""), file("t", "a!", ""), file("t", "a-b", ""), file("t", "a/b/c", "")}, "t/a" + dir + "t/a/b/c"},
		"deep":           {[]Entry{file("t", "a/b", ""), file("t", "a/b.c/x", ""), file("t", "a/b/c/d/e", "")}, "t/a/b" + dir + "t/a/b/c/d/e"},
		"below a link":   {[]Entry{{Tree: "t", Path: "etc", Kind: Symlink, Target: "/etc"}, file("t", "etc/passwd", "")}, "t/etc" + dir + "t/etc/passwd"},
		"below an empty": {[]Entry{{Tree: "t", Path: "d", Kind: EmptyDir}, file("t", "d/x", "")}, "t/d" + dir + "t/d/x"},
		"after a pop":    {[]Entry{file("t", "a", ""), file("t", "a-/x", ""), file("t", "a-/y", ""), file("t", "a/x", "")}, "t/a" + dir + "t/a/x"},
	} {
		_, err := NewListing(c.entries)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	var many []Entry
	for range 1000 {
		many = append(many, file("t", "a", ""))
	}
	if _, err := NewListing(many); err == nil || strings.Count(err.Error(), "\n") > maxNamed {
		t.Errorf("a thousand faults: %v", err)
	}
}

// The one walk finds what comparing everything with everything finds.
func TestListingConflictsProperty(t *testing.T) {
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		paths := rapid.SliceOfN(rapid.StringMatching(`[a!](/?[a!0]){0,4}`), 1, 8).Draw(t, "paths")
		var entries []Entry
		bad := false
		for i, p := range paths {
			entries = append(entries, file("t", p, ""))
			for j, q := range paths {
				bad = bad || i != j && (p == q || strings.HasPrefix(q, p+"/"))
			}
		}
		if bad {
			found++
		}
		if _, err := NewListing(entries); (err != nil) != bad {
			t.Fatalf("conflict %v, but error %v", bad, err)
		}
	})
	if found == 0 {
		t.Error("no conflict was ever drawn")
	}
}

func TestDiff(t *testing.T) {
	old := listing(t,
		file("t", "gone", "gone"), file("t", "moved", "moved"), file("t", "same", "same"), file("t", "new bytes", "v1"),
		file("t", "kind", "kind"), file("t", "copy1", "copy"), file("t", "copy2", "copy"), file("t", "kept", "twin"), file("t", "twin", "twin"),
		Entry{Tree: "t", Path: "link", Kind: Symlink, Target: "a"}, Entry{Tree: "t", Path: "dir", Kind: EmptyDir})
	next := listing(t,
		file("t", "added", "added"), file("u", "moved/here", "moved"), file("t", "same", "same"), file("t", "new bytes", "v2"),
		Entry{Tree: "t", Path: "kind", Kind: Empty}, file("t", "z1", "copy"), file("t", "z2", "copy"), file("t", "z3", "copy"), file("t", "kept", "twin"),
		Entry{Tree: "t", Path: "link2", Kind: Symlink, Target: "a"})
	d := old.Diff(next)
	changes := func(list []Change) (s []string) {
		for _, c := range list {
			s = append(s, fmt.Sprint(c.Old.Key(), " > ", c.New.Key()))
		}
		return s
	}
	got := map[string][]string{"added": keysOf(d.Added), "removed": keysOf(d.Removed), "changed": changes(d.Changed), "renamed": changes(d.Renamed)}
	want := map[string][]string{
		"added":   {"t/added", "t/link2", "t/z3"},
		"removed": {"t/dir", "t/gone", "t/link", "t/twin"},
		"changed": {"t/kind > t/kind", "t/new bytes > t/new bytes"},
		"renamed": {"t/copy1 > t/z1", "t/copy2 > t/z2", "t/moved > u/moved/here"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if lost := d.Lost(next); lost != 3 { // twin lives on as kept
		t.Errorf("Lost = %d, want 3", lost)
	}
	if d.Empty() || !old.Diff(old).Empty() {
		t.Error("Empty is wrong")
	}
}

// Doing what a diff says to one listing makes the other.
func TestDiffProperty(t *testing.T) {
	draw := func(t *rapid.T, label string) *Listing {
		byPath := rapid.MapOfN(rapid.StringMatching(`[a-f]`), rapid.StringMatching(`[xyz]`), 0, 6).Draw(t, label)
		var entries []Entry
		for p, content := range byPath {
			entries = append(entries, file("t", p, content))
		}
		l, err := NewListing(entries)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		d := a.Diff(b)
		have := map[Key]Entry{}
		for e := range a.All() {
			have[e.Key()] = e
		}
		for _, e := range d.Removed {
			delete(have, e.Key())
		}
		for _, c := range d.Renamed {
			if c.Old.Content != c.New.Content {
				t.Fatalf("%s became %s by a rename", c.Old.Key(), c.New.Key())
			}
			delete(have, c.Old.Key())
		}
		for _, c := range d.Renamed {
			have[c.New.Key()] = c.New
		}
		for _, c := range d.Changed {
			have[c.New.Key()] = c.New
		}
		for _, e := range d.Added {
			have[e.Key()] = e
		}
		var entries []Entry
		for _, e := range have {
			entries = append(entries, e)
		}
		made, err := NewListing(entries)
		if err != nil || !made.Diff(b).Empty() || made.Len() != b.Len() {
			t.Fatalf("%+v does not lead from one to the other: %v", d, err)
		}
	})
}

func TestLimit(t *testing.T) {
	for _, c := range []struct {
		limit         Limit
		removed, base int
		want          bool
	}{
		{Limit{10, 1000}, 0, 0, true},
		{Limit{0, 0}, 0, 10, true},
		{Limit{10, 1000}, 1, 1, false}, // everything
		{Limit{100, 1000}, 5, 5, false},
		{Limit{100, 1000}, 5, 0, false},
		{Limit{10, 1000}, 1, 2, true}, // one is always allowed
		{Limit{10, 1000}, 2, 10, false},
		{Limit{10, 1000}, 10, 100, true},
		{Limit{10, 1000}, 11, 100, false},
		{Limit{10, 1000}, 1000, 1_000_000, true},
		{Limit{10, 1000}, 1001, 1_000_000, false},
		{Limit{10, 0}, 1, 100, false}, // files: 0 means none
		{Limit{0, 1000}, 1, 100, true},
		{Limit{100, 1 << 40}, 1 << 39, 1 << 40, true},
	} {
		if got := c.limit.Allows(c.removed, c.base); got != c.want {
			t.Errorf("%+v.Allows(%d, %d) = %v", c.limit, c.removed, c.base, got)
		}
	}
}
