package apply

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"seedtree/manifests"
)

// readMarker reads the marker of an open tree root.
func (t *tree) readMarker() (manifests.Marker, error) {
	if info, err := t.root.Lstat(manifests.PrivateDir); err != nil || !info.IsDir() {
		if err == nil {
			return manifests.Marker{}, fmt.Errorf("%w: %s is not a directory", ErrMarker, manifests.PrivateDir)
		}
		return manifests.Marker{}, fmt.Errorf("%w: %w", ErrNoMarker, err)
	}
	f, err := t.openRegular(manifests.MarkerName)
	if errors.Is(err, fs.ErrNotExist) {
		return manifests.Marker{}, fmt.Errorf("%w: %w", ErrNoMarker, err)
	}
	if err != nil {
		return manifests.Marker{}, fmt.Errorf("%w: %w", ErrMarker, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 1<<16))
	if err != nil {
		return manifests.Marker{}, fmt.Errorf("%w: %w", ErrMarker, err)
	}
	m, err := manifests.DecodeMarker(data)
	if err != nil {
		return m, fmt.Errorf("%w: %w", ErrMarker, err)
	}
	return m, nil
}

// InitTree makes a configured folder a tree root of this site by writing its
// marker. role is manifests.RoleSource or manifests.RoleCopy. The folder must
// exist: a mount point that is not mounted should not be filled by accident.
func (s *Site) InitTree(name, role string) error {
	dir, ok := s.roots[name]
	if !ok {
		return fmt.Errorf("tree %s: no folder is configured for it", name)
	}
	if role != manifests.RoleSource && role != manifests.RoleCopy {
		return fmt.Errorf("tree %s: no such role: %q", name, role)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("tree %s: %w", name, err)
	}
	defer root.Close()
	t := &tree{name: name, dir: dir, root: root, step: func(string) {}, fsync: s.fsync, beat: s.beat, solid: map[string]bool{}}
	if err := t.makeDirs(manifests.PrivateDir); err != nil {
		return fmt.Errorf("tree %s: %w", name, err)
	}
	return t.writeMarker(manifests.Marker{Tree: name, Site: s.cfg.Name, Role: role})
}

// Marker reads the marker of a tree; errors wrap ErrNoMarker or ErrMarker.
func (s *Site) Marker(name string) (manifests.Marker, error) {
	t, err := s.open(name)
	if err != nil {
		return manifests.Marker{}, err
	}
	defer t.close()
	return t.marker, nil
}

// Remember writes into the markers which revision was applied here. Drives that are
// not there now are passed over: they have not seen it.
func (s *Site) Remember(revision string) error {
	var errs []error
	for _, name := range s.names {
		t, err := s.open(name)
		if err != nil {
			continue
		}
		if t.marker.Applied != revision {
			m := t.marker
			m.Applied = revision
			errs = append(errs, t.writeMarker(m))
		}
		t.close()
	}
	return errors.Join(errs...)
}

// LastApplied reads what Remember wrote at a tree root; "" if nobody knows. The drive
// need not be there, and a marker of another tree or site says nothing.
func LastApplied(dir, name, site string) string {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return ""
	}
	defer root.Close()
	t := &tree{name: name, dir: dir, root: root, step: func(string) {}, solid: map[string]bool{}}
	m, err := t.readMarker()
	if err != nil || m.Tree != name || m.Site != site {
		return ""
	}
	return m.Applied
}

// StepDown makes copies of this site's sources. While the manifest names it
// main it is pending main then: it makes its files match the listing, with
// whatever differs going to the trash, and becomes the source again when
// nothing is missing. All trees are looked at before the first one changes.
func (s *Site) StepDown() error {
	var trees []*tree
	defer func() {
		for _, t := range trees {
			t.close()
		}
	}()
	for _, name := range s.names {
		t, err := s.open(name)
		if err != nil {
			return err
		}
		trees = append(trees, t)
	}
	for _, t := range trees {
		if err := t.setRole(manifests.RoleCopy); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) writeMarker(m manifests.Marker) error {
	if err := t.writeFile(manifests.MarkerName, m.Encode()); err != nil {
		return fmt.Errorf("tree %s: marker: %w", t.name, err)
	}
	t.marker = m
	return nil
}

// setRole rewrites a marker that says something else.
func (t *tree) setRole(role string) error {
	if t.marker.Role == role {
		return nil
	}
	m := t.marker
	m.Role = role
	return t.writeMarker(m)
}
