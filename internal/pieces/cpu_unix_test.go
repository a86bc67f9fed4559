//go:build unix

package pieces

import (
	"syscall"
	"time"
)

// processorTime is what the process has used so far, itself and the system for
// it.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
