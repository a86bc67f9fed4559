//go:build unix

package main

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// usage is the CPU time of a process and of the children it waited for, and
// the memory of the largest of them.
func usage(p *os.ProcessState) (cpu time.Duration, peak int64) {
	r := p.SysUsage().(*syscall.Rusage)
	return p.UserTime() + p.SystemTime(), residentBytes(r)
}

// own is the same of this process.
func own() (cpu time.Duration, peak int64) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), residentBytes(&r)
}

func residentBytes(r *syscall.Rusage) int64 {
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return int64(r.Maxrss)
	}
	return int64(r.Maxrss) << 10
}

// together makes the end of a command the end of all that it started: a
// program that hangs is not the one that we know.
func together(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
}
