//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// apart gives a child a process group of its own: Ctrl-C reaches the demo
// alone, which then stops its children in order.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
