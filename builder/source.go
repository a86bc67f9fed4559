package builder

import (
	"errors"
	"fmt"
	"io"
	"os"

	"seedtree/manifests"
)

// source is one tree's folder, opened once. Everything is read through root,
// so nothing outside is, whatever links say.
type source struct {
	tree string
	dir  string
	root *os.Root
}

// openSource opens a tree's folder and makes sure that it is this site's
// source of this tree and not an empty mount point.
func openSource(site, tree, dir string) (*source, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w: %w", tree, ErrNotMounted, err)
	}
	s := &source{tree: tree, dir: dir, root: root}
	if err := checkMarker(root, site, tree, dir); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return s, nil
}

func checkMarker(root *os.Root, site, tree, dir string) error {
	data, err := readSmall(root, manifests.MarkerName, 64<<10)
	if err != nil {
		return fmt.Errorf("tree %s: %w: no marker in %s: %w", tree, ErrNotMounted, dir, err)
	}
	m, err := manifests.DecodeMarker(data)
	switch {
	case err != nil:
		return fmt.Errorf("tree %s: %w: marker in %s: %w", tree, ErrNotMounted, dir, err)
	case m.Tree != tree || m.Site != site:
		return fmt.Errorf("tree %s: %w: the marker in %s says tree %s of site %s, not of site %s",
			tree, ErrNotMounted, dir, m.Tree, m.Site, site)
	case m.Role != manifests.RoleSource:
		return fmt.Errorf("tree %s: %w (%s)", tree, ErrNotReady, dir)
	}
	return nil
}

// still makes sure that the folder's path leads where it led at the start: a
// drive that was unmounted meanwhile, or another one mounted over it, must
// not pass for files deleted or added.
func (s *source) still(site string) error {
	again, err := openSource(site, s.tree, s.dir)
	if err != nil {
		return err
	}
	defer func() { _ = again.root.Close() }()
	before, err1 := s.root.Stat(".")
	now, err2 := again.root.Stat(".")
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("tree %s: %w: %w", s.tree, ErrNotMounted, err)
	}
	if !os.SameFile(before, now) {
		return fmt.Errorf("tree %s: %w: %s became another folder while it was read", s.tree, ErrNotMounted, s.dir)
	}
	return nil
}

// readSmall reads a regular file of at most limit bytes. It does not wait for
// somebody to write into a pipe that has the file's name.
func readSmall(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return data, err
}
