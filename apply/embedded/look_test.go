package embedded

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"seedtree/apply"
)

// onlooker lists what is seen beside an engine.
func onlooker(t *testing.T, dir string) []apply.Torrent {
	t.Helper()
	list, err := Look(dir).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestOnlookerSeesWhatARunningEngineHolds(t *testing.T) {
	dir := t.TempDir()
	if list := onlooker(t, filepath.Join(dir, "none")); len(list) != 0 {
		t.Fatalf("no state directory holds %v", list)
	}
	e := start(t, Config{StateDir: dir})
	files := sample(t, 4)
	root := seeded(t, e, files[:3]...)
	mustAdd(t, e, empty(files[3], treeRoot(t, "seed")))
	before, err := os.ReadFile(filepath.Join(dir, sessionName))
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	for _, one := range onlooker(t, dir) {
		if one.Done() {
			done++
		} else if one.InfoHash != files[3].Entry.InfoHash || one.Left != files[3].Entry.Length {
			t.Errorf("sees %+v", one)
		}
	}
	if done != 3 {
		t.Errorf("sees %d complete torrents of 3", done)
	}
	if err := os.Remove(filepath.Join(root, filepath.FromSlash(string(files[0].Entry.Path)))); err != nil {
		t.Fatal(err)
	}
	for _, one := range onlooker(t, dir) {
		if one.InfoHash == files[0].Entry.InfoHash && one.State != apply.Stopped {
			t.Errorf("a file that is gone is seen as %+v", one)
		}
	}
	after, err := os.ReadFile(filepath.Join(dir, sessionName))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("looking changed the session log: %v", err)
	}
	if err := Look(dir).Remove(t.Context(), nil); !errors.Is(err, ErrLooksOnly) {
		t.Errorf("an onlooker removes: %v", err)
	}
}

func TestOnlookerStopsAtATornTail(t *testing.T) {
	files := sample(t, 5)
	dir, _ := closedSession(t, files)
	name := filepath.Join(dir, sessionName)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	torn := whole[:len(whole)-3]
	if err := os.WriteFile(name, torn, 0o600); err != nil {
		t.Fatal(err)
	}
	if list := onlooker(t, dir); len(list) != 4 {
		t.Errorf("sees %d of 4 whole records", len(list))
	}
	if now, err := os.ReadFile(name); err != nil || !bytes.Equal(now, torn) {
		t.Errorf("the tail is not the onlooker's to cut: %v", err)
	}
}

// A drive that is not mounted is one line in the log, however many its files.
func TestManyVanishedFilesAreOneWarning(t *testing.T) {
	var log bytes.Buffer
	e := start(t, Config{StateDir: t.TempDir(), Log: slog.New(slog.NewTextHandler(&log, nil))})
	files := sample(t, 20)
	root := seeded(t, e, files...)
	if err := os.Rename(root, root+".away"); err != nil {
		t.Fatal(err)
	}
	until(t, "all files to be missed", func() bool {
		list, err := e.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range list {
			if one.State != apply.Stopped {
				return false
			}
		}
		return true
	})
	// One line a look; a slow machine needs several looks, never one a file.
	lines, told := 0, 0
	for _, m := range regexp.MustCompile(`behind our back.* files=(\d+)`).FindAllStringSubmatch(log.String(), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		lines, told = lines+1, told+n
	}
	if told != len(files) || lines > len(files)/4 {
		t.Errorf("%d warnings about %d of %d files: %s", lines, told, len(files), log.String())
	}
}
