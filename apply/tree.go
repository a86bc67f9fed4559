package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"seedtree/internal/pulse"
	"seedtree/manifests"
)

// Folders of a tree root that belong to seedtree.
const (
	stagingDir = manifests.PrivateDir + "/staging"
	trashDir   = manifests.PrivateDir + "/trash"
)

// tree is one tree root, open for one pass: a drive that is mounted or
// unmounted between passes is seen as it is. All names are slash separated and
// below the root; os.Root keeps every operation inside it.
type tree struct {
	name  string
	dir   string // absolute, as the engine knows it
	root  *os.Root
	step  func(op string)
	fsync func(*os.File) error
	beat  func()
	// solid holds directories seen to be real ones, parents included, in this
	// pass. os.Root follows symlinks that stay inside the root; we do not.
	solid  map[string]bool
	mu     sync.Mutex // guards solid: files are opened by many workers
	marker manifests.Marker
	folds  bool // names that differ by case are one
	bin    *bin
}

// open opens a tree root and reads its marker.
func (s *Site) open(name string) (*tree, error) {
	dir, ok := s.roots[name]
	if !ok {
		return nil, fmt.Errorf("tree %s: no folder is configured for it", name)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w: %w", name, ErrNoMarker, err)
	}
	t := &tree{name: name, dir: dir, root: root, fsync: s.fsync, beat: s.beat, solid: map[string]bool{}}
	t.step = func(op string) {
		t.beat()
		if s.step != nil {
			s.step(op)
		}
	}
	if t.marker, err = t.readMarker(); err == nil && (t.marker.Tree != name || t.marker.Site != s.cfg.Name) {
		err = fmt.Errorf("%w: it says tree %s of site %s", ErrMarker, t.marker.Tree, t.marker.Site)
	}
	if err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("tree %s at %s: %w", name, dir, err)
	}
	t.folds = t.foldsCase()
	return t, nil
}

func (t *tree) close() { _ = t.root.Close() }

// isDir reports whether name and everything above it are real directories.
func (t *tree) isDir(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.isDirLocked(name)
}

func (t *tree) isDirLocked(name string) bool {
	if name == "." || t.solid[name] {
		return true
	}
	if strings.HasPrefix(name, stagingDir+"/") {
		// Ours alone, and every torrent has folders of its own: looking at
		// each costs more than it proves. os.Root still keeps us inside.
		return t.isDirLocked(stagingDir)
	}
	if !t.isDirLocked(path.Dir(name)) {
		return false
	}
	info, err := t.root.Lstat(name)
	if err != nil || !info.IsDir() {
		return false
	}
	t.solid[name] = true
	return true
}

// makeDirs makes a directory of our own and those above it.
func (t *tree) makeDirs(name string) error {
	if strings.HasPrefix(name, stagingDir+"/") {
		if err := t.makeDirs(stagingDir); err != nil {
			return err
		}
		t.step("mkdir " + name)
		return t.root.MkdirAll(name, 0o777)
	}
	if t.isDir(name) {
		return nil
	}
	if err := t.makeDirs(path.Dir(name)); err != nil {
		return err
	}
	t.step("mkdir " + name)
	if err := t.root.Mkdir(name, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if !t.isDir(name) {
		return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
	}
	return nil
}

// forgetDir drops what is known of a directory that is about to go away.
func (t *tree) forgetDir(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for dir := range t.solid {
		if dir == name || len(dir) > len(name) && dir[:len(name)] == name && dir[len(name)] == '/' {
			delete(t.solid, dir)
		}
	}
}

func (t *tree) link(from, to string) error {
	t.step("link " + from + " to " + to)
	return t.root.Link(from, to)
}

func (t *tree) rename(from, to string) error {
	t.step("rename " + from + " to " + to)
	return t.root.Rename(from, to)
}

func (t *tree) remove(name string) error {
	t.step("remove " + name)
	return t.root.Remove(name)
}

// removeAll removes a folder of our own; symlinks in it are not followed.
func (t *tree) removeAll(name string) error {
	t.step("remove all of " + name)
	if !strings.HasPrefix(name, stagingDir+"/") {
		t.forgetDir(name)
	}
	return t.root.RemoveAll(name)
}

// lstat looks at a name; nil and no error when nothing is there, also when
// what is above it is no directory.
func (t *tree) lstat(name string) (os.FileInfo, error) {
	if dir := path.Dir(name); !t.isDir(dir) {
		return nil, nil
	}
	info, err := t.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	return info, err
}

// openRegular opens a file for reading that is no symlink, device or pipe,
// neither when it is looked at nor when it is opened.
func (t *tree) openRegular(name string) (*os.File, error) {
	before, err := t.lstat(name)
	if err != nil {
		return nil, err
	}
	if before == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file (%s)", name, before.Mode().Type())
	}
	f, err := t.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if after, err := f.Stat(); err != nil || !os.SameFile(before, after) {
		_ = f.Close()
		return nil, fmt.Errorf("%s was replaced while it was opened", name)
	}
	return f, nil
}

// copyFile copies a regular file to a name of our own, at most length bytes,
// by reflink where the file system can. The copy appears under its name only
// when it is whole. A negative length copies everything.
func (t *tree) copyFile(src *tree, from, to string, length int64) error {
	in, err := src.openRegular(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	t.step("copy " + from + " to " + to)
	out, part, err := t.openPart(to)
	if err != nil {
		return err
	}
	if length < 0 {
		length = math.MaxInt64
	}
	err = pulse.Copy(out, in, length, t.beat)
	if err == nil {
		err = out.Chmod(info.Mode().Perm() | 0o600)
	}
	if err := errors.Join(err, out.Close()); err != nil {
		_ = t.root.Remove(part)
		return err
	}
	t.step("finish copy " + to)
	return t.root.Rename(part, to)
}

// setAttributes gives a file its listed mode and time, and fails when the file
// system cannot hold the time: it would be taken for drift for ever.
func (t *tree) setAttributes(name string, info os.FileInfo, e manifests.Entry) error {
	if mode := modeFor(info.Mode(), e.Executable); mode != info.Mode().Perm() {
		t.step("chmod " + name)
		if err := t.root.Chmod(name, mode); err != nil {
			return err
		}
	}
	if e.Kind != manifests.Regular || sameTime(e.ModTime, info.ModTime()) {
		return nil
	}
	t.step("chtimes " + name)
	if err := t.root.Chtimes(name, time.Time{}, e.ModTime); err != nil {
		return err
	}
	now, err := t.root.Lstat(name)
	if err != nil {
		return err
	}
	if !sameTime(e.ModTime, now.ModTime()) {
		return fmt.Errorf("the file system of tree %s turns the modification time %s into %s",
			t.name, e.ModTime.Format(time.RFC3339Nano), now.ModTime().UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// modeFor is the mode a file should have, as git sees modes: who can read it
// can run it, or nobody can.
func modeFor(mode os.FileMode, executable bool) os.FileMode {
	perm := mode.Perm()
	if !executable {
		return perm &^ 0o111
	}
	if perm&0o111 != 0 {
		return perm
	}
	return perm | (perm&0o444)>>2
}

// sync makes a file, or a directory's names, survive a power failure.
func (t *tree) sync(name string) error {
	f, err := t.root.Open(name)
	if err != nil {
		return err
	}
	if err = pulse.WriteBack(f, t.beat); err == nil {
		err = t.fsync(f)
		if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
			err = nil // some network file systems cannot sync a directory
		}
	}
	t.beat()
	return errors.Join(err, f.Close())
}

// writeFile replaces a small file of our own: after a crash it holds the old
// or the new bytes.
func (t *tree) writeFile(name string, data []byte) error {
	temp := name + ".new"
	t.step("write " + temp)
	f, err := t.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, t.fsync(f), f.Close()); err != nil {
		return err
	}
	if err := t.rename(temp, name); err != nil {
		return err
	}
	return t.sync(path.Dir(name))
}

// stagingName is the folder of one torrent in staging, below the tree root.
func stagingName(h manifests.InfoHash) string { return stagingDir + "/" + h.String() }

// stagedName is where the engine puts a file that it fetches.
func stagedName(e manifests.Entry) string {
	return stagingName(e.InfoHash) + "/" + e.Tree + "/" + string(e.Path)
}

// readyName is where a file of ours waits to be renamed into the tree.
func readyName(h manifests.InfoHash) string { return stagingDir + "/" + h.String() + ".ready" }

// stagingRoot is the Addition.Root of a torrent in staging.
func stagingRoot(dir string, h manifests.InfoHash, tree string) string {
	return filepath.Join(dir, filepath.FromSlash(stagingName(h)), tree)
}
