package embedded

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/manifests"
)

// harms are what can happen to a file behind the engine's back.
func harms() map[string]func(t *testing.T, name string) {
	remove := func(t *testing.T, name string) {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	return map[string]func(t *testing.T, name string){
		"edited":  func(t *testing.T, name string) { write(t, name, enginetest.Random(9, 300000)) },
		"grown":   func(t *testing.T, name string) { write(t, name, enginetest.Random(1, 300001)) },
		"removed": remove,
		"truncated": func(t *testing.T, name string) {
			if err := os.Truncate(name, 1000); err != nil {
				t.Fatal(err)
			}
		},
		"replaced by a directory": func(t *testing.T, name string) {
			remove(t, name)
			if err := os.Mkdir(name, 0o755); err != nil {
				t.Fatal(err)
			}
		},
		"replaced by a link out of the tree": func(t *testing.T, name string) {
			away := filepath.Join(t.TempDir(), "away")
			if err := os.Rename(name, away); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(away, name); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// TestChangedFileIsNotServed: whatever happens to a file, peers never get bytes
// that differ from the listed ones.
func TestChangedFileIsNotServed(t *testing.T) {
	for name, harm := range harms() {
		for _, loaded := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, loaded %v", name, loaded), func(t *testing.T) {
				t.Parallel()
				f := enginetest.NewFile(t, "photos", "2019/a.jpg", enginetest.Random(1, 300000))
				seeder, leecher := start(t, Config{}), start(t, Config{})
				root := seeded(t, seeder, f)
				if loaded {
					if err := seeder.loadSeed(seeder.entries[f.Entry.InfoHash]); err != nil {
						t.Fatal(err)
					}
				}
				harm(t, f.Name(root))
				home := treeRoot(t, "photos")
				mustAdd(t, leecher, empty(f, home, seeder.address()))
				until(t, "the seeder says so", func() bool { return state(t, seeder, f.Entry.InfoHash).Err != "" })
				one := state(t, seeder, f.Entry.InfoHash)
				if one.State != apply.Stopped || one.Left == 0 {
					t.Errorf("reported as %+v", one)
				}
				if state(t, leecher, f.Entry.InfoHash).Done() {
					requireFile(t, f, home)
				}
				// Put right and handed over again, it is served again.
				if err := os.RemoveAll(f.Name(root)); err != nil {
					t.Fatal(err)
				}
				f.Write(t, root)
				mustAdd(t, seeder, complete(f, root))
				untilDone(t, leecher, f)
				requireFile(t, f, home)
			})
		}
	}
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestBadPeer: a peer whose pieces do not verify delays a download at most, and
// is not banned from the others.
func TestBadPeer(t *testing.T) {
	t.Parallel()
	rotten := enginetest.NewFile(t, "photos", "rotten.raw", enginetest.Random(1, 3<<18))
	sound := enginetest.NewFile(t, "photos", "sound.raw", enginetest.Random(2, 3<<18))
	bad, good, leecher := start(t, Config{}), start(t, Config{}), start(t, Config{})
	root := seeded(t, bad, rotten, sound)
	data := enginetest.Random(3, 3<<18)
	rotten.WriteData(t, root, data) // same length, same time: bit rot
	home := treeRoot(t, "photos")
	mustAdd(t, leecher, empty(rotten, home, bad.address()))
	until(t, "a damaged piece is noticed", func() bool {
		leecher.mu.Lock()
		defer leecher.mu.Unlock()
		f := leecher.entries[rotten.Entry.InfoHash].fetch
		return f != nil && f.retries > 0
	})
	if len(leecher.client.BadPeerIPs()) > 0 {
		t.Error("the library banned the peer's address")
	}
	mustAdd(t, leecher, empty(sound, home, bad.address()))
	untilDone(t, leecher, sound)
	requireFile(t, sound, home)
	if one := state(t, leecher, rotten.Entry.InfoHash); one.Done() {
		t.Fatal("complete from damaged pieces")
	}
	seeded(t, good, rotten)
	mustAdd(t, leecher, empty(rotten, home, bad.address(), good.address()))
	untilDone(t, leecher, rotten)
	requireFile(t, rotten, home)
}

// TestUselessPeerCostsNoTime: a peer that does not hold a torrent, or is only
// fetching it itself, is passed over at once, not when patience ends.
func TestUselessPeerCostsNoTime(t *testing.T) {
	t.Parallel()
	f := enginetest.NewFile(t, "photos", "a.raw", enginetest.Random(1, 100000))
	seeder, fetching, without := start(t, Config{}), start(t, Config{}), start(t, Config{})
	seeded(t, seeder, f)
	mustAdd(t, fetching, empty(f, treeRoot(t, "photos")))
	until(t, "the other site is fetching", func() bool {
		fetching.mu.Lock()
		defer fetching.mu.Unlock()
		return len(fetching.downloads) == 1
	})
	for _, useless := range []*Engine{fetching, without} {
		leecher := start(t, Config{})
		leecher.pace = time.Hour // patience is at its longest
		peers := []string{useless.address(), seeder.address()}
		leecher.book.of(&swarm{peers: peers})
		leecher.book.peers[netip.MustParseAddrPort(useless.address())].score = 1
		began := time.Now()
		mustAdd(t, leecher, empty(f, treeRoot(t, "photos"), peers...))
		untilDone(t, leecher, f)
		if took := time.Since(began); took > maxDialPause*2/3 {
			t.Errorf("took %v", took)
		}
	}
}

// TestUnwritable: a place that cannot be written stops the torrent with the
// system's words, and it goes on by itself when the obstacle is gone.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	f := enginetest.NewFile(t, "photos", "2019/a.raw", enginetest.Random(1, 100000))
	seeder := start(t, Config{})
	seeded(t, seeder, f)
	leecher := start(t, Config{diskPause: time.Second})
	home := treeRoot(t, "photos")
	write(t, filepath.Join(home, "2019"), []byte("in the way"))
	mustAdd(t, leecher, empty(f, home, seeder.address()))
	until(t, "it says why", func() bool {
		one := state(t, leecher, f.Entry.InfoHash)
		return one.State == apply.Stopped && one.Left == f.Entry.Length && strings.Contains(one.Err, "2019")
	})
	if err := os.Remove(filepath.Join(home, "2019")); err != nil {
		t.Fatal(err)
	}
	untilDone(t, leecher, f)
	requireFile(t, f, home)
}

// TestUnmountedDrive: where the private folder is gone nothing is made in the
// mount point, neither in place nor in staging.
func TestUnmountedDrive(t *testing.T) {
	t.Parallel()
	f := enginetest.NewFile(t, "photos", "a.raw", enginetest.Random(1, 100000))
	seeder := start(t, Config{})
	seeded(t, seeder, f)
	leecher := start(t, Config{})
	mount := t.TempDir()
	mustAdd(t, leecher, empty(f, filepath.Join(mount, manifests.PrivateDir, "staging", f.Entry.InfoHash.String(), "photos"), seeder.address()))
	until(t, "it says why", func() bool { return state(t, leecher, f.Entry.InfoHash).Err != "" })
	if left, err := os.ReadDir(mount); err != nil || len(left) > 0 {
		t.Errorf("the mount point holds %v, %v", left, err)
	}
}

// TestStagedFileTooLong: the engine cuts nothing; it says so instead of
// calling the file complete.
func TestStagedFileTooLong(t *testing.T) {
	t.Parallel()
	f := enginetest.NewFile(t, "photos", "a.raw", enginetest.Random(1, 100000))
	seeder, leecher := start(t, Config{}), start(t, Config{})
	seeded(t, seeder, f)
	home := treeRoot(t, "photos")
	write(t, f.Name(home), make([]byte, 100001))
	mustAdd(t, leecher, empty(f, home, seeder.address()))
	until(t, "it says why", func() bool { return strings.Contains(state(t, leecher, f.Entry.InfoHash).Err, "100001 bytes") })
	if fi, err := os.Stat(f.Name(home)); err != nil || fi.Size() != 100001 {
		t.Errorf("the file was cut: %v, %v", fi, err)
	}
}

// TestKilled: an engine killed in the middle comes back with every torrent it
// held, hashes what it had not finished, and ends with the right bytes.
func TestKilled(t *testing.T) {
	t.Parallel()
	const n = 400
	seeder := start(t, Config{UploadLimit: 8 << 20})
	files := make([]enginetest.File, n+1)
	for i := range n {
		files[i] = enginetest.NewFile(t, "photos", fmt.Sprintf("%d/%d", i%7, i), enginetest.Random(uint64(i), 16<<10))
	}
	files[n] = enginetest.NewFile(t, "photos", "large", enginetest.Random(n, 40<<18+99))
	seeded(t, seeder, files...)
	dir, home := t.TempDir(), treeRoot(t, "photos")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SEEDTREE_TEST_HELPER="+strings.Join([]string{dir, home, seeder.address(), fmt.Sprint(n)}, "\n"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	arrived := func() (n int) {
		for _, f := range files {
			if fi, err := os.Stat(f.Name(home)); err == nil && fi.Size() == f.Entry.Length {
				n++
			}
		}
		return n
	}
	until(t, "a third of the files", func() bool { return arrived() > n/3 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	was := arrived()
	if was > n {
		t.Fatal("all files arrived before the process was killed")
	}
	seeder.SetLimits(0, 0)
	e := start(t, Config{StateDir: dir})
	if list, err := e.List(t.Context()); err != nil || len(list) != len(files) {
		t.Fatalf("%d torrents came back of %d: %v", len(list), len(files), err)
	}
	for _, f := range files {
		untilDone(t, e, f)
		requireFile(t, f, home)
	}
	tr, err := e.Traffic(t.Context())
	if all := int64(n)*(16<<10) + files[n].Entry.Length; err != nil || tr.Downloaded > all-int64(was/2)*(16<<10) {
		t.Errorf("%d bytes of %d travelled again, %v", tr.Downloaded, all, err)
	}
}

// runHelper is the process that TestKilled kills.
func runHelper(args string) int {
	var n int
	a := strings.Split(args, "\n")
	if _, err := fmt.Sscan(a[3], &n); err != nil {
		return 2
	}
	e, err := Open(Config{StateDir: a[0], Listen: "127.0.0.1:0"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	t := &testing.T{}
	adds := []apply.Addition{empty(enginetest.NewFile(t, "photos", "large", enginetest.Random(uint64(n), 40<<18+99)), a[1], a[2])}
	for i := range n {
		f := enginetest.NewFile(t, "photos", fmt.Sprintf("%d/%d", i%7, i), enginetest.Random(uint64(i), 16<<10))
		adds = append(adds, empty(f, a[1], a[2]))
	}
	if err := e.Add(context.Background(), adds); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	select {}
}
