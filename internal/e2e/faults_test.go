package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"seedtree/internal/testkit"
)

// two starts a fleet of two sites that are in step: oslo is main with its own
// client, lima follows with the engine given.
func two(t *testing.T, engine string) (f *fleet, oslo, lima *site) {
	t.Helper()
	f = newFleet(t, []string{"oslo", "lima"}, []string{embedded, engine})
	oslo, lima = f.sites[0], f.sites[1]
	furnish(t, oslo.tree)
	f.initialize(t, oslo)
	f.initialize(t, lima)
	oslo.seedtree(t, "build")
	oslo.startAgent(t)
	lima.startAgent(t)
	f.settle(t, clone(t, oslo.tree), 2*time.Minute)
	return f, oslo, lima
}

func newest(t *testing.T) string {
	t.Helper()
	versions := testkit.TransmissionVersions(t)
	return versions[len(versions)-1].Command
}

// exits runs a verb that must end with a code and say certain words.
func (s *site) exits(t *testing.T, code int, says string, args ...string) {
	t.Helper()
	out, got := s.host.Try(t, "seedtree '"+strings.Join(args, "' '")+"'")
	if got != code || !strings.Contains(out, says) {
		t.Fatalf("%s: seedtree %s: exit %d, want %d with %q:\n%s", s.name, strings.Join(args, " "), got, code, says, out)
	}
}

// A client that dies and comes back knowing nothing: the site is in step again
// without a hand and without fetching what it has.
func TestClientForgetsEverything(t *testing.T) {
	f, _, lima := two(t, newest(t))
	lima.agent.Stop()
	lima.daemon.Kill()
	lima.exits(t, 5, "unreachable", "sync")
	must(t, os.RemoveAll(filepath.Join(lima.daemon.ConfigDir, "torrents")),
		os.RemoveAll(filepath.Join(lima.daemon.ConfigDir, "resume")))
	lima.daemon.Start(t)
	lima.startAgent(t)
	testkit.Eventually(t, time.Minute, "the client seeds again", func() error {
		var got struct {
			Torrents []struct{ Status int }
		}
		lima.daemon.Call(t, "torrent-get", map[string]any{"fields": []string{"status"}}, &got)
		for _, tor := range got.Torrents {
			if tor.Status != 6 {
				return fmt.Errorf("%+v", got)
			}
		}
		if len(got.Torrents) != 5 {
			return fmt.Errorf("%d torrents, want 5", len(got.Torrents))
		}
		return nil
	})
	f.settle(t, clone(t, f.sites[0].tree), time.Minute)
	if n := lima.downloaded(t); n != 0 {
		t.Errorf("%d bytes were fetched again", n)
	}
}

// A path map that leads the client elsewhere is found before anything is added.
func TestWrongPathMap(t *testing.T) {
	f, _, lima := two(t, newest(t))
	lima.agent.Stop()
	before := clone(t, lima.tree)
	mustMkdir(t, filepath.Join(lima.host.Dir, "srv/elsewhere"))
	lima.exits(t, 7, "/srv/nowhere", "sync", "--engine-transmission-paths", "/srv=/srv/nowhere")
	lima.exits(t, 7, "in a folder of that name", "sync", "--engine-transmission-paths", "/srv/photos=/srv/elsewhere")
	lima.startAgent(t)
	f.settle(t, before, time.Minute)
}

// Agents killed as by a power cut, again and again while bytes move.
func TestKilledAgents(t *testing.T) {
	f, oslo, lima := two(t, embedded)
	for i := range 40 {
		noise(t, filepath.Join(oslo.tree, fmt.Sprintf("burst/%d.bin", i)), uint64(100+i), 400_000)
	}
	oslo.seedtree(t, "build")
	for i := range 6 {
		time.Sleep(time.Duration(100+150*i) * time.Millisecond) // at another point of the pass each time
		lima.agent.Kill()
		if i == 3 {
			oslo.agent.Kill()
			oslo.startAgent(t)
		}
		lima.startAgent(t)
	}
	f.settle(t, clone(t, oslo.tree), 2*time.Minute)
	if left, _ := filepath.Glob(filepath.Join(lima.tree, ".seedtree/staging/*")); len(left) > 0 {
		t.Errorf("left in staging: %q", left)
	}
}

// A drive that is not mounted is no deletion, at main or at a follower.
func TestUnmounted(t *testing.T) {
	f, oslo, lima := two(t, embedded)
	want, head := clone(t, oslo.tree), f.head(t)
	for _, s := range []*site{oslo, lima} {
		must(t, os.Rename(s.tree, s.tree+".away"), os.Mkdir(s.tree, 0o755))
	}
	oslo.exits(t, 1, "photos", "build")
	testkit.Eventually(t, 30*time.Second, "lima says what is wrong", func() error {
		st, err := lima.status()
		if err != nil || len(st.Errors) == 0 {
			return fmt.Errorf("errors %q, %w", st.Errors, err)
		}
		return nil
	})
	if now := f.head(t); now != head {
		t.Fatalf("an unmounted source was committed: %s", now)
	}
	for _, s := range []*site{oslo, lima} {
		if names, err := os.ReadDir(s.tree); err != nil || len(names) > 0 {
			t.Errorf("%s: the empty mount point holds %v, %v", s.name, names, err)
		}
		must(t, os.Remove(s.tree), os.Rename(s.tree+".away", s.tree))
	}
	noise(t, filepath.Join(oslo.tree, "back.bin"), 60, 10_000)
	oslo.seedtree(t, "build")
	want2 := clone(t, oslo.tree)
	f.settle(t, want2, time.Minute)
	if diff, err := testkit.DiffTrees(want, want2); err != nil || diff == "" {
		t.Errorf("the new file is missing: %q %v", diff, err)
	}
}

// A mass removal stops at the builder; allowed there, it is held at the sites
// until somebody approves it.
func TestMassRemoval(t *testing.T) {
	f, oslo, lima := two(t, embedded)
	full := clone(t, oslo.tree)
	must(t, os.RemoveAll(filepath.Join(oslo.tree, "2019")), os.RemoveAll(filepath.Join(oslo.tree, "2020/one.raw")))
	oslo.exits(t, 3, "--allow-removals", "build")
	oslo.seedtree(t, "build", "--allow-removals")
	testkit.Eventually(t, 30*time.Second, "lima holds", func() error {
		st, err := lima.status()
		if err != nil || st.Entries.Held == 0 || st.Attempted != f.head(t) {
			return fmt.Errorf("%+v, %w", st, err)
		}
		return nil
	})
	if diff, err := testkit.DiffTrees(full, lima.tree); err != nil || diff != "" {
		t.Fatalf("lima lost files though the removal is held: %s %v", diff, err)
	}
	lima.agent.Stop()
	lima.exits(t, 3, "held", "sync")
	oslo.seedtree(t, "approve", f.head(t))
	lima.startAgent(t)
	f.settle(t, clone(t, oslo.tree), time.Minute)
	if out := lima.seedtree(t, "trash", "list"); !strings.Contains(out, "2019/big.bin") {
		t.Errorf("the removed file is not in the trash:\n%s", out)
	}
}

// Whoever may push can write any bytes into the catalog with git. A revision
// with a hostile entry changes nothing, anywhere, and is named.
func TestHostileCommit(t *testing.T) {
	f, oslo, lima := two(t, embedded)
	want := clone(t, oslo.tree)
	lima.host.Run(t, `git clone -q `+f.catalog+` ~/work && cd ~/work
git config user.name mallory && git config user.email m@example.com
mkdir -p "torrents/photos/%2e%2e" && cp torrents/photos/2019/big.bin.torrent "torrents/photos/%2e%2e/evil.torrent"
git mv torrents/photos/2020/one.raw.torrent torrents/photos/2020/other.raw.torrent
git add -A && git commit -qm "trust me" && git push -q origin HEAD:main`)
	testkit.Eventually(t, 30*time.Second, "lima refuses", func() error {
		st, err := lima.status()
		if all := strings.Join(st.Errors, "\n"); err != nil || !strings.Contains(all, "evil") || !strings.Contains(all, "other.raw") {
			return fmt.Errorf("errors %q, %w", st.Errors, err)
		}
		return nil
	})
	for _, s := range f.sites {
		if diff, err := testkit.DiffTrees(want, s.tree); err != nil || diff != "" {
			t.Errorf("%s changed: %s %v", s.name, diff, err)
		}
	}
	lima.host.Run(t, `cd ~/work && git revert --no-edit HEAD >/dev/null && git push -q origin HEAD:main`)
	oslo.agent.Signal(syscall.SIGHUP)
	f.settle(t, want, time.Minute)
}
