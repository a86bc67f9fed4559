package testkit

import "syscall"

// leashed is how children are started: they die with the test binary, however that
// dies. With group set they lead a process group of their own.
func leashed(group bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: group, Pdeathsig: syscall.SIGKILL}
}

// signalGroup reaches a program and what it started.
func signalGroup(pid int, sig syscall.Signal) { _ = syscall.Kill(-pid, sig) }
