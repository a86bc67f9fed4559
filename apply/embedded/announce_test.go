package embedded

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"seedtree/apply/enginetest"
	"seedtree/manifests"
)

// fakeTracker remembers what it was told and answers with everybody else.
type fakeTracker struct {
	*httptest.Server
	mu       sync.Mutex
	interval int
	broken   bool
	refuse   string
	seen     []told
	peers    map[string][]string // by info hash
	seeds    map[string]bool     // info hash and address
	conns    int
}

type told struct {
	hash  manifests.InfoHash
	event string
	left  string
	port  string
	at    time.Time
}

func newFakeTracker(t *testing.T) *fakeTracker {
	f := &fakeTracker{interval: 1800, peers: map[string][]string{}, seeds: map[string]bool{}}
	f.Server = httptest.NewUnstartedServer(f)
	f.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			f.mu.Lock()
			f.conns++
			f.mu.Unlock()
		}
	}
	f.Start()
	t.Cleanup(f.Close)
	return f
}

func (f *fakeTracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := r.URL.Query()
	if r.URL.Path != "/announce" { // a scrape
		http.NotFound(w, r)
		return
	}
	if f.broken {
		http.Error(w, "out to lunch", http.StatusInternalServerError)
		return
	}
	ih := q.Get("info_hash")
	f.seen = append(f.seen, told{manifests.InfoHash([]byte(ih)), q.Get("event"), q.Get("left"), q.Get("port"), time.Now()})
	if f.refuse != "" {
		fmt.Fprintf(w, "d14:failure reason%d:%se", len(f.refuse), f.refuse)
		return
	}
	me, seed := "127.0.0.1:"+q.Get("port"), q.Get("left") == "0"
	f.seeds[ih+me] = seed
	var compact []byte
	for _, p := range f.peers[ih] {
		if p != me && !(seed && f.seeds[ih+p]) {
			a := netip.MustParseAddrPort(p)
			ip := a.Addr().As4()
			compact = append(append(compact, ip[:]...), byte(a.Port()>>8), byte(a.Port()))
		}
	}
	if q.Get("event") == "stopped" {
		f.peers[ih] = slices.DeleteFunc(f.peers[ih], func(p string) bool { return p == me })
	} else if !slices.Contains(f.peers[ih], me) {
		f.peers[ih] = append(f.peers[ih], me)
	}
	fmt.Fprintf(w, "d8:intervali%de5:peers%d:%se", f.interval, len(compact), compact)
}

func (f *fakeTracker) url() string { return f.URL + "/announce" }

// log returns what was said of a torrent, as "event/left".
func (f *fakeTracker) log(h manifests.InfoHash) (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.seen {
		if s.hash == h {
			out = append(out, s.event+"/"+s.left)
		}
	}
	return out
}

func TestPeersMeetThroughTracker(t *testing.T) {
	tr := newFakeTracker(t)
	files := make([]enginetest.File, 20)
	for i := range files {
		files[i] = enginetest.NewFile(t, "photos", fmt.Sprintf("%02d.jpg", i), enginetest.Random(uint64(i), 30000))
	}
	seeder, leecher := start(t, Config{}), start(t, Config{})
	root, home := treeRoot(t, "photos"), treeRoot(t, "photos")
	tiers := [][]string{{tr.url()}}
	for _, f := range files {
		f.Write(t, root)
		a := complete(f, root)
		a.Trackers = tiers
		mustAdd(t, seeder, a)
	}
	last := files[len(files)-1].Entry.InfoHash
	until(t, "seeds are announced", func() bool { return len(tr.log(last)) > 0 })
	for _, f := range files {
		a := empty(f, home)
		a.Trackers = tiers
		mustAdd(t, leecher, a)
	}
	for _, f := range files {
		untilDone(t, leecher, f)
		requireFile(t, f, home)
	}
	first := files[0].Entry.InfoHash
	until(t, "the tracker hears of the second copy", func() bool { return len(tr.log(first)) >= 3 })
	if got := tr.log(first); got[0] != "started/0" || got[1] != "started/30000" || got[2] != "completed/0" {
		t.Errorf("the tracker heard %q", got)
	}
	tr.mu.Lock()
	conns := tr.conns
	tr.mu.Unlock()
	if conns > 2*announceLanes {
		t.Errorf("%d connections were made to the tracker, at most %d are needed", conns, 2*announceLanes)
	}
	if err := seeder.Remove(t.Context(), []manifests.InfoHash{first}); err != nil {
		t.Fatal(err)
	}
	until(t, "the tracker hears of the removal", func() bool { return tr.log(first)[len(tr.log(first))-1] == "stopped/0" })
	until(t, "the tracker hears of the last copy", func() bool {
		return strings.Count(strings.Join(tr.log(last), " ")+" ", "/0 ") >= 2 // of whom the first is the seeder
	})
	if err := leecher.Close(); err != nil {
		t.Fatal(err)
	}
	if got := tr.log(last); got[len(got)-1] != "stopped/0" {
		t.Errorf("closing said no goodbye: %q", got)
	}
}

func TestIntervalIsHonoured(t *testing.T) {
	t.Parallel()
	tr := newFakeTracker(t)
	tr.interval = 1
	f := enginetest.NewFile(t, "photos", "a.jpg", enginetest.Random(1, 1000))
	e, root := start(t, Config{}), treeRoot(t, "photos")
	f.Write(t, root)
	a := complete(f, root)
	a.Trackers = [][]string{{tr.url()}}
	mustAdd(t, e, a)
	until(t, "three announces", func() bool { return len(tr.log(f.Entry.InfoHash)) >= 3 })
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for i := 1; i < len(tr.seen); i++ {
		if d := tr.seen[i].at.Sub(tr.seen[i-1].at); d < time.Second {
			t.Errorf("announces %v apart, the interval is a second", d)
		}
	}
	if tr.seen[1].event != "" {
		t.Errorf("the regular announce has the event %q", tr.seen[1].event)
	}
}

func TestHungryDownloadDoesNotPesterTracker(t *testing.T) {
	tr := newFakeTracker(t)
	tr.refuse = "unregistered torrent"
	f := enginetest.NewFile(t, "photos", "a.jpg", enginetest.Random(1, 1000))
	e := start(t, Config{})
	a := empty(f, treeRoot(t, "photos"))
	a.Trackers = [][]string{{tr.url()}}
	mustAdd(t, e, a)
	until(t, "an announce", func() bool { return len(tr.log(f.Entry.InfoHash)) > 0 })
	e.mu.Lock()
	en := e.entries[f.Entry.InfoHash]
	e.mu.Unlock()
	for range 100 { // the download still finds nobody
		e.announcer.wanted(en, en.swarm)
	}
	other := enginetest.NewFile(t, "photos", "b.jpg", enginetest.Random(2, 1000))
	a = empty(other, a.Root)
	a.Trackers = [][]string{{tr.url()}}
	mustAdd(t, e, a)
	until(t, "an announce of another torrent", func() bool { return len(tr.log(other.Entry.InfoHash)) > 0 })
	if got := tr.log(f.Entry.InfoHash); len(got) != 1 {
		t.Errorf("refused once, asked again: %q", got)
	}
}

func TestTiers(t *testing.T) {
	dead, spare, good := newFakeTracker(t), newFakeTracker(t), newFakeTracker(t)
	dead.broken = true
	f := enginetest.NewFile(t, "photos", "a.jpg", enginetest.Random(1, 1000))
	e, root := start(t, Config{}), treeRoot(t, "photos")
	f.Write(t, root)
	a := complete(f, root)
	a.Trackers = [][]string{{dead.url(), "ftp://x.example/announce", "http://u:p@x.example/"}, {good.url()}, {spare.url()}}
	mustAdd(t, e, a)
	until(t, "the second tier hears of it", func() bool { return len(good.log(f.Entry.InfoHash)) == 1 })
	if got := spare.log(f.Entry.InfoHash); len(got) != 0 {
		t.Errorf("the third tier was told %q although the second answered", got)
	}
	e.announcer.mu.Lock()
	until := e.announcer.trackers[dead.url()].until
	e.announcer.mu.Unlock()
	if !until.After(time.Now()) {
		t.Error("a tracker that does not answer is not left in peace")
	}
}

func TestParseTracker(t *testing.T) {
	for _, good := range []string{"http://t.example/announce", "https://[::1]:6969/a?key=1", "http://10.0.0.1:80"} {
		if _, err := parseTracker(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "announce", "udp://t.example:80", "ftp://t.example/", "http://", "http:///announce", "http://user:secret@t.example/",
		"http://t.example:0/", "http://t.example:99999/", "http://t.example:/", "http://t.example/#x", "http:t.example",
		"http://t.example/" + strings.Repeat("x", 3000), "http://[::1", "http://t.exa\nmple/", "file:///etc/passwd",
	} {
		u, err := parseTracker(bad)
		if err == nil {
			t.Errorf("%q is taken as %v", bad, u)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestParseAnswer(t *testing.T) {
	ans, err := parseAnswer([]byte("d8:completei1e8:intervali900e12:min intervali60e5:peers12:\x0a\x00\x00\x01\x1a\xe1\x00\x00\x00\x00\x1a\xe16:peers618:" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x50e"))
	want := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:6881"), netip.MustParseAddrPort("[2001:db8::1]:80")}
	if err != nil || !slices.Equal(ans.peers, want) || ans.interval != 15*time.Minute || ans.soonest != time.Minute {
		t.Errorf("got %+v, %v", ans, err)
	}
	ans, err = parseAnswer([]byte("d5:peersld2:ip8:10.0.0.24:porti7eed2:ip9:not an ip4:porti7eed2:ip8:10.0.0.34:porti0eeee"))
	if err != nil || len(ans.peers) != 1 || ans.interval != defaultInterval {
		t.Errorf("got %+v, %v", ans, err)
	}
	for _, bad := range []string{
		"", "garbage", "<html>", "i1e", "d", "de trailing", "d8:interval", "d5:peers99999999999999999999:xe", "d5:peers-1:e",
		"d1:a" + strings.Repeat("l", 100000), strings.Repeat("l", 1<<20), "d14:failure reason4:nopee", "d8:intervali9",
	} {
		if _, err := parseAnswer([]byte(bad)); err == nil {
			t.Errorf("%.30q is taken", bad)
		}
	}
	for _, odd := range []string{"d8:intervali0ee", "d8:intervali-5ee", "d8:intervali99999999999999999999ee", "d8:interval1:xe"} {
		if ans, err := parseAnswer([]byte(odd)); err != nil || ans.interval < minInterval {
			t.Errorf("%s gives %v, %v", odd, ans.interval, err)
		}
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte("d8:intervali900e5:peers6:\x0a\x00\x00\x01\x1a\xe1e"))
	f.Add([]byte("d5:peersld2:ip8:10.0.0.24:porti7eeee"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ans, err := parseAnswer(b)
		if err != nil {
			return
		}
		if ans.interval < minInterval || ans.interval > maxInterval {
			t.Errorf("interval %v", ans.interval)
		}
		for _, p := range ans.peers {
			if !p.IsValid() || p.Port() == 0 {
				t.Errorf("peer %v", p)
			}
		}
	})
}
