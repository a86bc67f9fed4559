//go:build linux || darwin || freebsd

package agent

import "syscall"

// diskFree returns the bytes that an unprivileged writer may still use.
func diskFree(dir string) (int64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return max(0, int64(st.Bavail)) * int64(st.Bsize), true
}
