package transmission

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/internal/testkit"
	"seedtree/manifests"
)

func TestUsersOwnTorrents(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		e := open(t, Config{URL: d.URL, ManageSettings: true})
		mine, myRoot := inTree(t, "mine.jpg", 300000)
		there := userAdds(t, d, mine, myRoot)
		f, root := inTree(t, "ours.jpg", 200000)
		both := append(additions(root, f), wanted(staging(t, root, mine), mine)...)
		err := e.Add(t.Context(), both)
		wantError(t, err, ErrForeign, `label "seedtree"`)
		if failed, only := apply.EngineErrors(err); !only || len(failed) != 1 || failed[mine.Entry.InfoHash] == nil {
			t.Fatalf("got %v", err)
		}
		requireDone(t, e, root, f)
		err = e.Move(t.Context(), mine.Entry.InfoHash, root)
		wantError(t, err, ErrForeign)
		if err := e.Remove(t.Context(), []manifests.InfoHash{mine.Entry.InfoHash, f.Entry.InfoHash}); err != nil {
			t.Fatal(err)
		}
		if !there() {
			t.Fatal("the user's torrent was touched")
		}
		// The user hands it over.
		d.Call(t, "torrent-set", map[string]any{"ids": []string{mine.Entry.InfoHash.String()}, "labels": []string{"family", "seedtree"}}, nil)
		if err := e.Add(t.Context(), additions(myRoot, mine)); err != nil {
			t.Fatal(err)
		}
		requireDone(t, e, myRoot, mine)
		var got struct{ Torrents []userTorrent }
		d.Call(t, "torrent-get", map[string]any{"fields": []string{"labels"}, "ids": []string{mine.Entry.InfoHash.String()}}, &got)
		if !slices.Contains(got.Torrents[0].Labels, "family") {
			t.Errorf("the user's own label is gone: %q", got.Torrents[0].Labels)
		}
	})
}

// fed has the daemon fetch another file, so that it would have fetched more
// had it wanted to.
func fed(t *testing.T, d *testkit.Transmission, e *Engine) {
	t.Helper()
	root := tree(t)
	f := enginetest.NewFile(t, "photos", "clock", enginetest.Random(99, 300000))
	stage := staging(t, root, f)
	seed(t, d, rechoker, f)
	if err := e.Add(t.Context(), wanted(stage, f)); err != nil {
		t.Fatal(err)
	}
	requireDone(t, e, stage, f)
}

// 4.x renames a file that it finds incomplete, also one in a tree: not with us.
func TestRefusesToRenameFiles(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := testkit.StartTransmission(t, testkit.TransmissionOptions{Command: v.Command}) // settings as they come
		e := open(t, Config{URL: d.URL})
		f, root := inTree(t, "a.jpg", 1000)
		err := e.Add(t.Context(), additions(root, f))
		if strings.HasPrefix(v.Name, "3.") {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		wantError(t, err, apply.ErrEngineConfig, "rename-partial-files", "manageSettings")
		wantError(t, e.Move(t.Context(), f.Entry.InfoHash, root), apply.ErrEngineConfig, "rename-partial-files")
		if n := len(list(t, e)); n != 0 {
			t.Errorf("%d torrents are held", n)
		}
		d.Call(t, "session-set", map[string]any{"rename-partial-files": false}, nil)
		if err := e.Add(t.Context(), additions(root, f)); err != nil {
			t.Fatal(err)
		}
		requireDone(t, e, root, f)
	})
}

// The user starts by hand what is stopped because it does not verify.
func TestUserStartsBrokenTorrent(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		e := open(t, Config{URL: d.URL})
		f, root := inTree(t, "2019/a.raw", 3<<18)
		edited := bytes.Clone(f.Data)
		clear(edited[1<<18 : 2<<18])
		f.WriteData(t, root, edited)
		seeder := seed(t, d, rechoker, f)
		wantError(t, e.Add(t.Context(), additions(root, f)), ErrDiffers, "262144 bytes")
		if one := list(t, e)[f.Entry.InfoHash]; one.State != apply.Stopped || one.Left != 1<<18 {
			t.Errorf("left as %+v", one)
		}
		ids := map[string]any{"ids": []string{f.Entry.InfoHash.String()}}
		d.Call(t, "torrent-start-now", ids, nil)
		fed(t, d, e)
		d.Call(t, "torrent-verify", ids, nil)
		d.Stop()
		d.Start(t)
		d.Call(t, "torrent-start-now", ids, nil)
		fed(t, d, e)
		if one := list(t, e)[f.Entry.InfoHash]; one.Done() {
			t.Errorf("claims to be complete: %+v", one)
		}
		if n := seeder.Uploaded(); n != 0 {
			t.Errorf("%d bytes were fetched", n)
		}
		requireBytes(t, root, f, edited)
		// The file is put right: the next add finds it.
		f.Write(t, root)
		if err := e.Add(t.Context(), additions(root, f)); err != nil {
			t.Fatal(err)
		}
		requireDone(t, e, root, f)
	})
}

func TestUserMeddles(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		e := open(t, Config{URL: d.URL})
		f, root := inTree(t, "a.jpg", 300000)
		ids := []string{f.Entry.InfoHash.String()}
		again := func(what string) {
			t.Helper()
			if err := e.Add(t.Context(), additions(root, f)); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			requireDone(t, e, root, f)
		}
		again("first")
		d.Call(t, "torrent-stop", map[string]any{"ids": ids}, nil)
		eventually(t, "it is stopped", func() bool { return list(t, e)[f.Entry.InfoHash].State == apply.Stopped })
		again("paused")
		d.Call(t, "torrent-set", map[string]any{"ids": ids, "labels": []string{}}, nil)
		again("label taken away")
		d.Call(t, "torrent-remove", map[string]any{"ids": ids}, nil)
		eventually(t, "it is gone", func() bool { return len(list(t, e)) == 0 })
		again("removed")
		other := t.TempDir()
		d.Call(t, "torrent-set-location", map[string]any{"ids": ids, "location": other, "move": false}, nil)
		eventually(t, "it is elsewhere", func() bool { return list(t, e)[f.Entry.InfoHash].Root == filepath.Join(other, "photos") })
		again("pointed elsewhere")
		// The data goes and comes back; the client notices when it looks.
		aside := f.Name(root) + ".aside"
		if err := os.Rename(f.Name(root), aside); err != nil {
			t.Fatal(err)
		}
		d.Call(t, "torrent-stop", map[string]any{"ids": ids}, nil)
		d.Call(t, "torrent-verify", map[string]any{"ids": ids}, nil)
		eventually(t, "it is found incomplete", func() bool {
			one := list(t, e)[f.Entry.InfoHash]
			return one.State == apply.Stopped && (one.Left > 0 || one.Err != "")
		})
		d.Call(t, "torrent-start", map[string]any{"ids": ids}, nil)
		if err := os.Rename(aside, f.Name(root)); err != nil {
			t.Fatal(err)
		}
		again("deleted and restored")
		requireBytes(t, root, f, f.Data)
	})
}
