package tracker

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// write puts a file into a client's folder and describes it as a catalog does.
func write(t *testing.T, dir, name string) manifests.Metainfo {
	t.Helper()
	data := bytes.Repeat([]byte(name), 3000)
	if err := os.MkdirAll(filepath.Join(dir, "photos"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "photos", name), data, 0o644); err != nil {
		t.Fatal(err)
	}
	size, sum := int64(len(data)), sha1.Sum(data)
	return manifests.Metainfo{
		Tree: "photos", Path: manifests.Path(name), Length: size, PieceLength: manifests.PieceLength(size),
		Pieces: sum[:], ModTime: time.Unix(1e9, 0),
	}
}

// trackerWords is what a client says it heard from the tracker of a torrent.
func trackerWords(t *testing.T, d *testkit.Transmission, h manifests.InfoHash) (heard string, ok bool) {
	t.Helper()
	var answer struct {
		Torrents []struct {
			TrackerStats []struct {
				LastAnnounceSucceeded bool
				LastAnnounceResult    string
			}
		}
	}
	d.Call(t, "torrent-get", map[string]any{"ids": []string{h.String()}, "fields": []string{"trackerStats"}}, &answer)
	if len(answer.Torrents) != 1 || len(answer.Torrents[0].TrackerStats) != 1 {
		return "", false
	}
	s := answer.Torrents[0].TrackerStats[0]
	return s.LastAnnounceResult, s.LastAnnounceSucceeded
}

// A real client finds its way in, is told of others, is sent away with what is
// not listed, and says goodbye.
func TestTransmissionAnnounces(t *testing.T) {
	for _, v := range testkit.TransmissionVersions(t) {
		t.Run(v.Name, func(t *testing.T) { testTransmission(t, v) })
	}
}

func testTransmission(t *testing.T, v testkit.TransmissionVersion) {
	tr, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	addr, stop := serve(t, tr)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	d, dir := testkit.StartTransmission(t, testkit.TransmissionOptions{Command: v.Command}), t.TempDir()
	one, two := write(t, dir, "listed.jpg"), write(t, dir, "other.jpg")
	listed, other := one.InfoHash(), two.InfoHash()
	tr.SetAllowed(func(h manifests.InfoHash) bool { return h == listed })
	for _, m := range []manifests.Metainfo{one, two} {
		torrent := m.EncodeWith([][]string{{"http://" + addr + "/announce"}})
		d.Call(t, "torrent-add", map[string]any{"metainfo": torrent, "download-dir": dir, "paused": false}, nil)
	}
	until := func(what string, done func() bool) {
		t.Helper()
		testkit.Eventually(t, 30*time.Second, what, func() error {
			if !done() {
				return fmt.Errorf("the tracker counts %+v", tr.Stats())
			}
			return nil
		})
	}
	until("the seed announces", func() bool { return tr.Stats().Seeders == 1 })
	got := peersOf(t, get(t, tr, "192.0.2.7:1", target(listed, 1, "")))
	if len(got) != 1 || got[0] != d.PeerAddr {
		t.Fatalf("peers %v, want %s", got, d.PeerAddr)
	}
	handshake(t, got[0], listed)
	until("the client understands the answer", func() bool { _, ok := trackerWords(t, d, listed); return ok })
	until("the client is told that the other is not listed", func() bool {
		heard, _ := trackerWords(t, d, other)
		return strings.Contains(heard, "not listed")
	})
	until("the client scrapes", func() bool { return tr.Stats().Scrapes > 0 })
	d.Call(t, "torrent-stop", map[string]any{"ids": []string{listed.String()}}, nil)
	until("the seed says goodbye", func() bool { return tr.Stats().Seeders == 0 })
}

// handshake greets a peer as BEP 3 says and wants to be greeted back.
func handshake(t *testing.T, addr string, h manifests.InfoHash) {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	hello := append([]byte("\x13BitTorrent protocol\x00\x00\x00\x00\x00\x00\x00\x00"), h[:]...)
	if _, err := c.Write(append(hello, "-ST0001-handshakehand"[:20]...)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 68)
	if _, err := io.ReadFull(c, answer); err != nil || !bytes.Equal(answer[28:48], h[:]) {
		t.Fatalf("the peer at %s answers %q, %v", addr, answer, err)
	}
}
