//go:build !linux

package dirat

import "os"

// Dir is an open directory.
type Dir = rootDir

// File is a regular file, or whatever else was opened, open for reading.
type File = os.File

// Open opens a directory by its path, and follows links on the way to it: it
// is the operator who named it.
func Open(path string) (*Dir, error) { return openRoot(path) }
