//go:build !linux

package testkit

import (
	"os"
	"syscall"
)

// leashed is what Linux has and others lack: there a killed test binary may leave
// its daemons behind.
func leashed(bool) *syscall.SysProcAttr { return nil }

// signalGroup reaches the program alone.
func signalGroup(pid int, sig syscall.Signal) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Signal(sig)
	}
}
