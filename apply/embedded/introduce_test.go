package embedded

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/manifests"
)

// swarmOf returns where an engine finds the peers of a torrent.
func (e *Engine) swarmOf(h manifests.InfoHash) (tiers [][]string, peers []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if en := e.entries[h]; en != nil {
		return en.swarm.tiers, en.swarm.peers
	}
	return nil, nil
}

func introduce(t *testing.T, e *Engine, trackers [][]string, peers ...string) {
	t.Helper()
	if err := e.Introduce(t.Context(), trackers, peers); err != nil {
		t.Fatal(err)
	}
}

// A new tracker hears at once of everything that is held, whoever was told of
// it before, and again after a restart.
func TestIntroduceTracker(t *testing.T) {
	t.Parallel()
	last, next := newFakeTracker(t), newFakeTracker(t)
	files := []enginetest.File{
		enginetest.NewFile(t, "photos", "a.jpg", enginetest.Random(1, 1000)),
		enginetest.NewFile(t, "photos", "b.jpg", enginetest.Random(2, 1000)),
	}
	cfg := Config{StateDir: t.TempDir()}
	e, root := start(t, cfg), treeRoot(t, "photos")
	for i, f := range files {
		f.Write(t, root)
		a := complete(f, root)
		if i == 0 { // the other one has no tracker yet
			a.Trackers = [][]string{{last.url()}}
		}
		mustAdd(t, e, a)
	}
	until(t, "the first tracker hears of it", func() bool { return len(last.log(files[0].Entry.InfoHash)) > 0 })
	tiers := [][]string{{next.url()}}
	introduce(t, e, tiers)
	for _, f := range files {
		until(t, "the new tracker hears of it", func() bool { return len(next.log(f.Entry.InfoHash)) > 0 })
	}
	third := enginetest.NewFile(t, "photos", "c.jpg", enginetest.Random(3, 1000))
	third.Write(t, root)
	a := complete(third, root)
	a.Trackers = tiers
	mustAdd(t, e, a) // notes the same trackers again
	until(t, "the new tracker hears of the next one", func() bool { return len(next.log(third.Entry.InfoHash)) > 0 })
	size := e.session.size
	for range 100 {
		introduce(t, e, tiers)
	}
	if e.session.size != size {
		t.Errorf("saying the same again made the session log %d bytes longer", e.session.size-size)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if got := next.log(f.Entry.InfoHash); !slices.Equal(got, []string{"started/0", "stopped/0"}) {
			t.Errorf("the new tracker heard %q", got)
		}
	}
	e = start(t, cfg)
	for _, f := range files {
		until(t, "the new tracker hears of it again", func() bool { return len(next.log(f.Entry.InfoHash)) > 2 })
	}
	if got := last.log(files[0].Entry.InfoHash); len(got) != 1 {
		t.Errorf("the tracker that was given up heard %q", got)
	}
	introduce(t, e, tiers)
	if e.session.size > size {
		t.Error("what was known before the restart was news")
	}
	// Taken back, and forgotten by a compaction in the meantime.
	if err := e.compact(func() {}); err != nil {
		t.Fatal(err)
	}
	introduce(t, e, [][]string{{last.url()}})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = start(t, cfg)
	for _, f := range files {
		if got, _ := e.swarmOf(f.Entry.InfoHash); len(got) != 1 || !slices.Equal(got[0], []string{last.url()}) {
			t.Errorf("after compaction and restart the trackers are %q", got)
		}
	}
}

// An announce that is under way to the old tracker does not put the new one
// off until the old one's interval is over.
func TestIntroduceDuringAnnounce(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(asked); <-answer })
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		first()
		_, _ = w.Write([]byte("d8:intervali1800e5:peers0:e"))
	}))
	defer slow.Close()
	next := newFakeTracker(t)
	f := enginetest.NewFile(t, "photos", "a.jpg", enginetest.Random(1, 1000))
	e, root := start(t, Config{}), treeRoot(t, "photos")
	f.Write(t, root)
	a := complete(f, root)
	a.Trackers = [][]string{{slow.URL + "/announce"}}
	mustAdd(t, e, a)
	<-asked
	introduce(t, e, [][]string{{next.url()}})
	close(answer)
	until(t, "the new tracker hears of it", func() bool { return len(next.log(f.Entry.InfoHash)) > 0 })
}

// New peers reach a download that waits for somebody who has it, and what
// waits behind it, also after a restart.
func TestIntroducePeers(t *testing.T) {
	t.Parallel()
	now := enginetest.NewFile(t, "photos", "a.jpg", enginetest.Random(1, 30000))
	later := enginetest.NewFile(t, "photos", "b.jpg", enginetest.Random(2, 30000))
	seeder := start(t, Config{})
	seeded(t, seeder, now)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close() // takes connections and says nothing
	cfg := Config{StateDir: t.TempDir()}
	e, home := start(t, cfg), treeRoot(t, "photos")
	mustAdd(t, e, empty(now, home, nobody.Addr().String()), empty(later, home, nobody.Addr().String()))
	until(t, "the download is under way", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return len(e.downloads) == 2
	})
	introduce(t, e, nil, seeder.address())
	untilDone(t, e, now)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	seeded(t, seeder, later)
	e = start(t, cfg)
	untilDone(t, e, later)
	for _, f := range []enginetest.File{now, later} {
		requireFile(t, f, home)
	}
}

// What is handed over later has what it is handed over with.
func TestIntroduceThenAdd(t *testing.T) {
	t.Parallel()
	f := enginetest.NewFile(t, "photos", "a.jpg", enginetest.Random(1, 1000))
	e, root := start(t, Config{}), treeRoot(t, "photos")
	introduce(t, e, [][]string{{"http://127.0.0.1:1/announce"}}, "127.0.0.1:1")
	f.Write(t, root)
	a := complete(f, root)
	a.Peers = []string{"127.0.0.1:2"}
	for range 2 {
		mustAdd(t, e, a)
		if tiers, peers := e.swarmOf(f.Entry.InfoHash); len(tiers) != 0 || !slices.Equal(peers, a.Peers) {
			t.Errorf("%q and %q", tiers, peers)
		}
	}
	var in apply.Introducer = e
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := in.Introduce(t.Context(), nil, nil); err == nil {
		t.Error("a closed engine takes new peers")
	}
}
