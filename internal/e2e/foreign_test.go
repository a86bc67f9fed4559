package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// hard is a tree with what other programs stumble over: names, and lengths at
// the seams of pieces. Not among them are "?* and spaces at an end: Transmission
// 3.00 reads such names as others, which apply/transmission mends and tests.
func hard(t *testing.T) string {
	t.Helper()
	const piece = 256 << 10 // what files of these lengths are cut into
	tree := filepath.Join(t.TempDir(), "photos")
	for i, f := range []struct {
		name string
		size int
	}{
		{"one byte", 1},
		{"exactly one piece", piece},
		{"a piece and a byte", piece + 1},
		{"four pieces", 4 * piece},
		{broken, 5<<20 + 12345},
		{"Größe/日本語 ☃/café and cafe\u0301", 70_000},
		{"it's 100% odd [1] #;&$(x)/-rf ~.torrent", 1000},
		{strings.Repeat("deep/", 40) + "file", 20_000},
		{"two  spaces/and three   more", 30_000},
		{strings.Repeat("long", 60), 40_000},
	} {
		noise(t, filepath.Join(tree, f.name), uint64(i+1), f.size)
	}
	must(t, os.Chmod(filepath.Join(tree, broken), 0o755))
	return tree
}

// broken is the file that gets a wrong byte. It is executable, and long enough
// that "one piece is wrong" and "nothing was checked" are two findings.
const broken = "run me/several MiB.sh"

// torrent is one file of ours for foreign eyes.
type torrent struct {
	file string // the .torrent
	manifests.Metainfo
}

// verdict is what somebody says of a torrent, in the terms of all of them.
type verdict struct {
	hash, name, path string
	length, have     int64 // have: bytes of the source that fit the torrent
}

func (m torrent) want(have int64) verdict {
	return verdict{m.InfoHash().String(), m.Tree, path.Join(m.Tree, string(m.Path)), m.Length, have}
}

// catalogTorrents builds the tree with seedtree and takes the .torrents out of
// the catalog with git.
func catalogTorrents(t *testing.T, tree string) []torrent {
	t.Helper()
	dir := t.TempDir()
	run := func(script string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script, "bash", tree)
		c.Dir, c.Env = dir, append(os.Environ(), "PATH="+binaries(t)+":"+os.Getenv("PATH"), "HOME="+dir)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
	}
	run(`git init -q --bare --initial-branch=main c.git
seedtree init --config a.yaml --site a --catalog c.git --tree "photos=$1" --state state
seedtree build --config a.yaml
git clone -q c.git out`)
	return readTorrents(t, filepath.Join(dir, "out", "torrents", "photos"))
}

// readTorrents reads every .torrent below a folder.
func readTorrents(t *testing.T, dir string) []torrent {
	t.Helper()
	var all []torrent
	must(t, filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		// A catalog's torrent begins here; torrent_tree's has its tracker before.
		if from := bytes.Index(data, []byte("10:created by")); from > 0 {
			data = append([]byte("d"), data[from:]...)
		}
		m, err := manifests.DecodeMetainfo(data)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, torrent{file, m})
		return nil
	}))
	return all
}

// Every reader must find in each .torrent what we meant, and find the source
// complete. One wrong byte must be found by all of them, and nothing else.
func TestForeignProgramsReadOurTorrents(t *testing.T) {
	tree := hard(t)
	parent := filepath.Dir(tree)
	ours := catalogTorrents(t, tree)
	if len(ours) != 10 {
		t.Fatalf("%d torrents of 10 files", len(ours))
	}
	damaged := filepath.Dir(clone(t, tree))
	must(t, os.Rename(filepath.Join(damaged, "copy"), filepath.Join(damaged, "photos")))
	flip(t, filepath.Join(damaged, "photos", broken), 700_000)
	for _, r := range readers(t) {
		t.Run(r.name, func(t *testing.T) {
			for i, got := range r.read(t, parent, ours) {
				if want := ours[i].want(ours[i].Length); got != want {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
			}
			if r.noData {
				return
			}
			for i, got := range r.read(t, damaged, ours) {
				want := ours[i].want(ours[i].Length)
				if string(ours[i].Path) == broken {
					want.have -= ours[i].PieceLength
				}
				if got != want {
					t.Errorf("one byte is wrong: got  %+v\nwant %+v", got, want)
				}
			}
		})
	}
}

func flip(t *testing.T, file string, at int64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	must(t, err)
	var one [1]byte
	_, err = f.ReadAt(one[:], at)
	must(t, err)
	one[0] ^= 0x10
	_, err = f.WriteAt(one[:], at)
	must(t, err, f.Close())
}

// torrent_tree's torrents carry trackers, which must not make them other
// torrents: same info hashes, and the programs read them alike.
func TestForeignProgramsReadTorrentTree(t *testing.T) {
	tree := hard(t)
	hashes := map[manifests.Path]manifests.InfoHash{}
	for _, m := range catalogTorrents(t, tree) {
		hashes[m.Path] = m.InfoHash()
	}
	out := filepath.Join(t.TempDir(), "out")
	if says, err := exec.CommandContext(t.Context(), filepath.Join(binaries(t), "torrent_tree"),
		tree, out, "http://tracker.example/announce").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, says)
	}
	ours := readTorrents(t, out)
	if len(ours) != len(hashes) {
		t.Fatalf("%d torrents of %d files", len(ours), len(hashes))
	}
	for _, m := range ours {
		if m.InfoHash() != hashes[m.Path] {
			t.Errorf("%s: other info hashes from seedtree and torrent_tree", m.Path)
		}
	}
	for _, r := range readers(t) {
		for i, got := range r.read(t, filepath.Dir(tree), ours) {
			if want := ours[i].want(ours[i].Length); got != want {
				t.Errorf("%s: got  %+v\nwant %+v", r.name, got, want)
			}
		}
	}
}

// What others make of the same file, cut alike, has the same pieces.
func TestForeignTorrentsHaveOurPieces(t *testing.T) {
	tree := hard(t)
	makers := map[string]func(out, file string, pieceLength int64) *exec.Cmd{
		"mktorrent": func(out, file string, pieceLength int64) *exec.Cmd {
			power := 0
			for ; 1<<power < pieceLength; power++ {
			}
			return exec.CommandContext(t.Context(), testkit.Need(t, "mktorrent", "mktorrent"),
				"-l", strconv.Itoa(power), "-a", "http://tracker.example/announce", "-o", out, file)
		},
		"transmission-create": func(out, file string, pieceLength int64) *exec.Cmd {
			return exec.CommandContext(t.Context(), testkit.Need(t, "transmission-create", "transmission-cli"),
				"-s", strconv.FormatInt(pieceLength>>10, 10), "-o", out, file)
		},
	}
	for _, m := range catalogTorrents(t, tree) {
		for name, command := range makers {
			out := filepath.Join(t.TempDir(), "their.torrent")
			if says, err := command(out, filepath.Join(tree, string(m.Path)), m.PieceLength).CombinedOutput(); err != nil {
				t.Fatalf("%s %s: %v\n%s", name, m.Path, err, says)
			}
			data, err := os.ReadFile(out)
			must(t, err)
			cut := fmt.Appendf(nil, "12:piece lengthi%de6:pieces%d:", m.PieceLength, len(m.Pieces))
			_, theirs, found := bytes.Cut(data, cut)
			if !found || !bytes.HasPrefix(theirs, m.Pieces) {
				t.Errorf("%s and seedtree cut %s differently (%d pieces of ours)", name, m.Path, m.NumPieces())
			}
		}
	}
}
