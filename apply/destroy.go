package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// destroy removes a folder of the trash, or whatever stands under its name. It may hold
// a whole drive's files: one call for all of them would show no life for hours, and
// would not hear that the pass is over.
func (t *tree) destroy(ctx context.Context, name string) error {
	if !t.isDir(path.Dir(name)) {
		return nil
	}
	t.step("destroy " + name)
	t.forgetDir(name)
	dir, err := openReal(t.root, path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return t.destroyIn(ctx, dir, path.Base(name))
}

// destroyIn removes a name in an open directory, and first what is below it.
func (t *tree) destroyIn(ctx context.Context, dir *os.Root, name string) error {
	t.beat()
	if err := ctx.Err(); err != nil {
		return err
	}
	info, err := dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.IsDir() {
		err = t.destroyInside(ctx, dir, name)
	}
	if err == nil {
		err = dir.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (t *tree) destroyInside(ctx context.Context, dir *os.Root, name string) error {
	sub, err := openReal(dir, name)
	if err != nil {
		return err
	}
	defer sub.Close()
	for {
		// Opened for each batch: what was removed may shift what a directory reads next.
		names, err := firstNames(sub)
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := t.destroyIn(ctx, sub, n); err != nil {
				return err
			}
		}
		if len(names) < batch { // not until nothing is left: NFS renames open files and keeps them
			return nil
		}
	}
}

func firstNames(dir *os.Root) ([]string, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(batch)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

// openReal opens a directory that is no symlink, not even one that takes its place
// between two looks: os.Root follows those that stay inside, and below it is destroyed.
func openReal(root *os.Root, name string) (*os.Root, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOTDIR}
	}
	sub, err := root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	if after, err := sub.Stat("."); err != nil || !os.SameFile(before, after) {
		return nil, errors.Join(fmt.Errorf("directory %s was replaced while it was read", name), sub.Close())
	}
	return sub, nil
}
