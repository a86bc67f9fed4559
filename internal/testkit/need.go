package testkit

import (
	"os/exec"
	"testing"
	"time"
)

// Need fails the test when a program is missing, with the line that installs it.
func Need(t testing.TB, program, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("this test needs %s: apt-get install %s (or run `make test`, which installs it)", program, debianPackage)
	}
	return path
}

// Eventually polls until check returns nil, and fails the test with its last
// error when the deadline passes.
func Eventually(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
