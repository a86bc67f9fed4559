package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"seedtree/builder"
	"seedtree/manifests"
)

// suffix is what a file's name gets, extension and all: a.txt and a.jpg are
// two files and have two torrents.
const suffix = ".torrent"

// tree makes the torrents of one command line.
type tree struct {
	options
	stdout, stderr io.Writer
	into           *os.Root // the save directory
	failed         int
}

// make does all the work and returns the exit code.
func (t *tree) make(ctx context.Context) int {
	if info, err := os.Stat(t.src); err != nil || !info.IsDir() {
		fmt.Fprintf(t.stderr, "torrent_tree: No such directory: %s\n%s", t.src, usage)
		return exitNoSource
	}
	if err := t.openOut(); err != nil {
		fmt.Fprintf(t.stderr, "torrent_tree: %v\n", err)
		return exitBadOut
	}
	defer func() { _ = t.into.Close() }()
	o := builder.TorrentOptions{Name: t.name(), Dir: t.src, Want: t.want}
	if err := t.leaveOut(&o); err != nil {
		fmt.Fprintf(t.stderr, "torrent_tree: %v\n", err)
		return exitFailed
	}
	skipped, failed, err := builder.Torrents(ctx, o, t.write)
	if !t.quiet {
		for _, s := range skipped {
			fmt.Fprintf(t.stderr, "torrent_tree: %s: %s\n", s.Key, s.Reason)
		}
	}
	for _, f := range failed {
		t.fail(f)
	}
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(t.stderr, "torrent_tree: interrupted; every .torrent that was written is whole")
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(t.stderr, "torrent_tree: %v\n", err)
		return exitFailed
	case t.failed > 0:
		return exitPartial
	}
	return exitDone
}

func (t *tree) openOut() error {
	info, err := os.Stat(t.out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(t.stdout, "Creating directory %s\n", t.out)
		if err := os.MkdirAll(t.out, 0o755); err != nil {
			return err
		}
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("not a directory: %s", t.out)
	}
	t.into, err = os.OpenRoot(t.out)
	return err
}

// name is what clients will call the folder with all files: the source
// directory's own name, "files" if it has none.
func (t *tree) name() string {
	switch base := filepath.Base(t.src); base {
	case ".", "..", string(filepath.Separator):
		return "files"
	default:
		return base
	}
}

// leaveOut turns --ignore into what to leave out. Torrents made earlier are
// no source, wherever the save directory stands.
func (t *tree) leaveOut(o *builder.TorrentOptions) error {
	left := map[string]bool{}
	for _, p := range t.ignore {
		if rel, ok := t.inside(p); ok {
			left[rel] = true
		} else {
			o.Ignore = append(o.Ignore, p)
		}
	}
	out, ok := t.inside(t.out)
	if left["."] {
		return fmt.Errorf("--ignore leaves out all of %s", t.src)
	}
	o.Leave = func(p string) bool {
		return left[p] || ok && (p == out || out == "." && strings.HasSuffix(p, suffix))
	}
	return nil
}

// inside returns the path of an existing p relative to the source directory.
// Links above p are resolved, p itself may be one.
func (t *tree) inside(p string) (string, bool) {
	real := func(p string) (string, error) {
		abs, err := filepath.Abs(p)
		if err != nil {
			return "", err
		}
		return filepath.EvalSymlinks(abs)
	}
	src, err := real(t.src)
	if err != nil {
		return "", false
	}
	full, err := real(p)
	if info, err2 := os.Lstat(filepath.Clean(p)); err2 == nil && info.Mode()&fs.ModeSymlink != 0 && p != t.out {
		full, err = real(filepath.Dir(filepath.Clean(p)))
		full = filepath.Join(full, filepath.Base(p))
	}
	if err != nil {
		return "", false
	}
	rel, err := filepath.Rel(src, full)
	if err != nil || !filepath.IsLocal(rel) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}

// place returns where a file's torrent goes. The file "a" and the directory
// "a.torrent" beside it cannot both have what they would have: it is the
// directory that gives way.
func place(p manifests.Path) string {
	dir, file := path.Split(string(p))
	return strings.ReplaceAll(dir, suffix+"/", "%2E"+suffix[1:]+"/") + file + suffix
}

// want says whether a file's torrent is to be made.
func (t *tree) want(p manifests.Path, modified time.Time) bool {
	t.say("Processing %q", path.Join(filepath.ToSlash(t.src), string(p)))
	name := place(p)
	old, err := t.into.Stat(name)
	switch {
	case err != nil:
		return true // absent, or else writing it says what is wrong
	case t.replace == replaceAll:
		t.say("Would skip %q, but -f specified", path.Join(t.out, name))
	case t.replace == replaceOlder && old.ModTime().Before(modified):
		t.say("Would skip %q, but -u specified", path.Join(t.out, name))
	default:
		t.say("Skipping %q - already exists", path.Join(t.out, name))
		return false
	}
	return true
}

// write stores one torrent under its name, the whole of it or nothing.
func (t *tree) write(m manifests.Metainfo) {
	name := place(m.Path)
	t.say("Creating %q", path.Join(t.out, name))
	if err := t.store(name, m.EncodeWith([][]string{{t.announce}})); err != nil {
		t.fail(fmt.Errorf("%s: %w", path.Join(t.out, name), err))
	}
}

func (t *tree) store(name string, data []byte) error {
	dir := path.Dir(name)
	if err := t.into.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// Written beside and renamed: a reader sees the old torrent or the new one.
	// The name is short, so that only the torrent's own can be too long.
	temp := path.Join(dir, fmt.Sprintf(".tt%d", os.Getpid()))
	if err := ignoreAbsent(t.into.Remove(temp)); err != nil {
		return err
	}
	f, err := t.into.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = t.into.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, ignoreAbsent(t.into.Remove(temp)))
	}
	return nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (t *tree) say(format string, args ...any) {
	if t.verbose {
		fmt.Fprintf(t.stdout, format+"\n", args...)
	}
}

func (t *tree) fail(err error) {
	t.failed++
	fmt.Fprintf(t.stderr, "torrent_tree: %v\n", err)
}
