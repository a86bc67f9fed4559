package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// sandboxed is set in the environment of a test binary that already runs in
// namespaces of its own.
const sandboxed = "SEEDTREE_TEST_SANDBOXED"

// InSandbox runs a package's tests in network and mount namespaces of their
// own, so that they can make hosts with real addresses and mounts without
// touching the machine. Use it as the body of TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(testkit.InSandbox(m)) }
func InSandbox(m *testing.M) int {
	if os.Getenv(sandboxed) != "" {
		return m.Run()
	}
	c := again(os.Args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		if c.ProcessState != nil && c.ProcessState.ExitCode() > 0 {
			return c.ProcessState.ExitCode()
		}
		fmt.Fprintln(os.Stderr, "testkit:", err, needNamespaces)
		return 1
	}
	return 0
}

// Sandbox is InSandbox for one test among others that need none: it runs the
// calling test a second time in there, and reports whether this is that run.
// The first one has nothing more to do.
//
//	if !testkit.Sandbox(t) {
//		return
//	}
func Sandbox(t *testing.T) bool {
	t.Helper()
	if os.Getenv(sandboxed) != "" {
		return true
	}
	Need(t, "unshare", "util-linux")
	out, err := again("-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v").CombinedOutput()
	if err != nil {
		t.Fatalf("in namespaces of its own: %v\n%s%s", err, out, needNamespaces)
	}
	if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("did not run: %s", out)
	}
	t.Logf("%s", out)
	return false
}

const needNamespaces = "(this needs namespaces: apt-get install util-linux iproute2; as root, or with user namespaces permitted)"

// again is this test binary in new namespaces. It dies with us.
func again(args ...string) *exec.Cmd {
	own := []string{"--net", "--mount", "--propagation", "private"}
	if os.Geteuid() != 0 {
		own = append(own, "--map-root-user")
	}
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	c := exec.Command("unshare", append(append(own, self), args...)...)
	c.Env = append(os.Environ(), sandboxed+"=1")
	c.SysProcAttr = leashed(false)
	return c
}
