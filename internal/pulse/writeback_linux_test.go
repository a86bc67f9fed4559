package pulse_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"seedtree/internal/pulse"
	"seedtree/internal/testkit"
)

// writebackBeats is how often a file of three stretches and a bit shows life: the rest is
// left to fsync.
const writebackBeats = 3

// What the kernel says of bytes that were waited for it says once, and any number may
// come from the server of a network mount: fsync would know nothing of it any more. A
// kernel that does not know the call says so before anything is waited for.
func TestWriteBackKeepsErrors(t *testing.T) {
	if name := os.Getenv("SEEDTREE_WRITES_BACK"); name != "" {
		f, err := os.Create(name)
		if err == nil {
			err = f.Truncate(2*pulse.Stretch + 1)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := pulse.WriteBack(f, func() {}); err != nil {
			t.Fatal(err)
		}
		return
	}
	strace := testkit.Need(t, "strace", "strace")
	for _, tt := range []struct {
		what, inject string
		fails        bool
	}{
		{"unknown call", "error=ENOSYS", false},
		{"forbidden call", "error=EPERM", false},
		{"not for this file", "error=EINVAL:when=1", false},
		{"interrupted", "error=EINTR:when=1..2", false},
		{"bad disk", "error=EIO:when=2", true},
		{"bad disk, seen at once", "error=EIO:when=1", true},
		{"full server", "error=ENOSPC:when=4", true},
		{"server that finds it invalid", "error=EINVAL:when=2", true},
		{"server that forbids it", "error=EPERM:when=4", true},
	} {
		t.Run(tt.what, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-o", filepath.Join(t.TempDir(), "trace"),
				"-e", "trace=sync_file_range", "-e", "inject=sync_file_range:"+tt.inject, os.Args[0], "-test.run=^TestWriteBackKeepsErrors$")
			cmd.Env = append(os.Environ(), "SEEDTREE_WRITES_BACK="+filepath.Join(t.TempDir(), "file"))
			if out, err := cmd.CombinedOutput(); (err != nil) != tt.fails {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
