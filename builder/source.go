package builder

import (
	"errors"
	"fmt"
	"io"
	"path"

	"seedtree/internal/dirat"
	"seedtree/manifests"
)

// source is one tree's folder, opened once. Everything is read through root,
// so nothing outside is, whatever links say.
type source struct {
	tree string
	dir  string
	root *dirat.Dir
}

// openSource opens a tree's folder and makes sure that it is this site's
// source of this tree and not an empty mount point.
func openSource(site, tree, dir string) (*source, error) {
	root, err := dirat.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w: %w", tree, ErrNotMounted, err)
	}
	s := &source{tree: tree, dir: dir, root: root}
	if err := checkMarker(root, site, tree, dir); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return s, nil
}

func checkMarker(root *dirat.Dir, site, tree, dir string) error {
	data, err := readMarker(root)
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

func readMarker(root *dirat.Dir) ([]byte, error) {
	at, name := path.Split(manifests.MarkerName)
	dir, err := root.OpenPath(path.Clean(at))
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	return readSmall(dir, name, 64<<10)
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
	before, err1 := s.root.Stat()
	now, err2 := again.root.Stat()
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("tree %s: %w: %w", s.tree, ErrNotMounted, err)
	}
	if !now.Same(&before) {
		return fmt.Errorf("tree %s: %w: %s became another folder while it was read", s.tree, ErrNotMounted, s.dir)
	}
	return nil
}

// open opens a folder by its path in the tree, "" for the root itself, which
// is not to be closed.
func (s *source) open(path string) (*dirat.Dir, error) {
	if path == "" {
		return s.root, nil
	}
	return s.root.OpenPath(path)
}

// lstat looks at a file by its path in the tree.
func (s *source) lstat(p manifests.Path) (dirat.Stat, error) {
	at, name := path.Split(string(p))
	if at == "" {
		return s.root.Lstat(name)
	}
	dir, err := s.root.OpenPath(path.Clean(at))
	if err != nil {
		return dirat.Stat{}, err
	}
	defer func() { _ = dir.Close() }()
	return dir.Lstat(name)
}

// readSmall reads a regular file of at most limit bytes.
func readSmall(dir *dirat.Dir, name string, limit int64) ([]byte, error) {
	f, err := dir.OpenFile(name, 0)
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
	data, err := io.ReadAll(io.NewSectionReader(f, 0, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return data, err
}
