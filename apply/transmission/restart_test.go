package transmission

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// Ids are dealt anew at every start: what is removed must be what was meant.
func TestRemoveAfterRestart(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		e := open(t, Config{URL: d.URL})
		root := tree(t)
		var files []enginetest.File
		for i := range 6 {
			f := enginetest.NewFile(t, "photos", fmt.Sprintf("%d.jpg", i), enginetest.Random(uint64(i), 1000))
			f.Write(t, root)
			files = append(files, f)
		}
		if err := e.Add(t.Context(), additions(root, files...)); err != nil {
			t.Fatal(err)
		}
		requireDone(t, e, root, files...)
		for i, f := range files[:3] {
			d.Stop()
			d.Start(t)
			if err := e.Remove(t.Context(), []manifests.InfoHash{f.Entry.InfoHash}); err != nil {
				t.Fatal(err)
			}
			held := list(t, e)
			if _, still := held[f.Entry.InfoHash]; still || len(held) != len(files)-1-i {
				t.Fatalf("after removing %d, %d are held", i+1, len(held))
			}
		}
		requireDone(t, e, root, files[3:]...)
	})
}

// A daemon that has just started lists nothing for a while, 3.00 for up to 2 s
// with many torrents. Here it is the front that says so, so that it is certain.
func TestListWaitsForLoading(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		f, root := inTree(t, "a.jpg", 1000)
		if err := open(t, Config{URL: d.URL}).Add(t.Context(), additions(root, f)); err != nil {
			t.Fatal(err)
		}
		d.Stop()
		front := httptest.NewServer(loadsSlowly(t, d, 3*time.Second))
		defer front.Close()
		e, err := Open(t.Context(), Config{URL: front.URL})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		d.Start(t)
		if n := len(list(t, e)); n != 1 {
			t.Errorf("right after the start %d torrents are listed, 1 is held", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		d.Stop()
		d.Start(t)
		_, err = e.List(ctx)
		wantError(t, err, apply.ErrEngineUnreachable)
	})
}

// loadsSlowly passes calls on to a daemon, but hides its torrents while it is
// younger than the given age.
func loadsSlowly(t *testing.T, d *testkit.Transmission, age time.Duration) http.Handler {
	target, err := url.Parse(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	var stats struct {
		Current struct{ SecondsActive int64 } `json:"current-stats"`
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: target.Host})
	proxy.ModifyResponse = func(r *http.Response) error {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		if err := d.Do(r.Request.Context(), "session-stats", nil, &stats); err == nil && stats.Current.SecondsActive < int64(age.Seconds()) {
			raw = regexp.MustCompile(`"torrents":\[.*\]`).ReplaceAll(raw, []byte(`"torrents":[]`))
			raw = regexp.MustCompile(`"torrentCount":\d+`).ReplaceAll(raw, []byte(`"torrentCount":0`))
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
		r.Header.Set("Content-Length", strconv.Itoa(len(raw)))
		return nil
	}
	return proxy
}

// The daemon loses its torrents: an empty list is believed once it is sure,
// and everything can be added again without a transfer.
func TestEmptySession(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		e := open(t, Config{URL: d.URL})
		f, root := inTree(t, "a.jpg", 300000)
		if err := e.Add(t.Context(), additions(root, f)); err != nil {
			t.Fatal(err)
		}
		requireDone(t, e, root, f)
		d.Kill()
		for _, dir := range []string{"torrents", "resume"} {
			if err := os.RemoveAll(filepath.Join(d.ConfigDir, dir)); err != nil {
				t.Fatal(err)
			}
		}
		d.Start(t)
		if n := len(list(t, e)); n != 0 {
			t.Fatalf("%d torrents in an empty session", n)
		}
		if err := e.Move(t.Context(), f.Entry.InfoHash, root); err == nil {
			t.Error("moved a torrent that is not held")
		}
		if err := e.Add(t.Context(), additions(root, f)); err != nil {
			t.Fatal(err)
		}
		requireDone(t, e, root, f)
		requireBytes(t, root, f, f.Data)
	})
}

// Killed right after an add, 3.00 forgets label, directory and that the torrent
// was paused. It still is ours, is not lost, and nothing in the tree changes.
func TestKilledAfterAdd(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		e := open(t, Config{URL: d.URL})
		mine, myRoot := inTree(t, "mine.jpg", 1000)
		userAdds(t, d, mine, myRoot)
		placed, root := inTree(t, "placed.jpg", 300000)
		gone, goneRoot := inTree(t, "gone.jpg", 300000)
		fetched := enginetest.NewFile(t, "photos", "fetched.jpg", enginetest.Random(7, 300000))
		stage := staging(t, root, fetched)
		all := slices.Concat(additions(root, placed), additions(goneRoot, gone), wanted(stage, fetched))
		if err := e.Add(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		d.Kill()
		d.Start(t)
		seed(t, d, rechoker, fetched, placed, gone)
		held := list(t, e)
		if len(held) != 3 {
			t.Fatalf("of 3 torrents of ours, %d are known as ours", len(held))
		}
		if err := e.Remove(t.Context(), []manifests.InfoHash{gone.Entry.InfoHash}); err != nil {
			t.Fatal(err)
		}
		if err := e.Add(t.Context(), slices.Concat(additions(root, placed), wanted(stage, fetched))); err != nil {
			t.Fatal(err)
		}
		requireDone(t, e, root, placed)
		requireDone(t, e, stage, fetched)
		if n := len(list(t, e)); n != 2 {
			t.Errorf("%d torrents are held, want 2", n)
		}
		for _, f := range []enginetest.File{placed, gone} {
			at := map[bool]string{true: root, false: goneRoot}[f.Entry.Path == placed.Entry.Path]
			if got, err := os.ReadFile(f.Name(at)); err != nil || !bytes.Equal(got, f.Data) {
				t.Errorf("%s was changed (%v)", f.Entry.Path, err)
			}
		}
		var user struct{ Torrents []userTorrent }
		d.Call(t, "torrent-get", map[string]any{"ids": []string{mine.Entry.InfoHash.String()}, "fields": []string{"labels"}}, &user)
		if len(user.Torrents) != 1 || len(user.Torrents[0].Labels) != 0 {
			t.Errorf("the user's torrent is %+v", user.Torrents)
		}
	})
}

// 3.00 would send a tree that it forgot into its download-dir. Where that is
// the tree itself, it is refused.
func TestTreeInDownloadDir(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		root := filepath.Join(d.DownloadDir, "photos")
		f := enginetest.NewFile(t, "photos", "a.jpg", enginetest.Random(1, 300000))
		f.Write(t, root)
		e := open(t, Config{URL: d.URL})
		err := e.Add(t.Context(), additions(root, f))
		if strings.HasPrefix(v.Name, "3.") {
			wantError(t, err, apply.ErrEngineConfig, "download-dir")
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		d.Kill()
		edited := enginetest.Random(2, len(f.Data))
		f.WriteData(t, root, edited)
		d.Start(t)
		seeder := seed(t, d, rechoker, f)
		fed(t, d, e)
		if n := seeder.Uploaded(); n != 0 {
			t.Errorf("%d bytes were fetched", n)
		}
		requireBytes(t, root, f, edited)
	})
}

func TestKilledWhileDownloading(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		e := open(t, Config{URL: d.URL})
		root := tree(t)
		f := enginetest.NewFile(t, "photos", "film.raw", enginetest.Random(3, 24<<18))
		stage := staging(t, root, f)
		seeder := seed(t, d, rechoker, f)
		d.Call(t, "session-set", map[string]any{"speed-limit-down": 1000, "speed-limit-down-enabled": true}, nil)
		if err := e.Add(t.Context(), wanted(stage, f)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a part is there", func() bool {
			one := list(t, e)[f.Entry.InfoHash]
			return one.Left > 0 && one.Left < f.Entry.Length*3/4
		})
		d.Kill()
		before := seeder.Uploaded()
		d.Start(t)
		d.Call(t, "session-set", map[string]any{"speed-limit-down-enabled": false}, nil)
		a := wanted(stage, f)
		a[0].Have = f.Without(23) // our own code looks at what is there; here: nearly all
		if err := e.Add(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		requireDone(t, e, stage, f)
		requireBytes(t, stage, f, f.Data)
		t.Logf("%d bytes before the kill, %d after, of %d", before, seeder.Uploaded()-before, f.Entry.Length)
	})
}
