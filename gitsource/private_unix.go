//go:build unix

package gitsource

import (
	"fmt"
	"os"
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
