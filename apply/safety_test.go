package apply_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"seedtree/apply/enginetest"
	"seedtree/manifests"
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

// TestExpiredTrashStillServes: a rollback that reaches a site late takes its
// bytes from the trash all the same; only then they expire.
func TestExpiredTrashStillServes(t *testing.T) {
	w := newWorld(t)
	a, b := w.file("a", "aaa"), w.file("b", "bbb")
	w.sync(w.want(a, b))
	w.sync(w.want(a))
	before := w.downloaded()
	w.now = w.now.Add(40 * 24 * time.Hour)
	w.sync(w.want(a, b))
	if w.downloaded() != before {
		t.Fatal("bytes that were here were fetched again")
	}
}

// TestLongNamesAreReplaced: temporary names must fit where the name does.
func TestLongNamesAreReplaced(t *testing.T) {
	w := newWorld(t)
	name := "dir/" + strings.Repeat("n", 255)
	w.sync(w.want(w.know(bigFile(t, name, 1))))
	next := append([]byte(nil), enginetest.Random(1, 3<<18)...)
	next[5] ^= 1
	before := w.downloaded()
	w.sync(w.want(w.know(enginetest.NewFile(t, "photos", name, next))))
	if got := w.downloaded() - before; got != 1<<18 {
		t.Fatalf("%d bytes were fetched for one changed piece", got)
	}
}

// TestEditBetweenRenameAndMove: the client could not be told of the rename, so
// that its name in staging and the visible file are one. What a user writes
// into the visible file meanwhile must neither be cut nor overwritten.
func TestEditBetweenRenameAndMove(t *testing.T) {
	for name, edit := range map[string]func(f *os.File) error{
		"appended":    func(f *os.File) error { _, err := f.WriteAt([]byte("!"), 3<<18); return err },
		"overwritten": func(f *os.File) error { _, err := f.WriteAt([]byte("!"), 1); return err },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.want(w.know(bigFile(t, "big", 1)))
			w.pass(d)
			must(t, w.engine.Feed())
			w.engine.Fail = func(op string, _ manifests.InfoHash) error {
				if op == "move" {
					return errors.New("no answer")
				}
				return nil
			}
			w.pass(w.again(d))
			w.engine.Fail = nil
			f, err := os.OpenFile(w.name("big"), os.O_WRONLY, 0)
			must(t, err)
			must(t, errors.Join(edit(f), f.Close()))
			edited := w.read("big")
			for range 4 {
				w.pass(w.again(d))
				must(t, w.engine.Feed())
			}
			if !w.kept()[edited] {
				t.Fatal("what the user wrote is gone")
			}
			w.sync(d)
		})
	}
}
