package testkit_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seedtree/internal/testkit"
)

// Every end-to-end test stands on DiffTrees; if it were blind to something,
// they all would be.
func TestDiffTreesSees(t *testing.T) {
	when := time.Date(2024, 2, 29, 12, 0, 0, 123456789, time.UTC)
	make := func(t *testing.T) string {
		dir := t.TempDir()
		write := func(name, text string) {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, when, when); err != nil {
				t.Fatal(err)
			}
		}
		write("a/b", "bytes")
		write("empty", "")
		write(".seedtree/own", dir)
		if err := os.Symlink("a/b", filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	cases := map[string]struct {
		change func(dir string) error
		want   string
	}{
		"nothing":  {func(string) error { return nil }, ""},
		"bytes":    {func(d string) error { return rewrite(d+"/a/b", "bytEs", when) }, "a/b: other bytes"},
		"time":     {func(d string) error { return os.Chtimes(d+"/a/b", when, when.Add(1)) }, "a/b: want file"},
		"mode":     {func(d string) error { return os.Chmod(d+"/empty", 0o755) }, "empty: want empty file"},
		"missing":  {func(d string) error { return os.Remove(d + "/empty") }, "missing: empty"},
		"too much": {func(d string) error { return os.Mkdir(d+"/new", 0o755) }, "too much: new"},
		"target": {func(d string) error {
			_ = os.Remove(d + "/link")
			return os.Symlink("elsewhere", d+"/link")
		}, "link: want link to a/b"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a, b := make(t), make(t)
			if err := c.change(b); err != nil {
				t.Fatal(err)
			}
			got, err := testkit.DiffTrees(a, b)
			if err != nil {
				t.Fatal(err)
			}
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
}

func rewrite(path, text string, when time.Time) error {
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Chtimes(path, when, when)
}
