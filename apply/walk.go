package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"seedtree/internal/pulse"
	"seedtree/manifests"
)

// tempPrefix begins the names of whole-file copies on their way into a
// directory that is on another file system than the tree root.
const tempPrefix = ".seedtree-incoming-"

// known answers which paths of one tree anybody knows.
type known struct {
	paths  map[manifests.Path]struct{}
	folded map[string][]manifests.Path // nil: every name is what it is
}

func newKnown(tree string, d Desired, wanted *manifests.Listing, folds bool) known {
	k := known{paths: map[manifests.Path]struct{}{}}
	for _, l := range append(d.owned(), wanted) {
		for e := range l.Tree(tree) {
			k.paths[e.Path] = struct{}{}
		}
	}
	if folds {
		k.folded = map[string][]manifests.Path{}
		for p := range k.paths {
			k.folded[fold(p)] = append(k.folded[fold(p)], p)
		}
	}
	return k
}

// at returns the known paths that a name on disk stands for: itself, and on a
// case-folding file system whatever else it is taken for.
func (k known) at(p manifests.Path) []manifests.Path {
	if k.folded != nil {
		return k.folded[fold(p)]
	}
	if _, ok := k.paths[p]; ok {
		return []manifests.Path{p}
	}
	return nil
}

// below reports whether any known path lies inside a directory.
func (k known) below(dir string) bool {
	for p := range k.paths {
		if strings.HasPrefix(string(p), dir+"/") {
			return true
		}
	}
	return false
}

// walker looks at every name of a tree, directories opened once each, files
// stat'ed only where somebody knows them.
type walker struct {
	t     *tree
	v     *TreeView
	known known
}

// batch is how many names are read from a directory at a time.
const batch = 2048

// walk looks at one open directory; prefix is its path with a slash, or "".
func (w *walker) walk(ctx context.Context, dir *os.Root, prefix string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	var below []string
	names := 0
	beat := pulse.Of(ctx)
	for {
		entries, err := f.ReadDir(batch)
		beat() // for names that nobody knows, and so nobody looks at
		names += len(entries)
		for _, d := range entries {
			if prefix == "" && d.Name() == manifests.PrivateDir {
				continue
			}
			isDir, err := w.look(dir, prefix, d)
			if err != nil {
				return err
			}
			if isDir {
				below = append(below, d.Name())
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if names == 0 && prefix != "" {
		w.v.Empty = append(w.v.Empty, manifests.Path(strings.TrimSuffix(prefix, "/")))
	}
	_ = f.Close() // one descriptor per level is enough
	for _, name := range below {
		if err := w.enter(ctx, dir, prefix+name, name); err != nil {
			return err
		}
	}
	return nil
}

// look records one name.
func (w *walker) look(dir *os.Root, prefix string, d fs.DirEntry) (isDir bool, err error) {
	full := manifests.Path(prefix + d.Name())
	at := w.known.at(full)
	if len(at) == 0 {
		switch {
		case d.IsDir():
		case strings.HasPrefix(d.Name(), tempPrefix) && d.Type().IsRegular():
			w.v.leftovers = append(w.v.leftovers, string(full))
		default:
			w.v.Foreign++
		}
		return d.IsDir(), nil
	}
	w.t.beat()
	info, err := dir.Lstat(d.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // gone meanwhile
	}
	if err != nil {
		return false, err
	}
	st := stateOf(info)
	if st.Type == Link {
		if st.Target, err = dir.Readlink(d.Name()); err != nil {
			return false, err
		}
	}
	for _, p := range at {
		w.v.Files[p] = st
	}
	return info.IsDir(), nil
}

// enter walks a directory below dir. Symlinks are never followed, not even
// when one takes a directory's place between the two looks.
func (w *walker) enter(ctx context.Context, dir *os.Root, full, name string) error {
	sub, err := openReal(dir, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil // gone, or no directory any more
	}
	if errors.Is(err, fs.ErrPermission) && !w.known.below(full) {
		return nil // somebody else's, like lost+found
	}
	if err != nil {
		return fmt.Errorf("reading directory %s: %w", full, err)
	}
	defer sub.Close()
	return w.walk(ctx, sub, full+"/")
}

// stateOf keeps what planning needs of a stat.
func stateOf(info os.FileInfo) FileState {
	st := FileState{Size: info.Size(), ModTime: info.ModTime()}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		st.Type = RegularFile
		st.Executable = mode&0o111 != 0
	case mode&fs.ModeSymlink != 0:
		st.Type = Link
	case mode.IsDir():
		st.Type = Directory
	default:
		st.Type = OtherFile
	}
	return st
}
