package manifests

import (
	"fmt"
	"path"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// An edited listing is the one that is made of the same entries from the start, and
// what that refuses it refuses with the same words. The old one stays as it was.
func TestEditedProperty(t *testing.T) {
	clashed, fine := 0, 0
	var many []Entry
	for i := range 100 {
		many = append(many, file("t", fmt.Sprintf("c/%02d", i), "z"))
	}
	crowd := listing(t, many...)
	rapid.Check(t, func(t *rapid.T) {
		entry := rapid.Custom(func(t *rapid.T) Entry {
			return file(rapid.SampledFrom([]string{"t", "u"}).Draw(t, "tree"), rapid.StringMatching(`[a-e!](/?[a-e!]){0,4}`).Draw(t, "path"),
				rapid.StringMatching(`[xyz]{0,3}`).Draw(t, "content"))
		})
		base := crowd // among so many a few are looked at one by one
		if rapid.Bool().Draw(t, "alone") {
			base = &Listing{}
		}
		for _, e := range rapid.SliceOfN(entry, 0, 30).Draw(t, "base") {
			if more, err := NewListing(append(slices.Collect(base.All()), e)); err == nil {
				base = more
			}
		}
		before := keysOf(slices.Collect(base.All()))
		added := rapid.SliceOfN(entry, 0, 2).Draw(t, "added")
		if base.Len() > 0 && rapid.Bool().Draw(t, "in the way") {
			e := *base.At(rapid.IntRange(0, base.Len()-1).Draw(t, "of"))
			ways := []Path{e.Path, e.Path + "/x", Path(path.Dir(string(e.Path)))}
			added = append(added, file(e.Tree, string(rapid.SampledFrom(ways).Draw(t, "how")), "new"))
		}
		var removed []Key
		for e := range base.All() {
			if rapid.IntRange(0, 9).Draw(t, "remove") == 0 {
				removed = append(removed, e.Key())
			}
		}
		if rapid.Bool().Draw(t, "remove nothing") {
			removed = append(removed, Key{"t", "b!b!"}, Key{"a", "a"})
		}
		want := slices.DeleteFunc(slices.Collect(base.All()), func(e Entry) bool { return slices.Contains(removed, e.Key()) })
		whole, wantErr := NewListing(append(want, added...))
		got, err := base.Edited(removed, added)
		if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("%v, want %v", err, wantErr)
		}
		if diff := cmp.Diff(before, keysOf(slices.Collect(base.All()))); diff != "" {
			t.Fatalf("the old listing has changed: %s", diff)
		}
		if err != nil {
			clashed++
			return
		}
		fine++
		if diff := cmp.Diff(slices.Collect(whole.All()), slices.Collect(got.All())); diff != "" || got.Bytes() != whole.Bytes() {
			t.Fatalf("%d bytes, want %d: %s", got.Bytes(), whole.Bytes(), diff)
		}
	})
	if clashed == 0 || fine == 0 {
		t.Errorf("drew %d that clash and %d that do not", clashed, fine)
	}
}

// Ten changes among many cost no look at those that stay.
func BenchmarkEdited(b *testing.B) {
	const n = 100_000
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = file("t", fmt.Sprintf("y%03d/m%02d/%07d", i/5000, i/50%100, i), "x")
	}
	l := listing(b, entries...)
	var removed []Key
	var added []Entry
	for i := 0; i < n; i += n / 10 {
		removed = append(removed, entries[i].Key())
		added = append(added, file("t", string(entries[i].Path), "y"))
	}
	for b.Loop() {
		if _, err := l.Edited(removed, added); err != nil {
			b.Fatal(err)
		}
	}
}
