package apply_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/manifests"
)

// TestDurableBeforeItCounts: bytes reach the disk before a name shows them,
// the name before the engine is told and staging is cleared.
func TestDurableBeforeItCounts(t *testing.T) {
	w := newWorld(t)
	e := w.file("dir/a", "aaa")
	d := w.want(e)
	w.pass(d)
	must(t, w.engine.Feed())
	var mu sync.Mutex
	var log []string
	note := func(op string) { mu.Lock(); log = append(log, op); mu.Unlock() }
	w.site.SetStep(note)
	w.site.SetFsync(func(f *os.File) error {
		note("fsync " + filepath.Base(f.Name()))
		return f.Sync()
	})
	w.pass(w.again(d))
	order := []string{"fsync a", "rename .seedtree/staging/" + e.InfoHash.String() + ".ready to dir/a", "fsync dir", "engine move", "remove all of"}
	at := 0
	for _, want := range order {
		i := slices.IndexFunc(log[at:], func(op string) bool { return strings.HasPrefix(op, want) })
		if i < 0 {
			t.Fatalf("%q does not follow in\n%s", want, strings.Join(log, "\n"))
		}
		at += i + 1
	}
}

// TestFailedFsyncIsNoPlace: a disk that cannot keep the bytes gets no name.
func TestFailedFsyncIsNoPlace(t *testing.T) {
	w := newWorld(t)
	d := w.want(w.file("a", "aaa"))
	w.pass(d)
	must(t, w.engine.Feed())
	w.site.SetFsync(func(f *os.File) error {
		if filepath.Base(f.Name()) == "a" {
			return errors.New("input/output error")
		}
		return f.Sync()
	})
	r := w.pass(w.again(d))
	if len(r.Errors) != 1 || r.Complete {
		t.Fatalf("%+v", r)
	}
	if _, err := os.Lstat(w.name("a")); err == nil {
		t.Fatal("it is visible")
	}
	w.reopen()
	w.sync(d)
}

func TestSettleLeavesTheRestToFullPasses(t *testing.T) {
	w := newWorld(t)
	w.manifest.Prune.Limit.Percent = 99
	old := w.file("plain", "old")
	w.sync(w.want(old, w.file("keep", "k")))
	w.write("dir/theirs", "foreign") // where a file is listed next
	w.write("way", "foreign")        // where a directory is needed next
	d := w.want(w.file("plain", "newer"), w.file("dir", "a file"), w.file("way/x", "x"), w.file("keep", "k"))
	w.pass(w.again(d))
	if r, err := w.site.Settle(t.Context(), w.again(w.want(w.file("other", "o")))); err != nil || r.Waiting != 0 {
		t.Fatalf("%+v %v: what another revision waits for was settled", r, err)
	}
	w.pass(w.again(d))
	must(t, w.engine.Feed())
	r, err := w.site.Settle(t.Context(), w.again(d))
	must(t, err)
	if r.Actions[apply.Place] != 1 || r.Waiting != 2 || r.Complete || w.read("plain") != "newer" {
		t.Fatalf("%+v", r)
	}
	if w.read("dir/theirs") != "foreign" || w.read("way") != "foreign" || w.inTrash()["plain"] != "old" {
		t.Fatal("more than files were replaced")
	}
	if _, err := w.engine.Fetch(old.InfoHash); err == nil {
		t.Fatal("the replaced torrent is still seeded")
	}
	hidden := filepath.Join(w.dir, "unmounted")
	must(t, os.Rename(w.roots["photos"], hidden))
	r, err = w.site.Settle(t.Context(), w.again(d))
	must(t, err)
	if r.Waiting != 2 || r.Complete || len(r.Stopped) != 1 {
		t.Fatalf("%+v", r)
	}
	must(t, os.Rename(hidden, w.roots["photos"]))
	w.sync(d)
}

func TestSettleFindsALie(t *testing.T) {
	w := newWorld(t)
	e := w.file("a", strings.Repeat("a", 1000))
	d := w.want(e)
	w.pass(d)
	staged := filepath.Join(w.roots["photos"], ".seedtree/staging", e.InfoHash.String(), "photos", "a")
	must(t, os.WriteFile(staged, []byte(strings.Repeat("b", 1000)), 0o644))
	w.engine.Lie(e.InfoHash)
	r, err := w.site.Settle(t.Context(), w.again(d))
	must(t, err)
	if len(r.Errors) != 1 || r.Waiting != 1 || r.Complete {
		t.Fatalf("%+v", r)
	}
	must(t, w.engine.Feed())
	if r, err = w.site.Settle(t.Context(), w.again(d)); err != nil || r.Waiting != 0 || !r.Complete {
		t.Fatalf("%+v %v", r, err)
	}
	w.requireTree(d.Listing)
}

// TestBrokenTorrentsAreNotHashedInEveryPass: one new try, then half an hour.
func TestBrokenTorrentsAreNotHashedInEveryPass(t *testing.T) {
	w := newWorld(t)
	e := w.file("a", "aaa")
	d := w.want(e)
	w.sync(d)
	adds := func() (n int) {
		for _, call := range w.engine.Calls() {
			if strings.HasPrefix(call, "add") {
				n++
			}
		}
		return n
	}
	before := adds()
	for range 3 {
		w.engine.Stop(e.InfoHash, "tracker: unregistered torrent")
		w.pass(w.again(d))
	}
	if got := adds() - before; got != 1 {
		t.Fatalf("%d tries in three passes", got)
	}
	r := w.pass(w.again(d))
	if len(r.Errors) != 1 || !strings.Contains(r.Err().Error(), "unregistered") || r.Complete || !r.Applied {
		t.Fatalf("%+v", r)
	}
	w.now = w.now.Add(time.Hour)
	w.sync(d)
}

// introduced is an engine that wants to know where the others are.
type introduced struct {
	apply.Engine
	trackers [][]string
	peers    []string
}

func (i *introduced) Introduce(_ context.Context, trackers [][]string, peers []string) error {
	i.trackers, i.peers = trackers, peers
	return nil
}

func TestIntroduction(t *testing.T) {
	w := newWorld(t)
	w.manifest.Trackers = [][]string{{"http://10.0.0.1:6969/announce"}}
	in := &introduced{Engine: w.engine}
	site, err := apply.Open(apply.Config{Name: "lima", Engine: in, Trees: w.roots})
	must(t, err)
	w.site = site
	w.pass(w.want(w.file("a", "aaa")))
	if len(in.trackers) != 1 || !slices.Equal(in.peers, []string{"10.0.0.1:42069"}) {
		t.Fatalf("told of %v and %v", in.trackers, in.peers)
	}
}

func TestCancelledPass(t *testing.T) {
	w := newWorld(t)
	d := w.want(w.file("a", "aaa"), w.file("b", "bbb"))
	p := w.plan(d)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.site.Observe(ctx, d); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	r, err := w.site.Execute(ctx, d, p)
	if !errors.Is(err, context.Canceled) || r.Applied || r.Complete {
		t.Fatalf("%+v %v", r, err)
	}
	if calls := w.engine.Calls(); len(calls) != 0 {
		t.Fatalf("the engine was told %q", calls)
	}
	w.sync(d)
}

// TestNothingIsTransferredTwice follows one big file through many revisions.
func TestNothingIsTransferredTwice(t *testing.T) {
	w := newWorld(t, "photos", "archive")
	w.manifest.Prune.Limit.Percent = 99
	keep := w.file("keep", "k")
	text := strings.Repeat("z", 700000)
	first := w.file("a", text)
	w.sync(w.want(first, keep))
	before := w.downloaded()
	for _, next := range [][]manifests.Entry{
		{w.file("b", text), keep},
		{w.file("b", text), w.file("c/d", text), keep},
		{w.fileIn("archive", "z", text), keep},
		{keep},
		{w.file("back", text), keep},
		{w.fileIn("archive", "y", text), w.file("back", text), keep},
		{w.file("back", "short"), w.file("elsewhere", text), keep},
	} {
		w.sync(w.want(next...))
	}
	if got := w.downloaded() - before; got != int64(len("short")) {
		t.Fatalf("%d bytes were fetched", got)
	}
	w.requireStagingEmpty()
}

// TestRenamedWhileFetched: half of it is here under another name.
func TestRenamedWhileFetched(t *testing.T) {
	w := newWorld(t)
	f := bigFile(t, "old name", 7)
	e := w.know(f)
	d := w.want(e)
	w.pass(d)
	staged := filepath.Join(w.roots["photos"], ".seedtree/staging", e.InfoHash.String(), "photos", "old name")
	must(t, os.WriteFile(staged, f.Data[:1<<18], 0o644))
	g := bigFile(t, "new name", 7)
	next := w.want(w.know(g))
	w.sync(next)
	if got := w.downloaded(); got != 2<<18 {
		t.Fatalf("%d bytes were fetched, a third was here", got)
	}
	w.requireStagingEmpty()
}
