package manifests

import (
	"fmt"
	"testing"
)

// Of several files with the same bytes each is paired with the one that kept
// its name, whatever the order, and only the rest by order.
func TestRenamesKeepTheirNames(t *testing.T) {
	d := listing(t, file("t", "a/one", "x"), file("t", "a/three", "x"), file("t", "a/two", "x")).Diff(
		listing(t, file("t", "b/another", "x"), file("t", "b/two", "x"), file("t", "c/one", "x")))
	got := ""
	for _, c := range d.Renamed {
		got += fmt.Sprintf("%s > %s\n", c.Old.Path, c.New.Path)
	}
	if want := "a/one > c/one\na/three > b/another\na/two > b/two\n"; got != want || len(d.Added)+len(d.Removed) != 0 {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func BenchmarkRenames(b *testing.B) {
	var from, to []Entry
	for i := range 100_000 {
		content := fmt.Sprint(i / 100) // a hundred of each
		from, to = append(from, file("t", fmt.Sprintf("a/%06d", i), content)), append(to, file("t", fmt.Sprintf("b/%06d", i^1), content))
	}
	old, next := listing(b, from...), listing(b, to...)
	for b.Loop() {
		if d := old.Diff(next); len(d.Renamed) != len(from) {
			b.Fatal(len(d.Renamed))
		}
	}
}
