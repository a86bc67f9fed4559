package manifests

import (
	"fmt"
	"strings"
)

// Path is a file's place inside a tree: slash separated, relative, clean.
// Its bytes are those of the file system, valid UTF-8 or not. Only ParsePath
// makes one, so whoever holds a Path need not ask whether it escapes its tree.
type Path string

// maxComponent is the longest file name common file systems carry, in bytes.
const maxComponent = 255

// ParsePath accepts a clean relative path and refuses everything that could
// name a place outside its tree: absolute paths, empty, "." and ".." components,
// NUL bytes, names longer than 255 bytes, and seedtree's own top folder.
func ParsePath(s string) (Path, error) {
	if s == "" {
		return "", fmt.Errorf("path is empty")
	}
	if len(s) > 4096 {
		return "", fmt.Errorf("path %q... is longer than 4096 bytes", s[:64])
	}
	for rest, more := s, true; more; {
		var c string
		c, rest, more = strings.Cut(rest, "/")
		if err := checkComponent(c); err != nil {
			return "", fmt.Errorf("path %q: %w", s, err)
		}
	}
	if first, _, _ := strings.Cut(s, "/"); first == PrivateDir {
		return "", fmt.Errorf("path %q is inside %s, which belongs to seedtree", s, PrivateDir)
	}
	return Path(s), nil
}

// checkComponent refuses what cannot be one name in a directory. The caller
// has split at slashes already, or checks that nothing adds one.
func checkComponent(c string) error {
	switch {
	case c == "":
		return fmt.Errorf("it is absolute or has an empty component")
	case c == "." || c == "..":
		return fmt.Errorf("it has a component %q", c)
	case len(c) > maxComponent:
		return fmt.Errorf("it has a component of %d bytes, longer than %d", len(c), maxComponent)
	case strings.IndexByte(c, 0) >= 0:
		return fmt.Errorf("it contains a NUL byte")
	}
	return nil
}

// PrivateDir is the folder at the top of every tree root that holds the
// marker, staging and trash. It is never listed.
const PrivateDir = ".seedtree"

// String returns the path as stored.
func (p Path) String() string { return string(p) }

// Components splits the path at its slashes.
func (p Path) Components() []string { return strings.Split(string(p), "/") }

// Dir returns the parent directory and whether there is one below the tree root.
func (p Path) Dir() (Path, bool) {
	i := strings.LastIndexByte(string(p), '/')
	if i < 0 {
		return "", false
	}
	return p[:i], true
}
