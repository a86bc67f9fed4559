package tracker

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anacrolix/torrent/bencode"
	"github.com/google/go-cmp/cmp"

	"seedtree/manifests"
)

// reply is an answer as a foreign decoder reads it.
type reply struct {
	Failure     string `bencode:"failure reason"`
	RetryIn     int    `bencode:"retry in"`
	Complete    int    `bencode:"complete"`
	Incomplete  int    `bencode:"incomplete"`
	Interval    int    `bencode:"interval"`
	MinInterval int    `bencode:"min interval"`
	Peers       any    `bencode:"peers"`
	Peers6      string `bencode:"peers6"`
	Files       map[string]struct {
		Complete   int `bencode:"complete"`
		Downloaded int `bencode:"downloaded"`
		Incomplete int `bencode:"incomplete"`
	} `bencode:"files"`
}

// clock is a hand-set clock.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func hash(n int) (h manifests.InfoHash) {
	binary.BigEndian.PutUint64(h[:], uint64(n)*0x9E3779B97F4A7C15)
	return h
}

// newTracker lists hash(1) to hash(listed).
func newTracker(t testing.TB, cfg Config, listed int) *Tracker {
	t.Helper()
	tr, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	set := map[manifests.InfoHash]bool{}
	for i := range listed {
		set[hash(i+1)] = true
	}
	tr.SetAllowed(func(h manifests.InfoHash) bool { return set[h] })
	return tr
}

func get(t testing.TB, tr *Tracker, from, target string) reply {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	tr.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s: status %d", target, w.Code)
	}
	var out reply
	if err := bencode.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("GET %s: answer %q: %v", target, w.Body, err)
	}
	return out
}

// target is an announce of a client that listens on port 51413.
func target(h manifests.InfoHash, left int, more string) string {
	return "/announce?info_hash=" + url.QueryEscape(string(h[:])) + "&peer_id=-ST0001-abcdefghijkl&port=51413&uploaded=0&downloaded=0&left=" + fmt.Sprint(left) + more
}

func peersOf(t testing.TB, r reply) []string {
	t.Helper()
	var out []string
	add := func(s string, size int) {
		if len(s)%size != 0 {
			t.Fatalf("compact peers of %d bytes are no multiple of %d", len(s), size)
		}
		for ; s != ""; s = s[size:] {
			ip, _ := netip.AddrFromSlice([]byte(s[:size-2]))
			out = append(out, netip.AddrPortFrom(ip, binary.BigEndian.Uint16([]byte(s[size-2:size]))).String())
		}
	}
	if s, ok := r.Peers.(string); ok {
		add(s, 6)
	}
	add(r.Peers6, 18)
	return out
}

func TestAnnounceIntroducesPeers(t *testing.T) {
	tr := newTracker(t, Config{}, 1)
	h := hash(1)
	first := get(t, tr, "192.0.2.1:999", target(h, 0, "&event=started"))
	if first.Complete != 1 || first.Incomplete != 0 || len(peersOf(t, first)) != 0 {
		t.Errorf("the first seed is told %+v", first)
	}
	if first.Interval != 300 || first.MinInterval != 60 {
		t.Errorf("interval %d, min interval %d; want 300 and 60", first.Interval, first.MinInterval)
	}
	// Over IPv4-mapped IPv6, as a dual-stack socket reports it.
	second := get(t, tr, "[::ffff:192.0.2.2]:999", target(h, 10, "&event=started"))
	if diff := cmp.Diff([]string{"192.0.2.1:51413"}, peersOf(t, second)); diff != "" {
		t.Error(diff)
	}
	third := get(t, tr, "[2001:db8::3]:999", target(h, 10, ""))
	if len(peersOf(t, third)) != 2 || third.Incomplete != 2 {
		t.Errorf("the IPv6 client is told %v of %d leechers", peersOf(t, third), third.Incomplete)
	}
	// A seed is told of leechers over both families, and never of seeds.
	get(t, tr, "192.0.2.4:999", target(h, 0, ""))
	again := get(t, tr, "192.0.2.1:999", target(h, 0, ""))
	got := peersOf(t, again)
	if len(got) != 2 || !strings.Contains(fmt.Sprint(got), "192.0.2.2:51413") || !strings.Contains(fmt.Sprint(got), "[2001:db8::3]:51413") {
		t.Errorf("the seed is told of %v, want the two leechers", got)
	}
	if s := tr.Stats(); s.Seeders != 2 || s.Leechers != 2 || s.Swarms != 1 || s.Announces != 5 {
		t.Errorf("stats %+v", s)
	}
}

func TestClosed(t *testing.T) {
	tr := newTracker(t, Config{}, 1)
	got := get(t, tr, "192.0.2.1:999", target(hash(2), 0, ""))
	if !strings.HasPrefix(got.Failure, "not listed") || got.RetryIn == 0 {
		t.Errorf("an unlisted hash is told %+v", got)
	}
	// What leaves the listing is forgotten, what is new is served at once.
	get(t, tr, "192.0.2.1:999", target(hash(1), 0, ""))
	tr.SetAllowed(func(h manifests.InfoHash) bool { return h == hash(2) })
	if s := tr.Stats(); s.Swarms != 0 || s.NotListed != 1 || tr.store.total.Load() != 0 {
		t.Errorf("stats %+v, %d peers held", s, tr.store.total.Load())
	}
	if got := get(t, tr, "192.0.2.1:999", target(hash(2), 0, "")); got.Failure != "" {
		t.Errorf("a hash listed now is told %q", got.Failure)
	}
	fresh, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, fresh, "192.0.2.1:999", target(hash(1), 0, "")); got.Failure == "" {
		t.Error("a tracker without a listing answers for anything")
	}
}

func TestEvents(t *testing.T) {
	tr := newTracker(t, Config{}, 1)
	h := hash(1)
	scrape := "/scrape?info_hash=" + url.QueryEscape(string(h[:])) + "&info_hash=" + strings.Repeat("x", 20)
	get(t, tr, "192.0.2.1:999", target(h, 7, "&event=started"))
	get(t, tr, "192.0.2.1:999", target(h, 0, "&event=completed"))
	got := get(t, tr, "192.0.2.9:1", scrape)
	if len(got.Files) != 1 {
		t.Fatalf("a scrape of one listed and one unlisted hash tells of %d", len(got.Files))
	}
	if f := got.Files[string(h[:])]; f.Complete != 1 || f.Downloaded != 1 || f.Incomplete != 0 {
		t.Errorf("scrape after completion: %+v", f)
	}
	// Somebody else's stop takes nobody out.
	get(t, tr, "192.0.2.2:999", target(h, 0, "&event=stopped"))
	if f := get(t, tr, "192.0.2.9:1", scrape).Files[string(h[:])]; f.Complete != 1 {
		t.Errorf("scrape after a stranger's stop: %+v", f)
	}
	if r := get(t, tr, "192.0.2.1:999", target(h, 0, "&event=stopped")); len(peersOf(t, r)) != 0 || r.Complete != 0 {
		t.Errorf("answer to stop: %+v", r)
	}
	if tr.store.total.Load() != 0 {
		t.Errorf("%d peers held after the last one stopped", tr.store.total.Load())
	}
}

func TestSilentPeersExpire(t *testing.T) {
	c := &clock{now: time.Unix(1e9, 0)}
	tr := newTracker(t, Config{Interval: time.Minute, Clock: c.Now}, 2)
	get(t, tr, "192.0.2.1:999", target(hash(1), 0, ""))
	get(t, tr, "192.0.2.1:999", target(hash(2), 0, ""))
	c.Add(2 * time.Minute) // one announce lost
	if got := peersOf(t, get(t, tr, "192.0.2.2:999", target(hash(1), 1, ""))); len(got) != 1 {
		t.Errorf("after one lost announce the peers are %v", got)
	}
	c.Add(-time.Minute) // a clock set back ages nobody
	if got := peersOf(t, get(t, tr, "192.0.2.3:999", target(hash(1), 1, "&event=started"))); len(got) != 2 {
		t.Errorf("after the clock was set back the peers are %v", got)
	}
	get(t, tr, "192.0.2.3:999", target(hash(1), 1, "&event=stopped"))
	c.Add(time.Minute + 2*time.Minute + 31*time.Second)
	if got := peersOf(t, get(t, tr, "192.0.2.2:999", target(hash(1), 1, ""))); len(got) != 0 {
		t.Errorf("after silence the peers are %v", got)
	}
	if s := tr.Stats(); s.Swarms != 1 || tr.store.total.Load() != 1 {
		t.Errorf("stats %+v, %d held", s, tr.store.total.Load())
	}
}

func TestCaps(t *testing.T) {
	tr := newTracker(t, Config{}, 1)
	h := hash(1)
	want := strings.Replace(target(h, 5, ""), "port=51413", "port=%d", 1)
	want = strings.ReplaceAll(strings.ReplaceAll(want, "%", "%%"), "%%d", "%d")
	get(t, tr, "192.0.2.1:999", target(h, 5, ""))
	for port := 1000; port < 1000+2*maxPeersPerAddr; port++ {
		get(t, tr, "203.0.113.66:999", fmt.Sprintf(want, port))
	}
	if s := tr.Stats(); s.Leechers != maxPeersPerAddr+1 {
		t.Errorf("one address holds %d places, want %d", s.Leechers-1, maxPeersPerAddr)
	}
	for i := range 2 * maxPeers {
		get(t, tr, fmt.Sprintf("10.0.%d.%d:999", i/200, i%200), target(h, 5, ""))
	}
	if s := tr.Stats(); s.Leechers != maxPeers {
		t.Errorf("a swarm holds %d peers, want %d", s.Leechers, maxPeers)
	}
	for _, c := range []struct {
		more string
		want int
	}{{"", defaultNumWant}, {"&numwant=0", 0}, {"&numwant=-1", defaultNumWant}, {"&numwant=7", 7}, {"&numwant=100000", maxNumWant}} {
		if got := len(peersOf(t, get(t, tr, "192.0.2.1:999", target(h, 5, c.more)))); got != c.want {
			t.Errorf("%q brings %d peers, want %d", c.more, got, c.want)
		}
	}
}

func TestIPParameter(t *testing.T) {
	for _, c := range []struct {
		trust bool
		ip    string
		want  string
	}{
		{false, "198.51.100.7", "192.0.2.1:51413"},
		{true, "198.51.100.7", "198.51.100.7:51413"},
		{true, "2001:db8::7", "[2001:db8::7]:51413"},
		{true, "0.0.0.0", "192.0.2.1:51413"},
		{true, "host.example", "192.0.2.1:51413"},
	} {
		tr := newTracker(t, Config{TrustIP: c.trust}, 1)
		get(t, tr, "192.0.2.1:999", target(hash(1), 0, "&ip="+c.ip))
		got := peersOf(t, get(t, tr, "192.0.2.2:999", target(hash(1), 1, "")))
		if diff := cmp.Diff([]string{c.want}, got); diff != "" {
			t.Errorf("trust %v, ip %s: %s", c.trust, c.ip, diff)
		}
	}
}

func TestDictionaryPeers(t *testing.T) {
	tr := newTracker(t, Config{}, 1)
	get(t, tr, "[2001:db8::1]:999", target(hash(1), 0, ""))
	got := get(t, tr, "192.0.2.2:999", target(hash(1), 1, "&compact=0"))
	want := []any{map[string]any{"ip": "2001:db8::1", "port": int64(51413)}}
	if diff := cmp.Diff(want, got.Peers); diff != "" {
		t.Error(diff)
	}
}

func TestHTTP(t *testing.T) {
	tr := newTracker(t, Config{}, 1)
	for _, c := range []struct {
		method, path string
		want         int
	}{{"POST", "/announce", 405}, {"GET", "/", 404}, {"GET", "/announce/../stats", 404}, {"HEAD", "/scrape", 200}} {
		r := httptest.NewRequest(c.method, c.path, nil)
		w := httptest.NewRecorder()
		tr.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.want)
		}
	}
	for _, d := range []time.Duration{-1, time.Second, 48 * time.Hour} {
		if _, err := New(Config{Interval: d}); err == nil {
			t.Errorf("interval %v is accepted", d)
		}
	}
}
