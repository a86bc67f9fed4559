package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"seedtree/internal/testkit"
)

// reader is a program that is not ours and reads torrents. None of them can
// reach anybody: these tests' network is a loopback of their own.
type reader struct {
	name   string
	noData bool // reads the .torrent only
	// read returns what it says of each torrent, with the data below parent.
	read func(t *testing.T, parent string, torrents []torrent) []verdict
}

func readers(t *testing.T) []reader {
	if out, code := output(t, testkit.Need(t, "ip", "iproute2"), "link", "set", "lo", "up"); code != 0 {
		t.Fatal(out)
	}
	all := []reader{
		{"transmission-show", true, transmissionShow},
		{"aria2", false, aria2},
		{"libtorrent", false, libtorrent},
	}
	for _, v := range testkit.TransmissionVersions(t) {
		all = append(all, reader{"transmission-daemon " + v.Name, false, transmissionDaemon(v)})
	}
	return all
}

// output runs a program and returns what it printed, with its exit code.
func output(t *testing.T, argv ...string) (string, int) {
	t.Helper()
	c := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	c.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+t.TempDir())
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", argv[0], err)
	}
	return string(out), c.ProcessState.ExitCode()
}

// pick returns what a pattern's group matches in what a program printed.
func pick(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in:\n%s", pattern, text)
	}
	return m[1]
}

// transmissionShow rounds lengths to three digits, and reads no data: the
// daemons say the rest.
func transmissionShow(t *testing.T, _ string, torrents []torrent) []verdict {
	t.Helper()
	show := testkit.Need(t, "transmission-show", "transmission-cli")
	var all []verdict
	for _, m := range torrents {
		out, code := output(t, show, m.file)
		if code != 0 {
			t.Fatalf("%s: exit %d\n%s", m.file, code, out)
		}
		if got, want := pick(t, out, `Piece Count: (\d+)`), strconv.Itoa(m.NumPieces()); got != want {
			t.Errorf("%s: %s pieces, want %s", m.file, got, want)
		}
		all = append(all, verdict{
			pick(t, out, `(?m)^  Hash: (\w+)$`), pick(t, out, `(?m)^  Name: (.*)$`),
			pick(t, out, `(?s)\nFILES\n\n  (.*) \([^()]*\)\n`), m.Length, m.Length,
		})
	}
	return all
}

// aria2 says whether all is right, not how much.
func aria2(t *testing.T, parent string, torrents []torrent) []verdict {
	t.Helper()
	program := testkit.Need(t, "aria2c", "aria2")
	var all []verdict
	for _, m := range torrents {
		out, code := output(t, program, "--no-conf", "-S", m.file)
		if code != 0 {
			t.Fatalf("%s: exit %d\n%s", m.file, code, out)
		}
		length, err := strconv.ParseInt(strings.ReplaceAll(pick(t, out, `(?m)^Total Length: .*\(([\d,]+)\)$`), ",", ""), 10, 64)
		must(t, err)
		v := verdict{
			pick(t, out, `(?m)^Info Hash: (\w+)$`), pick(t, out, `(?m)^Name: (.*)$`),
			pick(t, out, `(?m)^  1\|\./(.*)$`), length, length,
		}
		out, code = output(t, program, "--no-conf", "--check-integrity=true", "--hash-check-only=true", "--dir="+parent,
			"--seed-time=0", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false",
			"--enable-peer-exchange=false", "--bt-exclude-tracker=*", m.file)
		// Its record of one torrent would stand in the way of the next.
		_ = os.Remove(filepath.Join(parent, m.Tree+".aria2"))
		switch {
		case code == 0 && strings.Contains(out, "Verification finished successfully"):
		case code != 0 && strings.Contains(out, "Checksum error detected"):
			v.have -= m.PieceLength // "at least one piece is wrong", which is all it says
		default:
			t.Fatalf("%s: exit %d\n%s", m.file, code, out)
		}
		all = append(all, v)
	}
	return all
}

func libtorrent(t *testing.T, parent string, torrents []torrent) []verdict {
	t.Helper()
	// Debian's module is for Debian's Python; another may come first in PATH.
	argv := []string{testkit.Need(t, "/usr/bin/python3", "python3-libtorrent"), "testdata/libtorrent_check.py", parent}
	for _, m := range torrents {
		argv = append(argv, m.file)
	}
	out, code := output(t, argv...)
	if strings.Contains(out, "No module named") {
		t.Fatal("this test needs libtorrent: apt-get install python3-libtorrent (or run `make test`, which installs it)")
	}
	if code != 0 {
		t.Fatalf("libtorrent: exit %d\n%s", code, out)
	}
	said := map[string]verdict{}
	for line := range strings.Lines(out) {
		var answer struct {
			Torrent, Hash, Name string
			Files               []struct {
				Path   string
				Length int64
			}
			Have int64
		}
		must(t, json.Unmarshal([]byte(line), &answer))
		if len(answer.Files) != 1 {
			t.Fatalf("libtorrent finds %d files in %s", len(answer.Files), answer.Torrent)
		}
		f := answer.Files[0]
		said[answer.Torrent] = verdict{answer.Hash, answer.Name, f.Path, f.Length, answer.Have}
	}
	var all []verdict
	for _, m := range torrents {
		all = append(all, said[m.file])
	}
	return all
}

// transmissionDaemon adds the torrents paused, over data that is there, and
// has each verified.
func transmissionDaemon(v testkit.TransmissionVersion) func(*testing.T, string, []torrent) []verdict {
	return func(t *testing.T, parent string, torrents []torrent) []verdict {
		d := testkit.StartTransmission(t, testkit.TransmissionOptions{Command: v.Command})
		for _, m := range torrents {
			data, err := os.ReadFile(m.file)
			must(t, err)
			d.Call(t, "torrent-add", map[string]any{
				"metainfo": base64.StdEncoding.EncodeToString(data), "download-dir": parent, "paused": true,
			}, nil)
			d.Call(t, "torrent-verify", map[string]any{"ids": []string{m.InfoHash().String()}}, nil)
		}
		var all []verdict
		for _, m := range torrents {
			testkit.Eventually(t, time.Minute, string(m.Path)+" is verified", func() error {
				v, err := daemonSays(t, d, m)
				if err == nil {
					all = append(all, v)
				}
				return err
			})
		}
		return all
	}
}

// daemonSays returns an error while the torrent waits to be verified.
func daemonSays(t *testing.T, d *testkit.Transmission, m torrent) (verdict, error) {
	var got struct {
		Torrents []struct {
			HashString, Name string
			Status           int
			HaveValid        int64
			ErrorString      string
			Files            []struct {
				Name   string
				Length int64
			}
		}
	}
	d.Call(t, "torrent-get", map[string]any{
		"ids":    []string{m.InfoHash().String()},
		"fields": []string{"hashString", "name", "status", "haveValid", "errorString", "files"},
	}, &got)
	if len(got.Torrents) != 1 || len(got.Torrents[0].Files) != 1 || got.Torrents[0].ErrorString != "" {
		t.Fatalf("%s: %+v", m.Path, got)
	}
	one := got.Torrents[0]
	f := one.Files[0]
	const stopped = 0
	if one.Status != stopped || one.HaveValid == 0 { // an added torrent has nothing until somebody looks
		return verdict{}, fmt.Errorf("%+v", one)
	}
	return verdict{one.HashString, one.Name, f.Name, f.Length, one.HaveValid}, nil
}
