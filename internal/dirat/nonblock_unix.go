//go:build unix

package dirat

import "syscall"

// nonblock keeps open from waiting when a file has just become a pipe.
const nonblock = syscall.O_NONBLOCK
