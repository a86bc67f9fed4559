package builder

import (
	"fmt"
	"os"
	"testing"
	"time"

	"seedtree/manifests"
)

// What Explain says is what the next build does.
func TestExplain(t *testing.T) {
	f := newFixture(t)
	f.ignore("*.tmp", "# a comment", "/build/")
	f.write(".seedtreeignore", "*.log\n!keep.log\n\n/d/secret\n")
	f.write("d/.seedtreeignore", "# notes\n!wanted.tmp\n")
	for _, name := range []string{"same", "edited", "touched", "gone", "keep.log", "d/wanted.tmp"} {
		f.write(name, "bytes of "+name)
	}
	f.must(os.Symlink("same", f.path("link")))
	f.commit()
	f.write("edited", "longer bytes than before")
	f.must(os.Chtimes(f.path("touched"), time.Time{}, time.Now().Add(-time.Minute)))
	f.must(os.Remove(f.path("gone")))
	for _, name := range []string{"new", "a.tmp", "x.log", "d/secret/deep/file", "build/out"} {
		f.write(name, "new")
	}
	f.must(os.MkdirAll(f.path("odd/.seedtreeignore.d"), 0o755))
	f.must(mkfifo(f.path("pipe")))
	f.must(mkfifo(f.path("odd/.seedtreeignore")))
	f.must(os.Symlink("d", f.path("dirlink")))

	for path, want := range map[string]string{
		"same":               "unchanged",
		"edited":             "changed",
		"touched":            "changed",
		"gone":               "missing",
		"nothing":            "absent",
		"nothing/at/all":     "absent",
		"same/below":         "absent",
		"new":                "new",
		"link":               "unchanged",
		"dirlink/wanted.tmp": "skipped",
		"pipe":               "skipped",
		"d":                  "directory",
		"odd/x":              "unreadable",
		".seedtree/trash":    "skipped",
		"a.tmp":              "ignored manifest:1:*.tmp at a.tmp",
		"build/out":          "ignored manifest:3:/build/ at build",
		"build":              "ignored manifest:3:/build/ at build",
		"x.log":              "ignored t/.seedtreeignore:1:*.log at x.log",
		"keep.log":           "unchanged t/.seedtreeignore:2:!keep.log at keep.log",
		"d/wanted.tmp":       "unchanged t/d/.seedtreeignore:2:!wanted.tmp at d/wanted.tmp",
		"d/secret/deep/file": "ignored t/.seedtreeignore:4:/d/secret at d/secret",
	} {
		x, err := Explain(f.o, manifests.Key{Tree: "t", Path: manifests.Path(path)})
		f.must(err)
		got := x.State
		if r := x.Rule; r != nil {
			if r.File == "" {
				r.File = "manifest"
			}
			got += fmt.Sprintf(" %s:%d:%s at %s", r.File, r.Line, r.Pattern, x.At)
		}
		if got != want {
			t.Errorf("%s: %q (%s), want %q", path, got, x.Why, want)
		}
	}
}

// What cannot be opened is said to be unreadable where a build would read it.
func TestExplainWhatCannotBeOpened(t *testing.T) {
	f := newFixture(t)
	f.write("same", "listed")
	f.write("edited", "listed")
	f.write("d/a", "listed")
	f.commit()
	f.unprivileged()
	f.write("edited", "longer than before")
	f.write("new", "new")
	for _, name := range []string{"same", "edited", "new", "d"} {
		f.must(os.Chmod(f.path(name), 0))
	}
	t.Cleanup(func() { f.must(os.Chmod(f.path("d"), 0o755)) })
	for path, want := range map[string]string{
		"same": "unchanged: it would not be read", "edited": "unreadable: open: permission denied", "new": "unreadable: open: permission denied",
		"d": "unreadable: open: permission denied", "d/a": "unreadable: stat: permission denied",
	} {
		x, err := Explain(f.o, manifests.Key{Tree: "t", Path: manifests.Path(path)})
		f.must(err)
		if got := x.State + ": " + x.Why; got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
