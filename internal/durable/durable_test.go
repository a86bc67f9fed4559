package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"seedtree/internal/durable"
)

func TestWriteFileReplaces(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "state.json")
	for _, text := range []string{"old and longer", "new"} {
		if err := durable.WriteFile(name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != text {
			t.Fatalf("read %q, %v; want %q", got, err, text)
		}
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	onlyFile(t, dir)
}

// A write that cannot be finished leaves the old file and no litter.
func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(name, "by a folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(name, []byte("x"), 0o644); err == nil {
		t.Fatal("a directory was replaced by a file")
	}
	onlyFile(t, dir)
	if err := durable.WriteFile(filepath.Join(dir, "absent", "x"), nil, 0o644); err == nil {
		t.Fatal("no error for a missing directory")
	}
}

func onlyFile(t *testing.T, dir string) {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Fatalf("left behind: %v, %v", names, err)
	}
}
