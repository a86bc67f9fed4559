//go:build unix

package apply

import (
	"os"
	"syscall"
)

// linkCount says how many names a file has, where that can be known.
func linkCount(info os.FileInfo) (n uint64, known bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(st.Nlink), true //nolint:unconvert // other systems have other types
}
