//go:build unix

package builder

import (
	"io/fs"
	"syscall"
)

// identity tells one file from another that took its place.
func identity(info fs.FileInfo) (device, inode uint64) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0
	}
	return uint64(st.Dev), uint64(st.Ino)
}
