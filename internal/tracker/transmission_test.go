package tracker

import (
	"bytes"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"seedtree/manifests"
)

// daemon is a real transmission-daemon with one file to seed.
type daemon struct {
	t       *testing.T
	url     string
	port    uint16 // for peers
	dir     string // download-dir
	session string
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

func startDaemon(t *testing.T) *daemon {
	t.Helper()
	binary := os.Getenv("SEEDTREE_TEST_TRANSMISSION")
	if binary == "" {
		var err error
		if binary, err = exec.LookPath("transmission-daemon"); err != nil {
			t.Fatal("transmission-daemon is missing: apt-get install -y -o DPkg::Lock::Timeout=300 transmission-daemon")
		}
	}
	d := &daemon{t: t, port: freePort(t), dir: t.TempDir()}
	rpc := freePort(t)
	d.url = fmt.Sprintf("http://127.0.0.1:%d/transmission/rpc", rpc)
	home := t.TempDir()
	settings, err := json.Marshal(map[string]any{
		"rpc-bind-address": "127.0.0.1", "rpc-port": rpc, "rpc-whitelist-enabled": false, "rpc-authentication-required": false,
		"bind-address-ipv4": "127.0.0.1", "bind-address-ipv6": "::1", "peer-port": d.port, "download-dir": d.dir,
		"dht-enabled": false, "lpd-enabled": false, "pex-enabled": false, "utp-enabled": false, "port-forwarding-enabled": false,
		"blocklist-enabled": false, "encryption": 0, "start-added-torrents": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "settings.json"), settings, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(binary, "-f", "-g", home)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("transmission-daemon said:\n%s", log.String())
		}
	})
	waitFor(t, "the daemon to answer", func() bool {
		resp, err := http.Post(d.url, "application/json", strings.NewReader("{}"))
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		d.session = resp.Header.Get("X-Transmission-Session-Id")
		return d.session != ""
	})
	return d
}

// waitFor polls a condition for up to 30 seconds.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (d *daemon) call(method string, arguments map[string]any, out any) {
	d.t.Helper()
	body, err := json.Marshal(map[string]any{"method": method, "arguments": arguments})
	if err != nil {
		d.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("X-Transmission-Session-Id", d.session)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := struct {
		Result    string
		Arguments json.RawMessage
	}{}
	data, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(data, &answer)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(answer.Arguments, out)
	}
	if err != nil || answer.Result != "success" {
		d.t.Fatalf("%s: %v: %s", method, err, data)
	}
}

// torrentStats are the tracker's words as the daemon understood them.
type torrentStats struct {
	Torrents []struct {
		PercentDone  float64
		TrackerStats []struct {
			LastAnnounceSucceeded bool
			LastAnnounceResult    string
			SeederCount           int
		}
	}
}

func (d *daemon) stats(h manifests.InfoHash) (s torrentStats) {
	d.call("torrent-get", map[string]any{"ids": []string{h.String()}, "fields": []string{"percentDone", "trackerStats"}}, &s)
	return s
}

// write puts a file into the daemon's folder and describes it as a catalog does.
func (d *daemon) write(name string) manifests.Metainfo {
	d.t.Helper()
	data := bytes.Repeat([]byte(name), 3000)
	if err := os.MkdirAll(filepath.Join(d.dir, "photos"), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.dir, "photos", name), data, 0o644); err != nil {
		d.t.Fatal(err)
	}
	size := int64(len(data))
	sum := sha1.Sum(data)
	return manifests.Metainfo{
		Tree: "photos", Path: manifests.Path(name), Length: size, PieceLength: manifests.PieceLength(size),
		Pieces: sum[:], ModTime: time.Unix(1e9, 0),
	}
}

func (d *daemon) add(m manifests.Metainfo, announce string) {
	d.t.Helper()
	d.call("torrent-add", map[string]any{"metainfo": m.EncodeWith([][]string{{announce}}), "download-dir": d.dir}, nil)
}

// A real client finds its way in, is told of others, is sent away with what is
// not listed, and says goodbye.
func TestTransmissionAnnounces(t *testing.T) {
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
	d := startDaemon(t)
	announce := "http://" + addr + "/announce"
	one, two := d.write("listed.jpg"), d.write("other.jpg")
	listed, other := one.InfoHash(), two.InfoHash()
	tr.SetAllowed(func(h manifests.InfoHash) bool { return h == listed })
	d.add(one, announce)
	d.add(two, announce)

	waitFor(t, "the seed to announce", func() bool { return tr.Stats().Seeders == 1 })
	got := peersOf(t, get(t, tr, "192.0.2.7:1", target(listed, 1, "")))
	if want := fmt.Sprintf("127.0.0.1:%d", d.port); len(got) != 1 || got[0] != want {
		t.Fatalf("peers %v, want %s", got, want)
	}
	handshake(t, got[0], listed)
	waitFor(t, "the daemon to understand the answer", func() bool {
		s := d.stats(listed).Torrents
		return len(s) == 1 && len(s[0].TrackerStats) == 1 && s[0].TrackerStats[0].LastAnnounceSucceeded
	})
	waitFor(t, "the daemon to be told that the other is not listed", func() bool {
		s := d.stats(other).Torrents
		return len(s) == 1 && len(s[0].TrackerStats) == 1 && strings.Contains(s[0].TrackerStats[0].LastAnnounceResult, "not listed")
	})
	waitFor(t, "a scrape", func() bool { return tr.Stats().Scrapes > 0 })
	d.call("torrent-stop", map[string]any{"ids": []string{listed.String()}}, nil)
	waitFor(t, "the seed to say goodbye", func() bool { return tr.Stats().Seeders == 0 })
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
