package testkit_test

import (
	"os"
	"strings"
	"testing"

	"seedtree/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.InSandbox(m)) }

// Hosts must not share files or loopback, or tests of several sites would
// pass by looking at each other's data.
func TestHostsAreApart(t *testing.T) {
	n := testkit.NewNetwork(t, "/nonexistent", "one", "two")
	one, two := n.Host("one"), n.Host("two")
	one.Run(t, "echo here > /srv/file; test $HOME = "+one.Home())
	if out, code := two.Try(t, "cat /srv/file"); code == 0 {
		t.Fatalf("two sees one's /srv: %s", out)
	}
	if out := two.Run(t, "getent hosts one.example"); !strings.HasPrefix(out, one.Addr) {
		t.Fatalf("two resolves one.example as %q, want %s", out, one.Addr)
	}
	if out := one.Run(t, "ip -o addr show dev eth0"); !strings.Contains(out, one.Addr) {
		t.Fatalf("one lacks its address: %s", out)
	}
	two.Run(t, "ip route get "+one.Addr)
}
