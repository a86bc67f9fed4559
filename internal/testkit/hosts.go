package testkit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Host is a machine of the test's own: its own network with one address, its
// own loopback, and its own /srv, /etc/seedtree, /var/lib/seedtree and home.
type Host struct {
	Name string
	Addr string // reachable from every other host of the same Network
	Dir  string // what it sees as /srv and so on, as the test sees it
	pid  int
	net  *Network
}

// Network joins hosts by a bridge that belongs to the test's own namespace.
type Network struct {
	dir   string
	path  string // PATH for commands on the hosts
	hosts []*Host
}

// NewNetwork makes hosts that know each other by name in /etc/hosts. bin is a
// directory put in front of PATH on each.
func NewNetwork(t *testing.T, bin string, names ...string) *Network {
	t.Helper()
	if os.Getenv(sandboxed) == "" {
		t.Fatal("testkit.NewNetwork needs a TestMain that calls testkit.InSandbox")
	}
	Need(t, "ip", "iproute2")
	Need(t, "nsenter", "util-linux")
	n := &Network{dir: t.TempDir(), path: bin + ":" + os.Getenv("PATH")}
	sh(t, "ip link set lo up")
	sh(t, "ip link del br0 2>/dev/null; ip link add br0 type bridge && ip link set br0 up && ip addr add 10.77.0.254/24 dev br0")
	for i, name := range names {
		n.hosts = append(n.hosts, n.newHost(t, i+1, name))
	}
	var etc strings.Builder
	etc.WriteString("127.0.0.1 localhost\n")
	for _, h := range n.hosts {
		fmt.Fprintf(&etc, "%s %s %s.example\n", h.Addr, h.Name, h.Name)
	}
	for _, h := range n.hosts {
		file := filepath.Join(h.Dir, "hosts")
		if err := os.WriteFile(file, []byte(etc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		h.Run(t, "mount --bind "+file+" /etc/hosts")
	}
	return n
}

// Host returns the host of that name.
func (n *Network) Host(name string) *Host {
	for _, h := range n.hosts {
		if h.Name == name {
			return h
		}
	}
	panic("testkit: no host " + name)
}

func (n *Network) newHost(t *testing.T, number int, name string) *Host {
	t.Helper()
	h := &Host{Name: name, Addr: fmt.Sprintf("10.77.0.%d", number), Dir: filepath.Join(n.dir, name), net: n}
	if err := os.MkdirAll(h.Home(), 0o755); err != nil {
		t.Fatal(err)
	}
	anchor := exec.Command("unshare", "--net", "--mount", "--propagation", "private", "sleep", "infinity")
	anchor.SysProcAttr = leashed(false)
	if err := anchor.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = anchor.Process.Kill(); _ = anchor.Wait() })
	h.pid = anchor.Process.Pid
	Eventually(t, 10*time.Second, "namespaces of host "+name, func() error { return h.apart() })
	sh(t, fmt.Sprintf("ip link del v%d 2>/dev/null; ip link add v%[1]d type veth peer name eth0 netns %d && ip link set v%[1]d master br0 up", number, h.pid))
	h.Run(t, fmt.Sprintf("ip addr add %s/24 dev eth0; ip link set eth0 up; ip link set lo up", h.Addr))
	for _, d := range []string{"/srv", "/etc/seedtree", "/var/lib/seedtree"} {
		own := filepath.Join(h.Dir, d)
		for _, dir := range []string{own, d} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		h.Run(t, "mount --bind "+own+" "+d)
	}
	return h
}

// apart reports whether the anchor process has left our namespaces.
func (h *Host) apart() error {
	for _, ns := range []string{"net", "mnt"} {
		ours, err := os.Readlink("/proc/self/ns/" + ns)
		if err != nil {
			return err
		}
		theirs, err := os.Readlink("/proc/" + strconv.Itoa(h.pid) + "/ns/" + ns)
		if err != nil {
			return err
		}
		if ours == theirs {
			return fmt.Errorf("%s namespace still shared", ns)
		}
	}
	return nil
}

// Home is the host's home directory, as seen everywhere.
func (h *Host) Home() string { return filepath.Join(h.Dir, "home") }

// Wrap is the command to put in front of another so that it runs on the host.
func (h *Host) Wrap() []string {
	return []string{"nsenter", "-t", strconv.Itoa(h.pid), "-n", "-m", "--"}
}

// Command prepares argv to run on the host.
func (h *Host) Command(ctx context.Context, argv ...string) *exec.Cmd {
	args := append(h.Wrap(), argv...)
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Dir = h.Home()
	c.Env = append(os.Environ(), "HOME="+h.Home(), "PATH="+h.net.path, "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "NO_COLOR=1")
	return c
}

// Try runs a bash script on the host and returns what it printed and its exit code.
func (h *Host) Try(t *testing.T, script string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Minute) // also in a Cleanup
	defer cancel()
	c := h.Command(ctx, "bash", "-euo", "pipefail", "-c", script)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	c.WaitDelay = 2 * time.Second // a daemon the script left behind may hold the pipe
	err := c.Run()
	if c.ProcessState == nil {
		t.Fatalf("on %s: %v", h.Name, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("on %s: no end after 3 minutes: %s\n%s", h.Name, script, out.String())
	}
	return out.String(), c.ProcessState.ExitCode()
}

// Run is Try for scripts that must succeed.
func (h *Host) Run(t *testing.T, script string) string {
	t.Helper()
	out, code := h.Try(t, script)
	if code != 0 {
		t.Fatalf("on %s: exit %d: %s\n%s", h.Name, code, script, out)
	}
	return out
}

// Process is a program in the background on a host.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// Signal sends a signal to the program's process group.
func (p *Process) Signal(sig syscall.Signal) { signalGroup(p.cmd.Process.Pid, sig) }

// Stop ends the program in order, or by force when it does not listen.
func (p *Process) Stop() {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		p.Kill()
	}
}

// Kill ends the program as a power cut does.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Start runs a program in the background on the host, in a process group of
// its own, until the test ends at the latest. Its output is shown when the test fails.
func (h *Host) Start(t *testing.T, argv ...string) *Process {
	t.Helper()
	c := h.Command(context.Background(), argv...)
	log, err := os.CreateTemp(h.Dir, filepath.Base(argv[0])+"-*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = leashed(true)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Process{cmd: c, done: make(chan struct{})}
	go func() { defer close(p.done); _ = c.Wait() }()
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("--- %s on %s (%s)\n%s", strings.Join(argv, " "), h.Name, c.ProcessState, tail(text, 4000))
		}
	})
	return p
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}

func sh(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}
