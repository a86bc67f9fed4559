//go:build linux || openbsd || dragonfly || solaris

package dirat

import (
	"io/fs"
	"syscall"
)

// identify adds what only the system's own structure says.
func (s *Stat) identify(info fs.FileInfo) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Inode, s.Device = uint64(st.Ino), uint64(st.Dev)
		s.Changed = nanos(int64(st.Ctim.Sec), int64(st.Ctim.Nsec))
	}
}
