package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"seedtree/internal/testkit"
)

// step is one block of commands in the README and the comment above it.
type step struct {
	on     string // host
	how    string // "", "stays", "until …"
	script string
}

var steps = regexp.MustCompile("(?m)^<!-- on (\\w+)(?:, ([^>]*?))? -->\n```sh\n((?s:.*?))^```$")

// readmeSteps returns the quick start, word for word.
func readmeSteps(t *testing.T) []step {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []step
	for _, m := range steps.FindAllStringSubmatch(string(text), -1) {
		all = append(all, step{m[1], m[2], m[3]})
	}
	if len(all) < 8 {
		t.Fatalf("the README has %d marked blocks; the quick start is longer", len(all))
	}
	return all
}

// The README's quick start, typed in literally on three hosts: a git server
// and two sites with Transmission 4.1. Only the five minutes between two looks
// at the catalog are not waited for: agents are told to look now.
func TestReadmeQuickStart(t *testing.T) {
	versions := testkit.TransmissionVersions(t)
	bin := t.TempDir()
	must(t, os.Symlink(versions[len(versions)-1].Command, filepath.Join(bin, "transmission-daemon")))
	n := testkit.NewNetwork(t, binaries(t)+":"+bin, "git", "home", "parents")
	git, home, parents := n.Host("git"), n.Host("home"), n.Host("parents")
	authorized := serveSSH(t, git)
	photos := filepath.Join(home.Dir, "srv/photos")
	noise(t, filepath.Join(photos, "2019/a.jpg"), 1, 400_000)
	noise(t, filepath.Join(photos, "2019/b.jpg"), 2, 90_000)
	noise(t, filepath.Join(photos, "2020/ski trip/c.jpg"), 3, 20_000)
	want := clone(t, photos)
	for _, h := range []*testkit.Host{home, parents} {
		t.Cleanup(func() {
			_, _ = h.Try(t, "kill $(cat /var/lib/seedtree/transmission.pid)")
		})
	}
	var agents []*testkit.Process
	settled := false
	lookNow := func() {
		for _, a := range agents {
			a.Signal(syscall.SIGHUP)
		}
	}
	for _, s := range readmeSteps(t) {
		h := n.Host(s.on)
		switch {
		case s.how == "stays":
			agents = append(agents, h.Start(t, "bash", "-c", "exec "+strings.TrimSpace(s.script)))
		case strings.HasPrefix(s.how, "until"):
			testkit.Eventually(t, 2*time.Minute, s.script, func() error { return s.shows(t, h) })
			settled = true // agents answer signals from here on
			lookNow()
		case s.how == "":
			out := h.Run(t, s.script)
			t.Logf("%s$ %s%s", s.on, s.script, out)
			authorize(t, authorized, out)
			if settled {
				lookNow()
			}
		default:
			t.Fatalf("README: do not know how to run a block %q", s.how)
		}
	}
	lookNow()
	// The deletion was taken back at both places, from trash and from each other.
	for _, h := range []*testkit.Host{home, parents} {
		testkit.Eventually(t, time.Minute, h.Name+" is identical", func() error {
			diff, err := testkit.DiffTrees(want, filepath.Join(h.Dir, "srv/photos"))
			if err == nil && diff != "" {
				err = errors.New(diff)
			}
			return err
		})
	}
	if out := home.Run(t, "seedtree status"); !regexp.MustCompile(`parents\s+main`).MatchString(out) {
		t.Errorf("parents is not main:\n%s", out)
	}
}

// shows runs the block once and looks for what its comment promises.
func (s step) shows(t *testing.T, h *testkit.Host) error {
	t.Helper()
	time.Sleep(time.Second) // people do not ask faster, and each time it is an SSH login
	out, code := h.Try(t, s.script)
	if code != 0 {
		return fmt.Errorf("exit %d: %s", code, out)
	}
	if want, ok := strings.CutPrefix(s.how, "until it shows parents at "); ok &&
		!regexp.MustCompile(`(?m)^parents\s.*\s`+want+`(\s|$)`).MatchString(out) {
		return errors.New(out)
	}
	return nil
}

// serveSSH makes a host a git server with a user git, as README expects, and
// returns its authorized_keys.
func serveSSH(t *testing.T, h *testkit.Host) string {
	t.Helper()
	testkit.Need(t, "/usr/sbin/sshd", "openssh-server")
	keys := filepath.Join(h.Home(), "authorized_keys")
	mustWrite(t, keys, "")
	h.Run(t, `ssh-keygen -q -t ed25519 -N '' -f ~/hostkey
cp /etc/passwd ~/passwd && echo "git:x:0:0:git:$HOME:/bin/sh" >> ~/passwd && mount --bind ~/passwd /etc/passwd
mkdir -p /run/sshd`)
	h.Start(t, "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", "22", "-h", filepath.Join(h.Home(), "hostkey"),
		"-o", "AuthorizedKeysFile="+keys, "-o", "StrictModes=no", "-o", "UsePAM=no", "-o", "PermitRootLogin=prohibit-password",
		"-o", "PidFile=none")
	testkit.Eventually(t, 10*time.Second, "sshd", func() error {
		if out, code := h.Try(t, "ssh-keyscan localhost"); code != 0 || out == "" {
			return errors.New("no answer")
		}
		return nil
	})
	return keys
}

// authorize does what the README asks of the reader: the key that was shown
// gets access at the git server.
func authorize(t *testing.T, keys, shown string) {
	t.Helper()
	f, err := os.OpenFile(keys, os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	for line := range strings.Lines(shown) {
		if strings.HasPrefix(line, "ssh-ed25519 ") {
			_, err = f.WriteString(line)
			must(t, err)
		}
	}
	must(t, f.Close())
}
