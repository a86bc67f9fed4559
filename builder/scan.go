package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"seedtree/internal/pieces"
	"seedtree/manifests"
)

// candidate is a file that has to be read.
type candidate struct {
	src  *source
	path manifests.Path
	info fs.FileInfo // as last seen
	// tries counts how often it changed under the reader.
	tries int
	aged  bool           // its time stamp was waited for
	part  *pieces.Resume // of a large file: the pieces that were read
}

func (c *candidate) key() manifests.Key { return manifests.Key{Tree: c.src.tree, Path: c.path} }

// findings is what a scan found, and what hashing makes of it.
type findings struct {
	entries    []manifests.Entry
	blobs      map[manifests.Key]Blob // the .torrents of entries that were made, not taken over
	candidates []*candidate
	hidden     []manifests.Key // could not be looked into: what was listed there stays
	skipped    []Skip
	failed     []Failure
}

// scanner walks one source.
type scanner struct {
	ctx    context.Context
	src    *source
	out    *findings
	cached func(*candidate) bool // takes the previous entry over, if it still holds
	seen   func()
	// leave names places to leave out with all below them, want the regular
	// files to look at; nil: none and all.
	leave func(path string) bool
	want  func(manifests.Path, fs.FileInfo) bool
}

// run walks the whole source below the given rules. Only the end of the
// context and a root that cannot be read end it early.
func (s *scanner) run(top *rules) error {
	list, err := readDir(s.src.root)
	if err != nil {
		return fmt.Errorf("tree %s: reading %s: %w", s.src.tree, s.src.dir, err)
	}
	_, err = s.walk(s.src.root, "", list, top)
	return err
}

// walk goes through an open directory and returns how many entries it found
// in it and below. base is its path in the tree, "" or with a slash at its end.
func (s *scanner) walk(dir *os.Root, base string, list []fs.DirEntry, above *rules) (int, error) {
	here, err := s.rules(dir, base, list, above)
	if err != nil {
		s.hide(strings.TrimSuffix(base, "/"), err)
		return 1, nil
	}
	n := 0
	var subdirs []fs.FileInfo
	for _, e := range list {
		path := base + e.Name()
		info, err := dir.Lstat(e.Name())
		isDir := err == nil && info.IsDir() || err != nil && e.IsDir()
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone since the directory was read
		case here.ignored(path, isDir) || s.leave != nil && s.leave(path):
		case e.Name() == manifests.PrivateDir && isDir:
			s.private(base)
		case err != nil:
			s.hide(path, err)
			n++
		case isDir:
			subdirs = append(subdirs, info)
		default:
			n += s.file(dir, path, info)
		}
	}
	// Files first, so that all of one directory are hashed in a row.
	for _, info := range subdirs {
		below, err := s.subdir(dir, base+info.Name(), info, here)
		if err != nil {
			return n, err
		}
		n += below
	}
	return n, nil
}

// private leaves out a folder of staging and trash. Below the top it means
// that one tree's root is a folder in another tree.
func (s *scanner) private(base string) {
	if p, err := manifests.ParsePath(base + manifests.PrivateDir); err == nil {
		s.out.skipped = append(s.out.skipped, Skip{s.key(string(p)), "belongs to a tree of its own"})
	}
}

// rules adds the directory's own ignore file. One that is there and cannot be
// read hides the directory: to go on would publish what it protects.
func (s *scanner) rules(dir *os.Root, base string, list []fs.DirEntry, above *rules) (*rules, error) {
	for _, e := range list {
		if e.Name() != ignoreFile || e.IsDir() {
			continue
		}
		// A link could be followed here, but at no other site could the same.
		if !e.Type().IsRegular() {
			return nil, fmt.Errorf("%s is not a regular file", ignoreFile)
		}
		text, err := readSmall(dir, ignoreFile, maxIgnoreFile)
		if err != nil {
			return nil, err
		}
		return above.below(base, string(text)), nil
	}
	return above, nil
}

func (s *scanner) subdir(parent *os.Root, path string, info fs.FileInfo, here *rules) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	p, ok := s.path(path)
	if !ok {
		return 1, nil
	}
	// The dot makes it an error, not an endless wait, if this is a pipe by now.
	dir, err := parent.OpenRoot(info.Name() + "/.")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		s.hide(path, err)
		return 1, nil
	}
	defer func() { _ = dir.Close() }()
	list, err := readDir(dir)
	if now, err2 := dir.Stat("."); err == nil && err2 == nil && !os.SameFile(now, info) {
		err = fmt.Errorf("%w: another directory took its place", pieces.ErrChanged)
	}
	if err != nil {
		s.hide(path, err)
		return 1, nil
	}
	n, err := s.walk(dir, path+"/", list, here)
	if n == 0 && err == nil {
		s.add(manifests.Entry{Tree: s.src.tree, Path: p, Kind: manifests.EmptyDir})
		n = 1
	}
	return n, err
}

// file lists what is no directory and returns how many entries that made.
func (s *scanner) file(dir *os.Root, path string, info fs.FileInfo) int {
	p, ok := s.path(path)
	if !ok {
		return 1
	}
	e := manifests.Entry{Tree: s.src.tree, Path: p}
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		target, err := dir.Readlink(info.Name())
		if err == nil {
			err = manifests.CheckTarget(target)
		}
		if err != nil {
			s.hide(path, err)
			return 1
		}
		e.Kind, e.Target = manifests.Symlink, target
		s.add(e)
	case !mode.IsRegular():
		s.out.skipped = append(s.out.skipped, Skip{e.Key(), "is a " + special(mode) + ", which no torrent can carry"})
		return 0
	case info.Size() == 0:
		e.Kind, e.Executable = manifests.Empty, executable(mode)
		s.add(e)
	default:
		s.seen()
		if s.want != nil && !s.want(p, info) {
			return 1
		}
		c := &candidate{src: s.src, path: p, info: info}
		if s.cached == nil || !s.cached(c) {
			s.out.candidates = append(s.out.candidates, c)
		}
	}
	return 1
}

func (s *scanner) add(e manifests.Entry) {
	s.seen()
	s.out.entries = append(s.out.entries, e)
}

// path makes a Path of what a walk put together. What cannot be one, because
// it is too long, is reported at its directory, which has one.
func (s *scanner) path(path string) (manifests.Path, bool) {
	p, err := manifests.ParsePath(path)
	if err != nil {
		parent := path[:max(strings.LastIndexByte(path, '/'), 0)]
		s.out.failed = append(s.out.failed, Failure{s.key(parent), err})
	}
	return p, err == nil
}

// hide reports a place that cannot be read; whatever was listed there and
// below it stays listed.
func (s *scanner) hide(path string, err error) {
	if path != "" {
		if _, ok := s.path(path); !ok {
			return
		}
	}
	s.out.hidden = append(s.out.hidden, s.key(path))
	s.out.failed = append(s.out.failed, Failure{s.key(path), cause(err)})
}

// key names a place that ParsePath has seen or that is the root itself.
func (s *scanner) key(path string) manifests.Key {
	return manifests.Key{Tree: s.src.tree, Path: manifests.Path(path)}
}

// cause strips the path from an error of the file system: it is the one it
// was opened by, and the failure names the one people know.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", pe.Op, pe.Err)
	}
	return err
}

// readDir returns all names in an open directory, or none of them.
func readDir(dir *os.Root) ([]fs.DirEntry, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	list, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	return list, nil
}

func executable(mode fs.FileMode) bool { return mode&0o100 != 0 }

func special(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}
