package testkit

import (
	"errors"
	"os"
	"testing"
)

// Speckled makes a file of any size that takes next to no room on the disk and
// yet is as much work to hash as any other: one byte in each stretch of so many
// is none of a hole, and without one a piece would cost nothing.
func Speckled(t *testing.T, name string, size, every int64) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Truncate(size)
	for at := int64(0); at < size && err == nil; at += every {
		_, err = f.WriteAt([]byte{1}, at)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
