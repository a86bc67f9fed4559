package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"seedtree/internal/testkit"
)

// The commands of docs/security.md, typed in literally; then somebody who may push
// and may not sign takes everything away, and puts it back. The agent holds on to
// what it has, says why, and goes on by itself.
func TestSignedCatalog(t *testing.T) {
	testkit.Need(t, "ssh-keygen", "openssh-client")
	n := testkit.NewNetwork(t, binaries(t), "home")
	home := n.Host("home")
	photo := filepath.Join(home.Dir, "srv/photos/2019/a.jpg")
	noise(t, photo, 1, 400_000)
	text, err := os.ReadFile("../../docs/security.md")
	must(t, err)
	blocks := steps.FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 {
		t.Fatalf("docs/security.md has %d marked blocks", len(blocks))
	}
	for _, b := range blocks {
		t.Logf("$ %s%s", b[3], home.Run(t, b[3]))
	}
	agent := home.Start(t, "seedtree", "agent")
	status := func() string {
		data, err := os.ReadFile(filepath.Join(home.Dir, "var/lib/seedtree/status.json"))
		if err == nil { // before its first pass a signal would find nobody
			agent.Signal(syscall.SIGHUP)
		}
		return string(data)
	}
	good := strings.TrimSpace(home.Run(t, "git -C /srv/catalog.git rev-parse main"))
	testkit.Eventually(t, time.Minute, "the agent applies the head", func() error {
		if !strings.Contains(status(), `"complete": "`+good) {
			return errors.New(status())
		}
		return nil
	})

	bad := home.Run(t, `git clone -q /srv/catalog.git ~/work && cd ~/work && git rm -q -r torrents
git -c user.name=Eve -c user.email=eve@example.org commit -q -m Mine && git push -q origin HEAD:main && git rev-parse HEAD`)
	bad = strings.TrimSpace(bad)
	testkit.Eventually(t, time.Minute, "the agent refuses it", func() error {
		if s := status(); !strings.Contains(s, `"commit": "`+bad) || !strings.Contains(s, `"rule": "not signed"`) || !strings.Contains(s, `"complete": "`+good) {
			return errors.New(s)
		}
		return nil
	})
	if out, code := home.Try(t, "seedtree plan"); code != 4 || !strings.Contains(out, bad[:12]+": not signed") {
		t.Errorf("exit %d: %s", code, out)
	}
	if _, err := os.Stat(photo); err != nil {
		t.Error(err)
	}

	home.Run(t, "git -C /srv/catalog.git update-ref refs/heads/main "+good)
	testkit.Eventually(t, time.Minute, "the agent goes on by itself", func() error {
		if s := status(); strings.Contains(s, "untrusted") || strings.Contains(s, "not signed") {
			return errors.New(s)
		}
		return nil
	})
	noise(t, filepath.Join(home.Dir, "srv/photos/2019/b.jpg"), 2, 90_000)
	home.Run(t, "seedtree build")
	newest := strings.TrimSpace(home.Run(t, "git -C /srv/catalog.git rev-parse main"))
	testkit.Eventually(t, time.Minute, "the agent follows what comes", func() error {
		if !strings.Contains(status(), `"complete": "`+newest) {
			return errors.New(status())
		}
		return nil
	})
}
