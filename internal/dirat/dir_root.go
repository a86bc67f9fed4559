package dirat

import (
	"errors"
	"io/fs"
	"os"
)

// rootDir is an open directory on systems that we make no calls of our own to.
// os.Root follows links that stay inside; so what a name leads to is compared
// with what stood there before.
type rootDir struct{ root *os.Root }

func openRoot(path string) (*rootDir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &rootDir{root}, nil
}

func (d *rootDir) Close() error { return d.root.Close() }

func (d *rootDir) Stat() (Stat, error) {
	info, err := d.root.Stat(".")
	if err != nil {
		return Stat{}, err
	}
	return StatOf(info), nil
}

func (d *rootDir) Lstat(name string) (Stat, error) {
	if err := checkName("lstat", name); err != nil {
		return Stat{}, err
	}
	info, err := d.root.Lstat(name)
	if err != nil {
		return Stat{}, err
	}
	return StatOf(info), nil
}

func (d *rootDir) LstatAt(n *Names, i int, s *Stat) (err error) {
	*s, err = d.Lstat(string(n.At(i)))
	return err
}

func (d *rootDir) Read(n *Names) error {
	n.reset()
	f, err := d.root.Open(".")
	if err != nil {
		return err
	}
	list, err := f.ReadDir(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	for _, e := range list {
		k := other
		if e.IsDir() {
			k = directory
		}
		if err := n.add([]byte(e.Name()), k); err != nil {
			n.reset()
			return err
		}
	}
	n.sort()
	return nil
}

func (d *rootDir) OpenDir(name string) (*rootDir, error) {
	before, err := d.look(name)
	if err != nil {
		return nil, err
	}
	// The dot makes it an error, not an endless wait, if this is a pipe by now.
	root, err := d.root.OpenRoot(name + "/.")
	if err != nil {
		return nil, err
	}
	next := &rootDir{root}
	now, err := next.Stat()
	if err == nil && !now.Same(&before) {
		err = &fs.PathError{Op: "open", Path: name, Err: errOther}
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return next, nil
}

// look finds out what stands at a name before it is opened.
func (d *rootDir) look(name string) (Stat, error) {
	s, err := d.Lstat(name)
	if err == nil && s.Mode.Type() == fs.ModeSymlink {
		err = &fs.PathError{Op: "open", Path: name, Err: errLink}
	}
	return s, err
}

func (d *rootDir) OpenPath(path string) (*rootDir, error) { return openPath(d, path) }

func (d *rootDir) OpenFile(name string, _ int64) (*os.File, error) {
	before, err := d.look(name)
	if err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		if now := StatOf(info); !now.Same(&before) {
			err = &fs.PathError{Op: "open", Path: name, Err: errOther}
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (d *rootDir) Readlink(name string) (string, error) {
	if err := checkName("readlink", name); err != nil {
		return "", err
	}
	return d.root.Readlink(name)
}

// StatOf returns what info knows.
func StatOf(info fs.FileInfo) Stat {
	t := info.ModTime()
	s := Stat{Size: info.Size(), Modified: nanos(t.Unix(), int64(t.Nanosecond())), Mode: info.Mode()}
	s.identify(info)
	return s
}
