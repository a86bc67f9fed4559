package transmission

import (
	"context"
	"encoding/base64"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/internal/testkit"
	"seedtree/manifests"
)

func TestMain(m *testing.M) {
	// These tests wait for daemons much more than they compute.
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// onEach runs a test on every Transmission version, at the same time.
func onEach(t *testing.T, test func(t *testing.T, v testkit.TransmissionVersion)) {
	t.Parallel()
	for _, v := range testkit.TransmissionVersions(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			test(t, v)
		})
	}
}

// daemon starts one with the settings as they come, but for the one without
// which 4.x is refused.
func daemon(t *testing.T, v testkit.TransmissionVersion) *testkit.Transmission {
	t.Helper()
	return testkit.StartTransmission(t, testkit.TransmissionOptions{
		Command: v.Command, Settings: map[string]any{"rename-partial-files": strings.HasPrefix(v.Name, "3.")},
	})
}

// open opens an engine that believes a daemon of any age: the testkit has
// waited for it.
func open(t *testing.T, cfg Config) *Engine {
	t.Helper()
	e, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	e.loading = 0
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func peerFile(f enginetest.File) testkit.PeerFile {
	return testkit.PeerFile{
		InfoHash: f.Entry.InfoHash, PieceLength: manifests.PieceLength(f.Entry.Length), Data: f.Data, Length: f.Entry.Length,
	}
}

func seed(t *testing.T, d *testkit.Transmission, kick func(*testing.T, *testkit.Transmission) func(), files ...enginetest.File) *testkit.Seeder {
	t.Helper()
	var all []testkit.PeerFile
	for _, f := range files {
		all = append(all, peerFile(f))
	}
	return testkit.Seed(t, d.PeerAddr, kick(t, d), all...)
}

// userAdds puts a torrent into the client as a user would, complete in dir.
func userAdds(t *testing.T, d *testkit.Transmission, f enginetest.File, dir string) (there func() bool) {
	t.Helper()
	h := f.Entry.InfoHash.String()
	d.Call(t, "torrent-add", map[string]any{
		"metainfo": base64.StdEncoding.EncodeToString(f.Metainfo), "download-dir": filepath.Dir(dir), "paused": true,
	}, nil)
	look := func() userTorrent {
		var list struct{ Torrents []userTorrent }
		d.Call(t, "torrent-get", map[string]any{
			"ids": []string{h}, "fields": []string{"status", "downloadDir", "leftUntilDone", "labels", "fileStats"},
		}, &list)
		if len(list.Torrents) != 1 {
			return userTorrent{}
		}
		return list.Torrents[0]
	}
	d.Call(t, "torrent-verify", map[string]any{"ids": []string{h}}, nil)
	eventually(t, "the user's torrent is verified", func() bool {
		one := look()
		return one.DownloadDir != "" && one.Left == 0 && one.Status == 0
	})
	before := look()
	return func() bool {
		now := look()
		return now.DownloadDir == before.DownloadDir && now.Status == before.Status && len(now.FileStats) == 1 && now.Left == 0 &&
			len(now.Labels) == 0 && now.FileStats[0].Wanted
	}
}

type userTorrent struct {
	Status      int
	DownloadDir string
	Left        int64 `json:"leftUntilDone"`
	Labels      []string
	FileStats   []struct{ Wanted bool }
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestContract(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		enginetest.Run(t, func(t *testing.T) enginetest.Fixture { return fixture(t, v) })
	})
}

func fixture(t *testing.T, v testkit.TransmissionVersion) enginetest.Fixture {
	t.Parallel()
	d := daemon(t, v)
	cfg := Config{URL: d.URL, ManageSettings: true}
	kick := rechoker(t, d)
	return enginetest.Fixture{
		Engine: open(t, cfg),
		Reopen: func(t *testing.T) apply.Engine {
			d.Stop()
			d.Start(t)
			return open(t, cfg)
		},
		Seed: func(t *testing.T, files ...enginetest.File) []string {
			seed(t, d, rechoker, files...)
			return nil
		},
		Fetch: func(t *testing.T, f enginetest.File) ([]byte, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			return testkit.Fetch(ctx, d.PeerAddr, peerFile(f), kick)
		},
		Foreign:  func(t *testing.T, f enginetest.File, dir string) func() bool { return userAdds(t, d, f, dir) },
		Trackers: func(t *testing.T, h manifests.InfoHash) [][]string { return [][]string{trackersOf(t, d, h)} },
		Many:     150, // 3.00 verifies ten a second
		Patience: 2 * time.Minute,
	}
}

// rechoker makes the daemon look at once who may download, which it otherwise
// does every 10 s: it does so when any torrent starts.
func rechoker(t *testing.T, d *testkit.Transmission) func() {
	f := enginetest.NewFile(t, "dummy", "x", []byte{1})
	dir := filepath.Join(t.TempDir(), "dummy")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d.Call(t, "torrent-add", map[string]any{
		"metainfo": base64.StdEncoding.EncodeToString(f.Metainfo), "download-dir": filepath.Dir(dir), "paused": true,
	}, nil)
	ids := map[string]any{"ids": []string{f.Entry.InfoHash.String()}}
	return func() {
		_ = d.Do(t.Context(), "torrent-stop", ids, nil)
		_ = d.Do(t.Context(), "torrent-start-now", ids, nil)
	}
}
