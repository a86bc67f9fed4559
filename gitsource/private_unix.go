//go:build unix

package gitsource

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// checkPrivate refuses a file of this user that others may read: ssh's own rule.
// A file of somebody else, such as a secret mounted into a container, is theirs to
// guard.
func checkPrivate(f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if ok && int(sys.Uid) == os.Geteuid() && st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s can be read by others (mode %04o): chmod 600 it", f.Name(), st.Mode().Perm())
	}
	return nil
}

// guarded fails when others than the owner can change a file, or put another in its
// place: the rule that ssh has for what decides about trust (StrictModes). In a folder
// with the sticky bit only a file's owner can replace it.
func guarded(name string) error {
	places := []string{name}
	if real, err := filepath.EvalSymlinks(name); err == nil && real != name {
		places = append(places, real)
	}
	for _, place := range places {
		if st, err := os.Stat(place); err == nil && st.Mode().Perm()&0o022 != 0 {
			return fmt.Errorf("%s can be written by others (mode %04o): chmod go-w it", place, st.Mode().Perm())
		}
		for dir := filepath.Dir(place); ; dir = filepath.Dir(dir) {
			if st, err := os.Stat(dir); err == nil && st.Mode().Perm()&0o022 != 0 && st.Mode()&os.ModeSticky == 0 {
				return fmt.Errorf("%s can be replaced, for its folder %s can be written by others (mode %04o): chmod go-w that", place, dir, st.Mode().Perm())
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return nil
}
