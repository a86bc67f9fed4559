//go:build darwin || netbsd || freebsd

package pieces

import (
	"os"
	"syscall"
)

// changeTime returns the inode's change time in nanoseconds. Unlike the
// modification time no program can set it back.
func changeTime(info os.FileInfo) int64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return st.Ctimespec.Nano()
}
