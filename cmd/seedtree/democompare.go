package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// seen is what the comparison knows of one file of a tree.
type seen struct {
	mode fs.FileMode // type, and the executable bit of files
	size int64
	time int64 // nanoseconds; files with bytes only, for only those list one
	link string
}

// look walks a tree on its own, with none of the code under test. A directory
// counts only if it is empty, as in a catalog.
func look(root string) (map[string]seen, error) {
	found := map[string]seen{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil || rel == "." {
			return err
		}
		if rel == ".seedtree" {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		s := seen{mode: info.Mode().Type()}
		switch {
		case d.IsDir():
			children, err := os.ReadDir(name)
			if err != nil || len(children) > 0 {
				return err
			}
		case s.mode == fs.ModeSymlink:
			if s.link, err = os.Readlink(name); err != nil {
				return err
			}
		case s.mode.IsRegular():
			s.mode, s.size = info.Mode()&0o100, info.Size()
			if s.size > 0 {
				s.time = info.ModTime().UnixNano()
			}
		}
		found[rel] = s
		return nil
	})
	return found, err
}

// compareTrees reads both trees whole and names what differs, up to a limit.
func compareTrees(ctx context.Context, want, got string) (files int, size int64, err error) {
	a, err := look(want)
	if err != nil {
		return 0, 0, err
	}
	b, err := look(got)
	if err != nil {
		return 0, 0, err
	}
	var diffs []error
	differ := func(name, what string) { diffs = append(diffs, fmt.Errorf("%s: %s", filepath.Join(got, name), what)) }
	for _, name := range sortedKeys(a) {
		w := a[name]
		g, ok := b[name]
		switch {
		case ctx.Err() != nil:
			return 0, 0, ctx.Err()
		case !ok:
			differ(name, "missing")
		case w != g:
			differ(name, fmt.Sprintf("is %v, should be %v", g, w))
		case w.size > 0:
			same, err := sameBytes(filepath.Join(want, name), filepath.Join(got, name))
			if err != nil {
				return 0, 0, err
			}
			if !same {
				differ(name, "other bytes")
			}
		}
		size += w.size
	}
	for _, name := range sortedKeys(b) {
		if _, ok := a[name]; !ok {
			differ(name, "should not be there")
		}
	}
	if len(diffs) > 10 {
		diffs = append(slices.Clip(diffs[:10]), fmt.Errorf("%s: and %d more", got, len(diffs)-10))
	}
	return len(a), size, errors.Join(diffs...)
}

func sameBytes(one, other string) (bool, error) {
	a, err := os.Open(one)
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := os.Open(other)
	if err != nil {
		return false, err
	}
	defer b.Close()
	const chunk = 256 << 10
	bufA, bufB := make([]byte, chunk), make([]byte, chunk)
	for {
		n, errA := io.ReadFull(a, bufA)
		m, errB := io.ReadFull(b, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false, nil
		}
		endA := errors.Is(errA, io.EOF) || errors.Is(errA, io.ErrUnexpectedEOF)
		endB := errors.Is(errB, io.EOF) || errors.Is(errB, io.ErrUnexpectedEOF)
		switch {
		case endA || endB:
			return endA == endB, nil
		case errA != nil || errB != nil:
			return false, errors.Join(errA, errB)
		}
	}
}
