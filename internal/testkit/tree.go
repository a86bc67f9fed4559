package testkit

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// DiffTrees compares two directories as a user would: names, kinds, bytes,
// executable bits, modification times of files and targets of links.
// seedtree's own folder at the top is left out. "" means no difference.
func DiffTrees(want, got string) (string, error) {
	a, err := readTree(want)
	if err != nil {
		return "", err
	}
	b, err := readTree(got)
	if err != nil {
		return "", err
	}
	var diff strings.Builder
	for name, n := range a {
		m, ok := b[name]
		switch {
		case !ok:
			fmt.Fprintf(&diff, "missing: %s\n", name)
		case n.what != m.what:
			fmt.Fprintf(&diff, "%s: want %s, got %s\n", name, n.what, m.what)
		case n.file && !sameBytes(filepath.Join(want, name), filepath.Join(got, name)):
			fmt.Fprintf(&diff, "%s: other bytes\n", name)
		}
	}
	for name, m := range b {
		if _, ok := a[name]; !ok {
			fmt.Fprintf(&diff, "too much: %s (%s)\n", name, m.what)
		}
	}
	return diff.String(), nil
}

// node is what DiffTrees compares without reading bytes.
type node struct {
	what string
	file bool
}

func readTree(root string) (map[string]node, error) {
	all := map[string]node{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if name == ".seedtree" {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case info.Mode().IsRegular() && info.Size() == 0: // its time is not listed
			all[name] = node{what: fmt.Sprintf("empty file, executable %t", info.Mode()&0o100 != 0)}
		case info.Mode().IsRegular():
			all[name] = node{fmt.Sprintf("file of %d bytes, executable %t, of %s", info.Size(),
				info.Mode()&0o100 != 0, info.ModTime().UTC().Format("2006-01-02T15:04:05.000000000")), true}
		case d.IsDir():
			all[name] = node{what: "directory"}
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			all[name] = node{what: "link to " + target}
		default:
			all[name] = node{what: info.Mode().Type().String()}
		}
		return nil
	})
	return all, err
}

func sameBytes(a, b string) bool {
	x, errX := os.ReadFile(a)
	y, errY := os.ReadFile(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
