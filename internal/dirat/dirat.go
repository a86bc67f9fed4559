// Package dirat reads a tree through open directories: names, then what stands
// at a name, relative to the handle and never by a path. No symbolic link is
// ever followed below the directory that Open opened, so whoever swaps one in
// between a look and an open cannot lead a reader out of the tree. Nothing
// here waits for a pipe's other end, and a scan of a directory allocates
// nothing for each file.
package dirat

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"strings"
	"time"
)

// Stat is what is known of a name or an open file, by value: two of them are
// equal if nobody wrote, replaced or touched it in between.
type Stat struct {
	Size int64 // bytes
	// Modified and Changed are in nanoseconds since 1970, clamped to what 64
	// bits can say. Changed is 0 where the system does not know it.
	Modified, Changed int64
	Inode, Device     uint64 // 0 where the system does not tell
	Mode              fs.FileMode
}

// ModTime returns when the content was last written.
func (s *Stat) ModTime() time.Time { return time.Unix(0, s.Modified) }

// Same reports whether both are of one and the same file. An inode that was
// given out again as another kind of file is not. Where the system has no
// numbers, a file of the same kind, size and time is the same.
func (s *Stat) Same(o *Stat) bool {
	if s.Mode.Type() != o.Mode.Type() || s.Inode != o.Inode || s.Device != o.Device {
		return false
	}
	return s.Inode != 0 || s.Size == o.Size && s.Modified == o.Modified
}

// errLink is the cause when a link stands where a directory or file should.
var errLink = errors.New("is a symbolic link, which is not followed")

// errOther is the cause when a name leads elsewhere than a moment ago.
var errOther = errors.New("something else took its place")

// errName is the cause when a name is none that a directory can hold.
var errName = errors.New("is not a name in a directory")

// checkName keeps paths from being taken for names: they could lead anywhere.
func checkName(op, name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return &fs.PathError{Op: op, Path: name, Err: errName}
	}
	return nil
}

// opener is a directory that opens others.
type opener[D any] interface {
	io.Closer
	OpenDir(name string) (D, error)
}

// openPath opens one directory after the other, as deep as path leads.
func openPath[D opener[D]](top D, path string) (D, error) {
	at, err := top, error(nil)
	for i, depth := 0, 0; i <= len(path); depth++ {
		name := path[i:]
		if n := strings.IndexByte(name, '/'); n >= 0 {
			name = name[:n]
		}
		i += len(name) + 1
		above := at
		at, err = above.OpenDir(name)
		if depth > 0 {
			_ = above.Close()
		}
		if err != nil {
			return at, err
		}
	}
	return at, nil
}

// nanos puts seconds and nanoseconds together. Files can carry times that do
// not fit, before 1678 and after 2262: those become the first and the last.
func nanos(sec, nsec int64) int64 {
	const (
		second           = int64(time.Second)
		first, firstNsec = math.MinInt64/second - 1, second + math.MinInt64%second
		last, lastNsec   = math.MaxInt64 / second, math.MaxInt64 % second
	)
	switch {
	case sec < first || sec == first && nsec < firstNsec:
		return math.MinInt64
	case sec > last || sec == last && nsec > lastNsec:
		return math.MaxInt64
	case sec < 0:
		return (sec+1)*second + (nsec - second)
	}
	return sec*second + nsec
}
