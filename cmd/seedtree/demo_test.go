package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The demo's verdict is worth what its comparison finds: each way two trees
// can differ, and the ways they may.
func TestCompareTrees(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, root string) error
		want  string
	}{
		"same":       {func(*testing.T, string) error { return nil }, ""},
		"own folder": {func(_ *testing.T, r string) error { return os.Mkdir(filepath.Join(r, ".seedtree"), 0o700) }, ""},
		"byte":       {func(t *testing.T, r string) error { return rewrite(t, filepath.Join(r, "d/f"), "hellO") }, "d/f: other bytes"},
		"length":     {func(t *testing.T, r string) error { return rewrite(t, filepath.Join(r, "d/f"), "hell") }, "d/f: is"},
		"time": {func(_ *testing.T, r string) error {
			return os.Chtimes(filepath.Join(r, "d/f"), time.Time{}, time.Unix(1, 1))
		}, "d/f: is"},
		"executable":  {func(_ *testing.T, r string) error { return os.Chmod(filepath.Join(r, "d/f"), 0o755) }, "d/f: is"},
		"missing":     {func(_ *testing.T, r string) error { return os.Remove(filepath.Join(r, "d/empty")) }, "d/empty: missing"},
		"extra":       {func(_ *testing.T, r string) error { return os.WriteFile(filepath.Join(r, "new"), nil, 0o644) }, "new: should not be there"},
		"extra dir":   {func(_ *testing.T, r string) error { return os.Mkdir(filepath.Join(r, "x"), 0o755) }, "x: should not be there"},
		"missing dir": {func(_ *testing.T, r string) error { return os.Remove(filepath.Join(r, "void")) }, "void: missing"},
		"link target": {func(_ *testing.T, r string) error {
			_ = os.Remove(filepath.Join(r, "link"))
			return os.Symlink("elsewhere", filepath.Join(r, "link"))
		}, "link: is"},
		"link to file": {func(_ *testing.T, r string) error {
			_ = os.Remove(filepath.Join(r, "link"))
			return os.WriteFile(filepath.Join(r, "link"), []byte("d/f"), 0o644)
		}, "link: is"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
			plant(t, a)
			if err := copyTree(t.Context(), a, b); err != nil {
				t.Fatal(err)
			}
			if err := c.spoil(t, b); err != nil {
				t.Fatal(err)
			}
			files, size, err := compareTrees(t.Context(), a, b)
			if c.want == "" {
				if err != nil || files != 4 || size != 5 {
					t.Fatalf("%d files, %d bytes, %v", files, size, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
		})
	}
}

func plant(t *testing.T, root string) {
	t.Helper()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(root, "d"), 0o755),
		os.MkdirAll(filepath.Join(root, "void"), 0o755),
		os.WriteFile(filepath.Join(root, "d/f"), []byte("hello"), 0o644),
		os.WriteFile(filepath.Join(root, "d/empty"), nil, 0o644),
		os.Symlink("d/f", filepath.Join(root, "link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// rewrite changes a file and leaves its time as it was.
func rewrite(t *testing.T, name, text string) error {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Chtimes(name, time.Time{}, info.ModTime())
}
