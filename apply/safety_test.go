package apply_test

import (
	"testing"
)

// TestUnplacedRemovalSparesTheUsersFile: what was listed for a while, and was
// still being fetched when it went again, was never put here. The user's own
// file of that name is none of ours.
func TestUnplacedRemovalSparesTheUsersFile(t *testing.T) {
	w := newWorld(t)
	a := w.file("a", "aaa")
	w.sync(w.want(a, w.file("b", "bbb")))
	w.write("notes", "the user's own notes")
	w.pass(w.want(a, w.file("b", "bbb"), w.file("notes", "other notes"))) // begun, not fetched
	d := w.want(a, w.file("b", "bbb"))
	for range 2 {
		r := w.pass(w.again(d))
		must(t, r.Err())
	}
	if got := contents(t, w.roots["photos"])["notes"]; got != "the user's own notes" {
		t.Fatalf("the user's file is %q; trash: %q", got, w.inTrash())
	}
}
