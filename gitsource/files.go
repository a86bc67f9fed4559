package gitsource

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeAtomic replaces a file so that a crash leaves the old or the new one,
// whole: temporary file beside it, fsync, rename, fsync of the directory.
func writeAtomic(name string, data []byte, mode fs.FileMode) error {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes renames and creations in a directory survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// limitWriter fails once more than left bytes went through it.
type limitWriter struct {
	w    io.Writer
	left int64
	err  error
}

func (l *limitWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		return 0, l.err
	}
	n, err := l.w.Write(p)
	l.left -= int64(n)
	return n, err
}
