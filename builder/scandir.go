package builder

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"seedtree/internal/dirat"
	"seedtree/internal/pieces"
	"seedtree/manifests"
)

// scanner looks at one directory after the other.
type scanner struct {
	*scan
	out   *findings
	names dirat.Names // reused
	files []candidate // reused; their names come last
	index []int       // where their names are
	count int         // entries found and not yet told of
	at    *place
	dir   *dirat.Dir
	old   join
	below []*place
}

func (w *scanner) run() {
	for p := w.next(); p != nil; p = w.next() {
		w.at, w.below, w.files, w.index = p, nil, w.files[:0], w.index[:0]
		w.dir = w.read()
		if w.dir != nil {
			w.walk()
		}
		for _, p := range w.done(p, w.dir, w.below) {
			w.emptyDir(p)
		}
		w.tell()
	}
}

// read opens the directory and reads its names; nil: there is nothing to see,
// and why has been said.
func (w *scanner) read() *dirat.Dir {
	p := w.at
	dir, err := w.enter(p)
	if err == nil {
		var now dirat.Stat
		if now, err = dir.Stat(); err == nil && p.in != nil && !now.Same(&p.stat) {
			err = fmt.Errorf("%w: another directory took its place", pieces.ErrChanged)
		}
		p.stat = now
	}
	if err == nil {
		err = dir.Read(&w.names)
	}
	if err == nil {
		if p.in != nil {
			w.mounted(p)
		}
		return dir
	}
	if p.in == nil {
		w.fail(fmt.Errorf("tree %s: reading %s: %w", w.src.tree, w.src.dir, err))
		return nil
	}
	if dir != nil {
		_ = dir.Close()
	}
	if p.gone = errors.Is(err, fs.ErrNotExist); !p.gone {
		w.hide(strings.TrimSuffix(p.path, "/"), err)
		p.found = true
	}
	return nil
}

// walk goes through the names in the directory, and through what was listed
// there before.
func (w *scanner) walk() {
	p := w.at
	here, err := w.ownRules()
	if err != nil {
		w.hide(strings.TrimSuffix(p.path, "/"), err)
		p.found = true
		return
	}
	p.rules = here
	w.old = join{l: w.previous, at: p.from, to: p.to, base: len(p.path)}
	for i := range w.names.Len() {
		w.name(i)
		if w.count == 4096 { // now and then in a huge directory
			w.tell()
			if w.failed() {
				return
			}
		}
	}
	w.keepFiles()
}

func (w *scanner) tell() {
	w.seen(w.count)
	w.count = 0
}

// keepFiles makes a folder of the files that have to be read, in memory of
// just their size: their paths are one string.
func (w *scanner) keepFiles() {
	if len(w.files) == 0 {
		return
	}
	size := len(w.files) * len(w.at.path)
	for _, i := range w.index {
		size += len(w.names.At(i))
	}
	var paths strings.Builder
	paths.Grow(size)
	for _, i := range w.index {
		paths.WriteString(w.at.path)
		paths.Write(w.names.At(i))
	}
	f := &folder{src: w.src, path: strings.TrimSuffix(w.at.path, "/"), files: slices.Clone(w.files)}
	rest := manifests.Path(paths.String())
	for at, i := range w.index {
		n := len(w.at.path) + len(w.names.At(i))
		f.files[at].in, f.files[at].at = f, rest[:n]
		rest = rest[n:]
	}
	w.out.folders = append(w.out.folders, f)
}

// ownRules adds the directory's own ignore file. One that is there and cannot
// be read hides the directory: to go on would publish what it protects.
func (w *scanner) ownRules() (*rules, error) {
	above := w.at.rules
	if !w.names.Has(ignoreFile) {
		return above, nil
	}
	text, err := readSmall(w.dir, ignoreFile, maxIgnoreFile)
	if err != nil {
		return nil, err
	}
	return above.below(w.at.path, string(text)), nil
}

// name looks at one name.
func (w *scanner) name(i int) {
	var s dirat.Stat
	err := w.dir.LstatAt(&w.names, i, &s)
	isDir := err == nil && s.Mode.IsDir() || err != nil && w.names.IsDir(i)
	if errors.Is(err, fs.ErrNotExist) {
		return // gone since the directory was read
	}
	name := w.names.At(i)
	was := -1
	if !isDir {
		was = w.old.find(name)
	}
	if (w.at.rules != nil || w.leave != nil) && w.left(name, was, isDir) {
		return
	}
	switch {
	case isDir && string(name) == manifests.PrivateDir:
		w.private()
	case err != nil:
		w.hide(w.at.path+string(name), err)
		w.at.found = true
	case isDir:
		w.subdir(string(name), &s)
	default:
		if t := w.out.newest[s.Device]; s.Changed > t && s.Changed <= w.began {
			w.out.newest[s.Device] = s.Changed
		}
		w.file(i, was, &s)
	}
}

// left reports whether a place is left out.
func (w *scanner) left(name []byte, was int, isDir bool) bool {
	var path string
	if was >= 0 {
		path = string(w.previous.At(was).Path) // nearly always: no new string
	} else {
		path = w.at.path + string(name)
	}
	return w.at.rules.ignored(path, isDir) || w.leave != nil && w.leave(path)
}

// private leaves out a folder of staging and trash. Below the top it means
// that one tree's root is a folder in another tree.
func (w *scanner) private() {
	if p, err := manifests.ParsePath(w.at.path + manifests.PrivateDir); err == nil {
		w.out.skipped = append(w.out.skipped, Skip{w.key(string(p)), "belongs to a tree of its own"})
	}
}

func (w *scanner) subdir(name string, s *dirat.Stat) {
	path := w.at.path + name
	if _, ok := w.path(path); !ok {
		w.at.found = true
		return
	}
	p := &place{in: w.at, name: name, path: path + "/", stat: *s, rules: w.at.rules, open: 1}
	p.from, p.to = w.old.below(name)
	w.below = append(w.below, p)
}

// file lists the i-th name, which is no directory. was is its position in the
// previous listing, or -1.
func (w *scanner) file(i, was int, s *dirat.Stat) {
	name := w.names.At(i)
	switch {
	case s.Mode.Type() == fs.ModeSymlink:
		w.link(name, was)
	case !s.Mode.IsRegular():
		w.special(name, s.Mode)
		return
	case s.Size == 0:
		w.list(name, was, manifests.Entry{Kind: manifests.Empty, Executable: executable(s.Mode)})
	default:
		w.regular(i, was, s)
	}
	w.at.found = true
	w.count++
}

func (w *scanner) link(name []byte, was int) {
	target, err := w.dir.Readlink(string(name))
	if err == nil {
		err = manifests.CheckTarget(target)
	}
	if err != nil {
		w.hide(w.at.path+string(name), err)
		return
	}
	w.list(name, was, manifests.Entry{Kind: manifests.Symlink, Target: target})
}

func (w *scanner) special(name []byte, mode fs.FileMode) {
	if p, ok := w.path(w.at.path + string(name)); ok {
		w.out.skipped = append(w.out.skipped, Skip{w.key(string(p)), "is a " + special(mode) + ", which no torrent can carry"})
	}
}

// list takes an entry that needs no reading.
func (w *scanner) list(name []byte, was int, e manifests.Entry) {
	if was >= 0 {
		if old := w.previous.At(was); old.Kind == e.Kind && old.Executable == e.Executable && old.Target == e.Target {
			w.out.kept[was] = true
			return
		}
	}
	if p, ok := w.path(w.at.path + string(name)); ok {
		e.Tree, e.Path = w.src.tree, p
		w.out.entries = append(w.out.entries, e)
	}
}

// regular takes the previous entry of a file over whose length and time are as
// they were. Nothing is read for it, not even when its executable bit changed.
func (w *scanner) regular(i, was int, s *dirat.Stat) {
	name, same := w.names.At(i), false
	if was >= 0 {
		old := w.previous.At(was)
		same = !w.reread(old) && old.Kind == manifests.Regular && old.Length == s.Size && old.ModTime.UnixNano() == s.Modified
		if same && old.Executable == executable(s.Mode) {
			w.out.kept[was] = true
			return
		}
	}
	if was < 0 {
		if _, ok := w.path(w.at.path + string(name)); !ok {
			return
		}
	}
	if same {
		in := &folder{src: w.src, path: strings.TrimSuffix(w.at.path, "/")}
		w.out.chmods = append(w.out.chmods, chmod{was, candidate{in: in, at: w.previous.At(was).Path, stat: *s}})
		return
	}
	w.files, w.index = append(w.files, candidate{stat: *s}), append(w.index, i)
}

// emptyDir lists a directory in which and below which nothing was found.
func (w *scanner) emptyDir(p *place) {
	w.count++
	k := w.key(strings.TrimSuffix(p.path, "/"))
	if i, ok := w.previous.Find(k); ok && w.previous.At(i).Kind == manifests.EmptyDir {
		w.out.kept[i] = true
		return
	}
	w.out.entries = append(w.out.entries, manifests.Entry{Tree: k.Tree, Path: k.Path, Kind: manifests.EmptyDir})
}

// path makes a Path of what a walk put together. What cannot be one, because
// it is too long, is reported at its directory, which has one.
func (w *scanner) path(path string) (manifests.Path, bool) {
	p, err := manifests.ParsePath(path)
	if err != nil {
		parent := path[:max(strings.LastIndexByte(path, '/'), 0)]
		w.out.failed = append(w.out.failed, Failure{w.key(parent), err})
	}
	return p, err == nil
}

// hide reports a place that cannot be read; whatever was listed there and
// below it stays listed.
func (w *scanner) hide(path string, err error) {
	if path != "" {
		if _, ok := w.path(path); !ok {
			return
		}
	}
	w.out.hidden = append(w.out.hidden, w.key(path))
	w.out.failed = append(w.out.failed, Failure{w.key(path), cause(err)})
}

// key names a place that ParsePath has seen or that is the root itself.
func (w *scanner) key(path string) manifests.Key {
	return manifests.Key{Tree: w.src.tree, Path: manifests.Path(path)}
}

// join walks the entries that were listed below a directory along with the
// names that are in it now. Both are in the same order, but for directories
// that were empty.
type join struct {
	l      *manifests.Listing
	at, to int
	base   int // length of the directory's path
}

// find returns the position of the entry with this name, or -1.
func (j *join) find(name []byte) int {
	for ; j.at < j.to; j.at++ {
		switch own := j.l.At(j.at).Path[j.base:]; {
		case string(own) == string(name):
			j.at++
			return j.at - 1
		case string(own) > string(name):
			return -1
		}
	}
	return -1
}

// below returns which entries stand below a directory of this name, and goes
// on behind them.
func (j *join) below(name string) (from, to int) {
	for j.at < j.to && string(j.l.At(j.at).Path[j.base:]) < name+"/" {
		j.at++
	}
	from = j.at
	end := name + "0" // what follows the slash
	size := 1
	for j.at+size < j.to && string(j.l.At(j.at + size).Path[j.base:]) < end {
		size *= 2
	}
	lo, hi := j.at, min(j.at+size, j.to)
	for lo < hi {
		if mid := (lo + hi) / 2; string(j.l.At(mid).Path[j.base:]) < end {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	j.at = lo
	return from, lo
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
