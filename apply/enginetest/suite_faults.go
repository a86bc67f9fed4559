package enginetest

import (
	"crypto/sha1"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"seedtree/apply"
	"seedtree/manifests"
)

// testReadOnlyCorrupt: the user edited a file in place, keeping its length and
// time; the engine was told that all pieces are there. Whatever it believes,
// the user's bytes must survive it, peers with the listed bytes present.
func testReadOnlyCorrupt(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	f := NewFile(t, "photos", "edited.raw", Random(1, 3<<18))
	edited := append([]byte(nil), f.Data...)
	copy(edited[1<<18:], Random(2, 1<<18))
	f.WriteData(t, root, edited)
	a := inPlace(f, root)
	a.Peers = s.Seed(t, f)
	err := s.Engine.Add(t.Context(), []apply.Addition{a})
	if _, only := apply.EngineErrors(err); !only {
		t.Fatalf("add: %v", err) // an engine that looks by itself may refuse it
	}
	s.passTime(t)
	requireSame(t, f, root, edited)
	s.Engine = s.Reopen(t)
	s.passTime(t)
	requireSame(t, f, root, edited)
	if got := names(t, root); len(got) != 1 {
		t.Fatalf("the tree holds %q", got)
	}
}

// testReadOnlyMissing: a read-only torrent that lacks pieces is not fetched,
// and a file that is not there is not made.
func testReadOnlyMissing(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	part := NewFile(t, "photos", "part.raw", Random(1, 3<<18))
	gone := NewFile(t, "photos", "gone.raw", Random(2, 3<<18))
	old := append([]byte(nil), part.Data...)
	clear(old[:1<<18])
	part.WriteData(t, root, old)
	peers := s.Seed(t, part, gone)
	for _, a := range []apply.Addition{
		{Entry: part.Entry, Metainfo: part.Metainfo, Root: root, Have: part.Without(0), ReadOnly: true, Peers: peers},
		{Entry: gone.Entry, Metainfo: gone.Metainfo, Root: root, ReadOnly: true, Peers: peers},
	} {
		err := s.Engine.Add(t.Context(), []apply.Addition{a})
		if _, only := apply.EngineErrors(err); !only {
			t.Fatalf("add: %v", err) // refusing it as an *EngineError is as good
		}
	}
	s.passTime(t)
	for h, one := range s.torrents(t) {
		if (h == part.Entry.InfoHash || h == gone.Entry.InfoHash) && one.Done() {
			t.Fatalf("claims to be complete: %+v", one)
		}
	}
	requireSame(t, part, root, old)
	if got := names(t, root); len(got) != 1 {
		t.Fatalf("the tree holds %q", got)
	}
}

func testErrorsPerTorrent(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	files := make([]File, 5)
	additions := make([]apply.Addition, 5)
	for i := range files {
		files[i] = NewFile(t, "photos", fmt.Sprintf("%d.jpg", i), Random(uint64(i), 70000))
		files[i].Write(t, root)
		additions[i] = inPlace(files[i], root)
	}
	additions[1].Metainfo = []byte("not bencode at all")
	additions[3].Metainfo = files[0].Metainfo // another file's
	err := s.Engine.Add(t.Context(), additions)
	failed, only := apply.EngineErrors(err)
	if !only || len(failed) != 2 {
		t.Fatalf("want an *EngineError for exactly the two bad additions, got %v", err)
	}
	for _, i := range []int{1, 3} {
		if failed[files[i].Entry.InfoHash] == nil {
			t.Errorf("no error names %s", files[i].Entry.Path)
		}
	}
	s.untilDone(t, root, files[0], files[2], files[4])
	if n := len(s.torrents(t)); n != 3 {
		t.Fatalf("%d torrents are held", n)
	}
}

// hostileInfo is bencoded by hand, as an attacker would, around given strings.
func hostileInfo(name string, path []string, length int64, pieces []byte) (torrent []byte, h manifests.InfoHash) {
	var b strings.Builder
	str := func(s string) { fmt.Fprintf(&b, "%d:%s", len(s), s) }
	b.WriteString("d5:filesld6:lengthi")
	fmt.Fprintf(&b, "%de4:pathl", length)
	for _, c := range path {
		str(c)
	}
	b.WriteString("eee4:name")
	str(name)
	b.WriteString("12:piece lengthi262144e6:pieces")
	str(string(pieces))
	b.WriteString("7:privatei1ee")
	info := b.String()
	return []byte("d4:info" + info + "e"), sha1.Sum([]byte(info))
}

func testHostileMetainfo(t *testing.T, s *suite) {
	top := t.TempDir()
	root := filepath.Join(top, "sites", "photos")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	good := NewFile(t, "photos", "good.jpg", Random(1, 70000))
	good.Write(t, root)
	sum := sha1.Sum(good.Data)
	additions := []apply.Addition{inPlace(good, root)}
	for _, bad := range []struct {
		name string
		path []string
	}{
		{"photos", []string{"..", "..", "escaped"}},
		{"photos", []string{"/escaped"}},
		{"photos", []string{"a/../../escaped"}},
		{"photos", []string{"a\x00b"}},
		{"photos", []string{""}},
		{"photos", nil},
		{"..", []string{"escaped"}},
		{".", []string{"escaped"}},
		{"../../escaped", []string{"x"}},
		{"", []string{"escaped"}},
		{"other", []string{"good.jpg"}},
	} {
		torrent, h := hostileInfo(bad.name, bad.path, int64(len(good.Data)), sum[:])
		e := good.Entry
		e.InfoHash = h
		additions = append(additions, apply.Addition{Entry: e, Metainfo: torrent, Root: root})
	}
	failed, only := apply.EngineErrors(s.Engine.Add(t.Context(), additions))
	if !only {
		t.Fatal("errors are not per torrent")
	}
	for _, a := range additions[1:] {
		if failed[a.Entry.InfoHash] == nil {
			t.Errorf("taken without an error: %q", a.Metainfo)
		}
	}
	s.untilDone(t, root, good)
	if got := names(t, top); len(got) != 1 {
		t.Fatalf("files appeared: %q", got)
	}
	if n := len(s.torrents(t)); n != 1 {
		t.Fatalf("%d torrents are held", n)
	}
}

// testHostileNames: names that some client mangles. Either the engine serves
// the file under exactly its name or it refuses it, naming it; it never works
// on another name.
func testHostileNames(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	var files []File
	var additions []apply.Addition
	for i, name := range []string{
		"plain", " edge spaces ", "trailing dot.", "CON", `:*?"<>|\`, "new\nline", "tab\there", "-dash",
		".hidden/.x", "a.torrent", "x.part", "#%&;$(id)", strings.Repeat("n", 255), strings.Repeat("d", 251) + "/f",
		"nfc \u00e9", "nfd e\u0301", "invalid \xff\xfe", "日本語/ファイル", "~", "a/b/c/d/e/f/g/h",
	} {
		f := NewFile(t, "photos", name, Random(uint64(i), 1000+i))
		f.Write(t, root)
		files = append(files, f)
		additions = append(additions, inPlace(f, root))
	}
	before := names(t, root)
	failed, only := apply.EngineErrors(s.Engine.Add(t.Context(), additions))
	if !only || failed[files[0].Entry.InfoHash] != nil {
		t.Fatalf("plain names fail, or errors are not per torrent: %v", failed)
	}
	var taken []File
	for _, f := range files {
		if err := failed[f.Entry.InfoHash]; err != nil {
			t.Logf("refused %q: %v", f.Entry.Path, err)
			continue
		}
		taken = append(taken, f)
	}
	s.untilDone(t, root, taken...)
	for _, f := range taken {
		s.requireFetch(t, f)
	}
	if after := names(t, root); strings.Join(after, "\x00") != strings.Join(before, "\x00") {
		t.Fatalf("files appeared or went:\nbefore %q\nafter  %q", before, after)
	}
	if n := len(s.torrents(t)); n != len(taken) {
		t.Fatalf("%d torrents held, %d taken", n, len(taken))
	}
}
