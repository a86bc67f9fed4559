package dirat

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// unprivileged lets the test run as nobody from here on: root may read all.
func unprivileged(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	const nobody = 65534
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	must(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, nobody, nobody))
	}))
	must(t, syscall.Seteuid(nobody))
	t.Cleanup(func() { must(t, syscall.Seteuid(0)) })
}
