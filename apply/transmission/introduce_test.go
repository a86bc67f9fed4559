package transmission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// trackersOf asks the daemon where a torrent is announced.
func trackersOf(t *testing.T, d *testkit.Transmission, h manifests.InfoHash) []string {
	t.Helper()
	var got struct {
		Torrents []struct{ Trackers []struct{ Announce string } }
	}
	eventually(t, "the daemon lists "+h.String(), func() bool { // one that has just started lists nothing
		d.Call(t, "torrent-get", map[string]any{"ids": []string{h.String()}, "fields": []string{"trackers"}}, &got)
		return len(got.Torrents) == 1
	})
	var urls []string
	for _, tracker := range got.Torrents[0].Trackers {
		urls = append(urls, tracker.Announce)
	}
	slices.Sort(urls)
	return urls
}

// counting passes calls on to a daemon and counts them by method.
type counting struct {
	http.Handler
	mu    sync.Mutex
	calls map[string]int
}

func newCounting(t *testing.T, d *testkit.Transmission) *counting {
	target, err := url.Parse(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &counting{
		Handler: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: target.Host}), calls: map[string]int{},
	}
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	var req struct{ Method string }
	if err == nil && json.Unmarshal(raw, &req) == nil && r.Header.Get(sessionHeader) != "" {
		c.mu.Lock()
		c.calls[req.Method]++
		c.mu.Unlock()
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	c.Handler.ServeHTTP(w, r)
}

// since returns the calls since it was last asked.
func (c *counting) since() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.calls
	c.calls = map[string]int{}
	return calls
}

// Changed trackers reach all torrents of ours in few calls, none of the
// user's, and cost one call a pass when nothing changed.
func TestIntroduce(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		count := newCounting(t, d)
		front := httptest.NewServer(count)
		defer front.Close()
		e := open(t, Config{URL: front.URL + "/transmission/rpc"})
		root := tree(t)
		last := [][]string{{"http://127.0.0.1:1/announce"}}
		var all []apply.Addition
		for i := range 8 {
			f := enginetest.NewFile(t, "photos", fmt.Sprintf("%d.jpg", i), enginetest.Random(uint64(i), 1000))
			f.Write(t, root)
			a := additions(root, f)[0]
			a.Trackers = last
			all = append(all, a)
		}
		if err := e.Add(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		mine, dir := inTree(t, "mine.jpg", 3000)
		mine.Metainfo = manifestsWith(t, mine, last)
		there := userAdds(t, d, mine, dir)

		var asked atomic.Int64
		tracker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/announce" { // 4.1 scrapes even where it does not announce
				asked.Add(1)
			}
			fmt.Fprint(w, "d8:intervali1800e5:peers0:e")
		}))
		defer tracker.Close()
		next := [][]string{{tracker.URL + "/announce"}}
		count.since()
		if err := e.Introduce(t.Context(), next, nil); err != nil {
			t.Fatal(err)
		}
		if calls := count.since(); calls["torrent-set"] != 1 || calls["torrent-get"] != 1 {
			t.Errorf("eight torrents with one tracker took %v", calls)
		}
		for _, a := range all {
			if got := trackersOf(t, d, a.Entry.InfoHash); !slices.Equal(got, next[0]) {
				t.Errorf("%s is announced to %q", a.Entry.Path, got)
			}
		}
		if got := trackersOf(t, d, mine.Entry.InfoHash); !slices.Equal(got, last[0]) || !there() {
			t.Errorf("the user's torrent was touched: %q", got)
		}
		eventually(t, "the new tracker is asked", func() bool { return asked.Load() >= int64(len(all)) })
		if err := e.Introduce(t.Context(), next, nil); err != nil {
			t.Fatal(err)
		}
		if calls := count.since(); len(calls) != 1 || calls["session-get"] != 1 {
			t.Errorf("with nothing changed it takes %v", calls)
		}
		forgets(t, d, e, all[0], next)
	})
}

// forgets: a daemon that was restarted, and one of whose torrents has other
// trackers by then, is told again.
func forgets(t *testing.T, d *testkit.Transmission, e *Engine, a apply.Addition, want [][]string) {
	t.Helper()
	a.Trackers = [][]string{{"http://127.0.0.1:1/announce"}}
	if err := open(t, Config{URL: d.URL}).Add(t.Context(), []apply.Addition{a}); err != nil {
		t.Fatal(err)
	}
	if got := trackersOf(t, d, a.Entry.InfoHash); !slices.Equal(got, a.Trackers[0]) {
		t.Fatalf("test premise: other trackers, not %q", got)
	}
	d.Stop()
	d.Start(t)
	if err := e.Introduce(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if got := trackersOf(t, d, a.Entry.InfoHash); !slices.Equal(got, want[0]) {
		t.Errorf("after a restart it is announced to %q", got)
	}
}

// A URL that the client refuses does not keep passes from being made.
func TestIntroduceRefused(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		e := open(t, Config{URL: d.URL})
		f, root := inTree(t, "a.jpg", 1000)
		if err := e.Add(t.Context(), additions(root, f)); err != nil {
			t.Fatal(err)
		}
		for _, tracker := range []string{"no URL at all", "wss://tracker.example/"} {
			if err := e.Introduce(t.Context(), [][]string{{tracker}}, nil); err != nil {
				t.Errorf("%q: %v", tracker, err)
			}
		}
		requireDone(t, e, root, f)
	})
}

// manifestsWith is a file's .torrent as another tool makes it, with trackers.
func manifestsWith(t *testing.T, f enginetest.File, trackers [][]string) []byte {
	t.Helper()
	m, err := manifests.DecodeMetainfo(f.Metainfo)
	if err != nil {
		t.Fatal(err)
	}
	return m.EncodeWith(trackers)
}
