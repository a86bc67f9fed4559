package dirat

import (
	"encoding/binary"
	"io"
	"io/fs"
	"math"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Dir is an open directory.
type Dir = rawDir

// File is a regular file, or whatever else was opened, open for reading.
type File = rawFile

// Open opens a directory by its path, and follows links on the way to it: it
// is the operator who named it.
func Open(path string) (*Dir, error) { return openRaw(path) }

// rawDir is an open directory and the system calls relative to it.
type rawDir struct {
	fd   int
	read bool // it stands behind its last name
}

func openRaw(path string) (*rawDir, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_DIRECTORY)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &rawDir{fd: fd}, nil
}

// openat opens for reading. Without O_NONBLOCK a pipe would be waited for,
// without O_NOCTTY a terminal taken over.
func openat(dir int, name string, flags int) (fd int, err error) {
	err = again(func() error {
		fd, err = unix.Openat(dir, name, flags|unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// again repeats a call that a signal interrupted, as file systems in user
// space and in the network let happen.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// Close closes the handle; what was opened through it stays open.
func (d *rawDir) Close() error {
	fd := d.fd
	d.fd = -1 // never to close somebody else's file
	return unix.Close(fd)
}

// Stat looks at the directory itself. By its own name in it: that fails, as it
// should, where the names can be read and nothing behind them.
func (d *rawDir) Stat() (Stat, error) {
	var st unix.Stat_t
	if err := again(func() error { return unix.Fstatat(d.fd, ".", &st, unix.AT_SYMLINK_NOFOLLOW) }); err != nil {
		return Stat{}, &fs.PathError{Op: "stat", Path: ".", Err: err}
	}
	var s Stat
	s.fill(&st)
	return s, nil
}

// Lstat looks at a name.
func (d *rawDir) Lstat(name string) (Stat, error) {
	var s Stat
	if err := checkName("lstat", name); err != nil {
		return s, err
	}
	var st unix.Stat_t
	if err := again(func() error { return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) }); err != nil {
		return s, &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
	s.fill(&st)
	return s, nil
}

// LstatAt looks at the i-th name of n, which Read filled.
func (d *rawDir) LstatAt(n *Names, i int, s *Stat) error {
	var st unix.Stat_t
	for {
		switch err := unix.Fstatat(d.fd, string(n.At(i)), &st, unix.AT_SYMLINK_NOFOLLOW); err {
		case nil:
			s.fill(&st)
			return nil
		case unix.EINTR:
		default:
			return &fs.PathError{Op: "lstat", Path: string(n.At(i)), Err: err}
		}
	}
}

// fill translates; the numbers have other widths on other processors.
func (s *Stat) fill(st *unix.Stat_t) {
	s.Size, s.Inode, s.Device = st.Size, uint64(st.Ino), uint64(st.Dev)
	s.Modified = nanos(int64(st.Mtim.Sec), int64(st.Mtim.Nsec))
	s.Changed = nanos(int64(st.Ctim.Sec), int64(st.Ctim.Nsec))
	s.Mode = fileMode(st.Mode)
}

func fileMode(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	default:
		mode |= fs.ModeIrregular
	}
	if m&unix.S_ISUID != 0 {
		mode |= fs.ModeSetuid
	}
	if m&unix.S_ISGID != 0 {
		mode |= fs.ModeSetgid
	}
	if m&unix.S_ISVTX != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}

// direntHead is what stands before the name in a record of getdents64: inode,
// offset (8 bytes each), length of the record (2) and type (1).
const direntHead = 19

// Read reads all names into n, sorted as the paths below them are; none if it
// fails. A directory that was removed meanwhile does not exist.
func (d *rawDir) Read(n *Names) error {
	n.reset()
	if d.read {
		if _, err := unix.Seek(d.fd, 0, io.SeekStart); err != nil {
			return &fs.PathError{Op: "seek", Path: ".", Err: err}
		}
	}
	d.read = true
	if n.buf == nil {
		n.buf = make([]byte, 64<<10)
	}
	for {
		size, err := unix.Getdents(d.fd, n.buf)
		switch {
		case err == unix.EINTR:
			continue
		case err == nil && size > 0:
			err = n.parse(n.buf[:size])
		}
		if err != nil {
			n.reset()
			return &fs.PathError{Op: "readdir", Path: ".", Err: err}
		}
		if size == 0 {
			n.settle(func(i int, s *Stat) error { return d.LstatAt(n, i, s) })
			return nil
		}
	}
}

// parse takes the names out of what getdents64 returned.
func (n *Names) parse(records []byte) error {
	for len(records) > 0 {
		if len(records) < direntHead {
			return unix.EIO
		}
		size := int(binary.NativeEndian.Uint16(records[16:]))
		if size < direntHead || size > len(records) {
			return unix.EIO
		}
		name := records[direntHead:size]
		for i, c := range name {
			if c == 0 {
				name = name[:i]
				break
			}
		}
		k := other
		switch records[18] {
		case unix.DT_UNKNOWN:
			k = unknown
		case unix.DT_DIR:
			k = directory
		}
		records = records[size:]
		if string(name) == "." || string(name) == ".." {
			continue
		}
		if err := n.add(name, k); err != nil {
			return err
		}
	}
	return nil
}

// OpenDir opens a directory in this one.
func (d *rawDir) OpenDir(name string) (*rawDir, error) {
	if err := checkName("open", name); err != nil {
		return nil, err
	}
	fd, err := openat(d.fd, name, unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return nil, d.whyNot(name, err)
	}
	return &rawDir{fd: fd}, nil
}

// OpenPath opens a directory below this one, by a path of at least one name.
func (d *rawDir) OpenPath(path string) (*rawDir, error) { return openPath(d, path) }

// OpenFile opens a file in this directory and asks the system to have its
// first bytes ready, so many as ahead says.
func (d *rawDir) OpenFile(name string, ahead int64) (*rawFile, error) {
	if err := checkName("open", name); err != nil {
		return nil, err
	}
	fd, err := openat(d.fd, name, unix.O_NOFOLLOW)
	if err != nil {
		return nil, d.whyNot(name, err)
	}
	if ahead > 0 {
		_ = unix.Fadvise(fd, 0, ahead, unix.FADV_WILLNEED) // it is only advice
	}
	return &rawFile{fd: fd, name: name}, nil
}

// whyNot says that it was a link, where the system has other words for that.
func (d *rawDir) whyNot(name string, err error) error {
	if err == unix.ELOOP || err == unix.ENOTDIR {
		if s, err2 := d.Lstat(name); err2 == nil && s.Mode.Type() == fs.ModeSymlink {
			err = errLink
		}
	}
	return &fs.PathError{Op: "open", Path: name, Err: err}
}

// Readlink returns where a link leads, which is not looked at.
func (d *rawDir) Readlink(name string) (string, error) {
	if err := checkName("readlink", name); err != nil {
		return "", err
	}
	for buf := make([]byte, 128); ; buf = make([]byte, 4*len(buf)) {
		var size int
		err := again(func() (err error) { size, err = unix.Readlinkat(d.fd, name, buf); return err })
		if err != nil {
			return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
		}
		if size < len(buf) {
			return string(buf[:size]), nil
		}
	}
}

// rawFile is an open file without what package os does for files that can be
// waited for.
type rawFile struct {
	fd    int
	name  string
	known atomic.Pointer[extent] // where holes were last looked for
}

// Close closes the file.
func (f *rawFile) Close() error {
	fd := f.fd
	f.fd = -1
	return unix.Close(fd)
}

// ReadAt reads as io.ReaderAt says. The zeros of a hole are not asked for: the
// system would fill its cache with them, at six times the cost of hashing.
func (f *rawFile) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) {
		rest := p[n:]
		if at+int64(n) >= holesFrom {
			e := f.extent(at + int64(n))
			rest = rest[:min(int64(len(rest)), e.to-at-int64(n))]
			if e.hole {
				clear(rest)
				n += len(rest)
				continue
			}
		}
		size, err := unix.Pread(f.fd, rest, at+int64(n))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return n, &fs.PathError{Op: "read", Path: f.name, Err: err}
		case size == 0:
			return n, io.EOF
		}
		n += size
	}
	return n, nil
}

// Hole returns where the hole ends that a position is in, or the position itself.
func (f *rawFile) Hole(at int64) int64 {
	if at >= holesFrom {
		if e := f.extent(at); e.hole {
			return e.to
		}
	}
	return at
}

// holesFrom is where holes begin to be looked for: small files have none that
// would pay for the question.
const holesFrom = 1 << 20

// extent is a stretch of a file that is all hole or all data.
type extent struct {
	from, to int64
	hole     bool
}

// extent returns the one at a position. Who writes into a hole that is known
// changes the file's time stamps, as who writes into data that was read.
func (f *rawFile) extent(at int64) *extent {
	if e := f.known.Load(); e != nil && e.from <= at && at < e.to {
		return e
	}
	e := &extent{from: at, to: math.MaxInt64}
	data, err := unix.Seek(f.fd, at, unix.SEEK_DATA)
	switch {
	case err == nil && data > at:
		e.to, e.hole = data, true
	case err == nil:
		if hole, err := unix.Seek(f.fd, at, unix.SEEK_HOLE); err == nil && hole > at {
			e.to = hole
		}
	case err == unix.ENXIO: // no data from here on
		if end, err := unix.Seek(f.fd, 0, io.SeekEnd); err == nil && end > at {
			e.to, e.hole = end, true
		}
	}
	f.known.Store(e)
	return e
}

// Stat looks at the open file, wherever its name leads by now.
func (f *rawFile) Stat() (fs.FileInfo, error) {
	i := &rawInfo{name: f.name}
	if err := again(func() error { return syscall.Fstat(f.fd, &i.st) }); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: f.name, Err: err}
	}
	return i, nil
}

// rawInfo is what fs.FileInfo wants to hear.
type rawInfo struct {
	name string
	st   syscall.Stat_t
}

func (i *rawInfo) Name() string       { return i.name }
func (i *rawInfo) Size() int64        { return i.st.Size }
func (i *rawInfo) Mode() fs.FileMode  { return fileMode(i.st.Mode) }
func (i *rawInfo) ModTime() time.Time { return time.Unix(i.st.Mtim.Unix()) }
func (i *rawInfo) IsDir() bool        { return i.Mode().IsDir() }
func (i *rawInfo) Sys() any           { return &i.st }
