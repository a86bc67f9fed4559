package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/internal/pulse"
	"seedtree/manifests"
)

// three engines' worth of files, held and closed again; returns the log's name.
func closedSession(t *testing.T, files []enginetest.File) (dir, root string) {
	t.Helper()
	dir = t.TempDir()
	e := start(t, Config{StateDir: dir})
	root = seeded(t, e, files...)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, root
}

func sample(t *testing.T, n int) []enginetest.File {
	files := make([]enginetest.File, n)
	for i := range files {
		files[i] = enginetest.NewFile(t, "seed", fmt.Sprintf("dir/%d", i), enginetest.Random(uint64(i), 1000+i))
	}
	return files
}

func held(t *testing.T, e *Engine) int {
	t.Helper()
	list, err := e.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range list {
		if !one.Done() {
			t.Errorf("came back as %+v", one)
		}
	}
	return len(list)
}

func TestTornTailIsDiscarded(t *testing.T) {
	files := sample(t, 5)
	dir, _ := closedSession(t, files)
	name := filepath.Join(dir, sessionName)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	// Whatever length the crash left: what comes back is whole, and the
	// engine takes new torrents on top of it.
	for cut := len(whole); cut >= 0; cut -= 97 {
		if err := os.WriteFile(name, append(bytes.Clone(whole[:cut]), "\x07\x00\x00"...), 0o600); err != nil {
			t.Fatal(err)
		}
		e, err := Open(Config{StateDir: dir, Listen: "127.0.0.1:0"})
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		before := held(t, e)
		if cut == len(whole) && before != len(files) {
			t.Fatalf("%d torrents came back of %d", before, len(files))
		}
		root := treeRoot(t, "seed")
		extra := enginetest.NewFile(t, "seed", "extra", enginetest.Random(99, 500))
		extra.Write(t, root)
		mustAdd(t, e, complete(extra, root))
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if e, err = Open(Config{StateDir: dir, Listen: "127.0.0.1:0"}); err != nil {
			t.Fatal(err)
		}
		if n := held(t, e); n != before+1 {
			t.Errorf("cut at %d: %d torrents, then one more, and %d after reopening", cut, before, n)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFlippedBitsDiscardTheRest(t *testing.T) {
	files := sample(t, 4)
	dir, _ := closedSession(t, files)
	name := filepath.Join(dir, sessionName)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 61 {
		bad := bytes.Clone(whole)
		bad[at] ^= 0x10
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		e, err := Open(Config{StateDir: dir, Listen: "127.0.0.1:0"})
		if err != nil {
			t.Fatalf("bit flipped at %d: %v", at, err)
		}
		if n := held(t, e); n >= len(files) {
			t.Errorf("bit flipped at %d: all %d torrents came back", at, n)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestForeignFileIsPutAside(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, sessionName)
	theirs := []byte("this is somebody's novel, not a session log")
	if err := os.WriteFile(name, theirs, 0o600); err != nil {
		t.Fatal(err)
	}
	e := start(t, Config{StateDir: dir})
	if n := held(t, e); n != 0 {
		t.Errorf("%d torrents came out of a foreign file", n)
	}
	if got, err := os.ReadFile(name + ".damaged"); err != nil || !bytes.Equal(got, theirs) {
		t.Errorf("the foreign file is gone: %v", err)
	}
}

func TestStateDirIsExclusive(t *testing.T) {
	e := start(t, Config{})
	other, err := Open(Config{StateDir: e.cfg.StateDir, Listen: "127.0.0.1:0"})
	if !errors.Is(err, ErrInUse) {
		t.Fatalf("a second engine on the state directory: %v, %v", other, err)
	}
}

// Calls about many torrents show life for each of them.
func TestLongCallsShowLife(t *testing.T) {
	t.Parallel()
	files := sample(t, 40)
	n := len(files)
	dir, root := t.TempDir(), treeRoot(t, "seed")
	e := start(t, Config{StateDir: dir})
	beats := 0
	ctx := pulse.With(t.Context(), func(string) { beats++ })
	shows := func(what string, atLeast int, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if beats < atLeast {
			t.Errorf("%s: %d signs of life, want %d", what, beats, atLeast)
		}
		beats = 0
	}
	var adds []apply.Addition
	var all []manifests.InfoHash
	for _, f := range files {
		f.Write(t, root)
		adds, all = append(adds, complete(f, root)), append(all, f.Entry.InfoHash)
	}
	shows("add", 2*n, e.Add(ctx, adds))
	shows("compact", n, e.compact(pulse.Of(ctx)))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	list := func(e apply.Engine) error { _, err := e.List(ctx); return err }
	shows("list by an onlooker", n, list(Look(dir)))
	e = start(t, Config{StateDir: dir})
	shows("the first list", n, list(e))
	shows("remove", n, e.Remove(ctx, all))
}

func TestCompaction(t *testing.T) {
	t.Parallel()
	files := sample(t, 40)
	dir := t.TempDir()
	e := start(t, Config{StateDir: dir})
	root := seeded(t, e, files...)
	keep := files[17]
	var all []manifests.InfoHash
	for _, f := range files {
		if f.Entry.InfoHash != keep.Entry.InfoHash {
			all = append(all, f.Entry.InfoHash)
		}
	}
	size := func() int64 {
		fi, err := os.Stat(filepath.Join(dir, sessionName))
		if err != nil {
			t.Fatal(err)
		}
		return fi.Size()
	}
	if err := e.Remove(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	before := size()
	if err := e.compact(func() {}); err != nil {
		t.Fatal(err)
	}
	if after := size(); after >= before/4 {
		t.Errorf("the log went from %d to %d bytes", before, after)
	}
	// The info dictionary must be found at its new place, now and after reopening.
	for range 2 {
		other, home := start(t, Config{}), treeRoot(t, "seed")
		mustAdd(t, other, empty(keep, home, e.address()))
		untilDone(t, other, keep)
		requireFile(t, keep, home)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = start(t, Config{StateDir: dir})
		if n := held(t, e); n != 1 {
			t.Fatalf("%d torrents are held", n)
		}
	}
	// Adding and removing for ever does not grow the log for ever.
	adds := make([]apply.Addition, 0, len(files))
	for _, f := range files {
		adds = append(adds, complete(f, root))
	}
	for range 150 {
		mustAdd(t, e, adds...)
		if err := e.Remove(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	if n := size(); n > 3<<20 {
		t.Errorf("after many rounds the log has %d bytes", n)
	}
}

func TestNewTrackersAndPeersReachHeldTorrents(t *testing.T) {
	f := enginetest.NewFile(t, "photos", "a.jpg", enginetest.Random(1, 5000))
	seeder, dir := start(t, Config{}), t.TempDir()
	seeded(t, seeder, f)
	home := treeRoot(t, "photos")
	e := start(t, Config{StateDir: dir})
	mustAdd(t, e, empty(f, home))
	mustAdd(t, e, empty(f, home, seeder.address())) // the manifest learnt of a peer
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = start(t, Config{StateDir: dir})
	untilDone(t, e, f)
}
