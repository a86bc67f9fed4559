package transmission

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/internal/testkit"
)

// The client sees the tree under another name, as in a container.
func TestPathMapWithDaemon(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		f, root := inTree(t, "2019/a.jpg", 300000)
		inside := filepath.Join(t.TempDir(), "data")
		if err := os.Symlink(filepath.Dir(root), inside); err != nil {
			t.Fatal(err)
		}
		e := open(t, Config{URL: d.URL, Paths: map[string]string{filepath.Dir(root): inside}})
		if err := e.Add(t.Context(), additions(root, f)); err != nil {
			t.Fatal(err)
		}
		requireDone(t, e, root, f)
		var got struct {
			Torrents []struct{ DownloadDir string }
		}
		d.Call(t, "torrent-get", map[string]any{"fields": []string{"downloadDir"}}, &got)
		if got.Torrents[0].DownloadDir != inside {
			t.Errorf("the client was given %q", got.Torrents[0].DownloadDir)
		}
	})
}

// With a wrong path map nothing is added, made or downloaded anywhere.
func TestWrongPathMap(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		f, root := inTree(t, "a.jpg", 1000)
		elsewhere := filepath.Join(t.TempDir(), "elsewhere")
		stage := staging(t, root, f)
		for _, c := range []struct {
			paths map[string]string
			a     []apply.Addition
			words string
		}{
			{map[string]string{filepath.Dir(root): elsewhere}, additions(root, f), "engine.transmission.paths"},
			{map[string]string{filepath.Dir(root): elsewhere}, wanted(stage, f), "engine.transmission.paths"},
			// Another tree's root: it exists, but our staging is not in it.
			{map[string]string{root: d.DownloadDir}, wanted(stage, f), "engine.transmission.paths"},
			{map[string]string{"/nowhere": "/data"}, additions(root, f), "no entry for " + root},
			{map[string]string{root: "/data/pictures"}, additions(root, f), `folder to "photos"`},
		} {
			e := open(t, Config{URL: d.URL, Paths: c.paths})
			err := e.Add(t.Context(), c.a)
			wantError(t, err, apply.ErrEngineConfig, c.words)
			if failed, only := apply.EngineErrors(err); !only || failed[f.Entry.InfoHash] == nil {
				t.Errorf("not an error of the torrent: %v", err)
			}
			if n := len(list(t, e)); n != 0 {
				t.Fatalf("%d torrents were added with %v", n, c.paths)
			}
		}
		if _, err := os.Stat(elsewhere); !os.IsNotExist(err) {
			t.Errorf("%s appeared", elsewhere)
		}
		requireBytes(t, root, f, f.Data)
	})
}

func TestSettings(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := testkit.StartTransmission(t, testkit.TransmissionOptions{Command: v.Command, Settings: map[string]any{
			"seed-queue-enabled": true, "incomplete-dir-enabled": true, "script-torrent-done-enabled": true,
		}})
		var said bytes.Buffer
		e := open(t, Config{URL: d.URL, Log: slog.New(slog.NewTextHandler(&said, nil))})
		problems, err := e.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(problems, "\n")
		off := []string{"download-queue-enabled", "seed-queue-enabled", "rename-partial-files", "incomplete-dir-enabled", "start-added-torrents"}
		for _, name := range append(off, "script-torrent-done-enabled") {
			if !strings.Contains(text, name) || !strings.Contains(said.String(), name) {
				t.Errorf("no word about %s in:\n%s", name, text)
			}
		}
		settings := map[string]any{}
		d.Call(t, "session-get", nil, &settings)
		if settings["seed-queue-enabled"] != true {
			t.Error("a setting was changed without being asked")
		}
		managed := open(t, Config{URL: d.URL, ManageSettings: true})
		if problems, err = managed.Check(t.Context()); err != nil || len(problems) != 1 {
			t.Errorf("after managing the settings: %q, %v", problems, err)
		}
		d.Call(t, "session-get", nil, &settings)
		for _, name := range off {
			if settings[name] != false {
				t.Errorf("%s is %v", name, settings[name])
			}
		}
	})
}

func TestTrackers(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		e := open(t, Config{URL: d.URL})
		f, root := inTree(t, "a.jpg", 1000)
		for _, tiers := range [][][]string{
			{{"http://127.0.0.1:1/announce"}},
			{{"http://127.0.0.1:1/announce"}, {"http://127.0.0.1:2/announce"}},
			{{"http://127.0.0.1:3/announce"}, {"http://127.0.0.1:2/announce"}},
			{{"http://127.0.0.1:4/announce", "http://127.0.0.1:5/announce"}},
			nil,
		} {
			a := additions(root, f)
			a[0].Trackers = tiers
			if err := e.Add(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			urls, want := trackersOf(t, d, f.Entry.InfoHash), slices.Concat(tiers...)
			slices.Sort(want)
			if !slices.Equal(urls, want) {
				t.Errorf("trackers are %q, want %q", urls, want)
			}
		}
		var asked atomic.Int64
		refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/announce" { // 4.1 scrapes even where it does not announce
				asked.Add(1)
			}
			fmt.Fprint(w, "d14:failure reason9:not todaye")
		}))
		defer refusing.Close()
		// A torrent that had none.
		f, root = inTree(t, "b.jpg", 2000)
		a := additions(root, f)
		if err := e.Add(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		requireDone(t, e, root, f)
		a[0].Trackers = [][]string{{refusing.URL + "/announce"}}
		if err := e.Add(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the new tracker is asked", func() bool { return asked.Load() > 0 })
		if strings.HasPrefix(v.Name, "3.") { // 4.1 keeps it to itself
			eventually(t, "the tracker's refusal is reported", func() bool {
				problems, err := e.Check(t.Context())
				return err == nil && strings.Contains(strings.Join(problems, ";"), `1 torrents: the tracker says "not today"`)
			})
		}
		// It says nothing of the data.
		requireDone(t, e, root, f)
	})
}

// Ours do not stand in the client's queue behind torrents that have no peers.
func TestQueueIsPassed(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		d.Call(t, "session-set", map[string]any{"download-queue-enabled": true, "download-queue-size": 1}, nil)
		e := open(t, Config{URL: d.URL})
		root := tree(t)
		var all []apply.Addition
		for i := range 3 {
			f := enginetest.NewFile(t, "photos", fmt.Sprintf("%d.jpg", i), enginetest.Random(uint64(i), 1000))
			all = append(all, wanted(staging(t, root, f), f)...)
		}
		if err := e.Add(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		eventually(t, "three of three downloading", func() bool {
			var got struct{ Torrents []userTorrent }
			d.Call(t, "torrent-get", map[string]any{"fields": []string{"status"}}, &got)
			return !slices.ContainsFunc(got.Torrents, func(u userTorrent) bool { return u.Status != 4 })
		})
	})
}

// Cancelling in the middle of a long add leaves no error of a torrent and
// nothing that the next add does not finish.
func TestCancelledAdd(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		e := open(t, Config{URL: d.URL})
		root := tree(t)
		var files []enginetest.File
		for i := range 40 {
			f := enginetest.NewFile(t, "photos", fmt.Sprintf("%d.jpg", i), enginetest.Random(uint64(i), 1000))
			f.Write(t, root)
			files = append(files, f)
		}
		for _, after := range []time.Duration{5, 20, 60, 150} {
			ctx, cancel := context.WithTimeout(t.Context(), after*time.Millisecond)
			err := e.Add(ctx, additions(root, files...))
			cancel()
			if failed, _ := apply.EngineErrors(err); len(failed) > 0 {
				t.Fatalf("after %d ms: %v", after, err)
			}
		}
		if err := e.Add(t.Context(), additions(root, files...)); err != nil {
			t.Fatal(err)
		}
		requireDone(t, e, root, files...)
	})
}
