package embedded

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"testing"

	"seedtree/apply/enginetest"
	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// clientAdd hands a file to a Transmission, as an importing user would.
func clientAdd(t *testing.T, d *testkit.Transmission, f enginetest.File, dir string, trackers [][]string) {
	t.Helper()
	m, err := manifests.DecodeMetainfo(f.Metainfo)
	if err != nil {
		t.Fatal(err)
	}
	d.Call(t, "torrent-add", map[string]any{
		"metainfo": base64.StdEncoding.EncodeToString(m.EncodeWith(trackers)), "download-dir": dir, "paused": false,
	}, nil)
}

// clientDone asks a Transmission how many torrents it holds and how many of
// them are complete and seeding.
func clientDone(t *testing.T, d *testkit.Transmission) (held, done int) {
	t.Helper()
	var got struct {
		Torrents []struct {
			LeftUntilDone int64   `json:"leftUntilDone"`
			Status        int     `json:"status"`
			Metadata      float64 `json:"metadataPercentComplete"`
		}
	}
	d.Call(t, "torrent-get", map[string]any{"fields": []string{"leftUntilDone", "status", "metadataPercentComplete"}}, &got)
	for _, one := range got.Torrents {
		if one.LeftUntilDone == 0 && one.Status == 6 && one.Metadata == 1 {
			done++
		}
	}
	return len(got.Torrents), done
}

// interopFiles has one of more than 16 MiB: Transmission 3.00 stops there for
// good when too many requests are outstanding.
func interopFiles(t *testing.T, seed uint64) []enginetest.File {
	files := []enginetest.File{enginetest.NewFile(t, "photos", fmt.Sprintf("big%d.raw", seed), enginetest.Random(seed, 20<<20+12345))}
	for i := range 12 {
		name := fmt.Sprintf("d%d/%d-%02d.jpg", i%3, seed, i)
		files = append(files, enginetest.NewFile(t, "photos", name, enginetest.Random(seed+uint64(i)+1, 20000+i)))
	}
	return files
}

// TestTransmission exchanges files with real clients, both ways at once. They
// ignore peers at 127.x that a tracker names, so it is the engine that must
// find its leechers and dial them.
func TestTransmission(t *testing.T) {
	t.Parallel()
	for _, v := range testkit.TransmissionVersions(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			tr := newFakeTracker(t)
			tr.interval = 1
			tiers := [][]string{{tr.url()}}
			d := testkit.StartTransmission(t, testkit.TransmissionOptions{
				Command: v.Command, Settings: map[string]any{"download-queue-enabled": false},
			})
			e := start(t, Config{})
			theirs, ours := interopFiles(t, 100), interopFiles(t, 200)
			theirRoot, ourRoot := treeRoot(t, "photos"), treeRoot(t, "photos")
			for _, f := range theirs {
				f.Write(t, theirRoot)
				clientAdd(t, d, f, filepath.Dir(theirRoot), nil)
				mustAdd(t, e, empty(f, ourRoot, d.PeerAddr))
			}
			for _, f := range ours {
				f.Write(t, ourRoot)
				a := complete(f, ourRoot)
				a.Trackers = tiers
				mustAdd(t, e, a)
				clientAdd(t, d, f, filepath.Dir(theirRoot), tiers)
			}
			for _, f := range theirs {
				untilDone(t, e, f)
				requireFile(t, f, ourRoot)
			}
			until(t, "the client has everything", func() bool {
				_, done := clientDone(t, d)
				return done == len(theirs)+len(ours)
			})
			for _, f := range ours {
				requireFile(t, f, theirRoot)
			}
		})
	}
}
