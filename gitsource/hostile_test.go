package gitsource

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
)

// forge writes any bytes as an object into a repository, as an attacker with push
// rights and a lenient server could.
func forge(t *testing.T, repo, kind string, data []byte) hash {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "hash-object", "-t", kind, "-w", "--literally", "--stdin")
	cmd.Dir, cmd.Stdin = repo, bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return plumbing.NewHash(strings.TrimSpace(string(out)))
}

// forgeHead makes a commit of a forged tree the branch's head.
func forgeHead(t *testing.T, repo string, tree hash, parents ...hash) hash {
	t.Helper()
	id := forge(t, repo, "commit", encodeCommit(tree, parents, Author{}, timeZero, "Forged"))
	git(t, repo, "update-ref", "refs/heads/main", id.String())
	return id
}

// forgeCatalog makes a head whose torrents/photos has the given entries.
func forgeCatalog(t *testing.T, repo string, entries ...treeEntry) {
	t.Helper()
	photos := forge(t, repo, "tree", encodeTree(entries))
	torrents := forge(t, repo, "tree", encodeTree([]treeEntry{{modeDir, "photos", photos}}))
	forgeHead(t, repo, forge(t, repo, "tree", encodeTree([]treeEntry{{modeDir, "torrents", torrents}})))
}

func TestHostileEntriesAreAllNamed(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	empty := forge(t, repo, "blob", nil)
	text := forge(t, repo, "blob", []byte("text"))
	huge := forge(t, repo, "blob", make([]byte, maxBlob+1))
	elsewhere := torrent(t, "elsewhere", 3)
	moved := forge(t, repo, "blob", elsewhere.Data)
	longLink := forge(t, repo, "blob", bytes.Repeat([]byte("x"), 5000))
	inner := forge(t, repo, "tree", encodeTree([]treeEntry{{modeRegular, "..%2f.empty", empty}}))
	bad := []treeEntry{
		{modeModule, "a.torrent", text},
		{modeModule, "b", text},
		{0o100664, "c.empty", empty},
		{0o100600, "d.empty", empty},
		{modeExec, "e.dir", empty},
		{modeRegular, "f.symlink", text},
		{modeLink, "g.torrent", text},
		{modeRegular, "h.empty", text},
		{modeRegular, "i.torrent", text},
		{modeRegular, "j.torrent", moved},
		{modeRegular, "k.torrent", huge},
		{modeLink, "l.symlink", longLink},
		{modeLink, "m.symlink", empty},
		{modeRegular, "n%zz.empty", empty},
		{modeRegular, "o%61.empty", empty}, // another spelling of "oa"
		{modeRegular, "plain.txt", text},
		{modeDir, "q", inner},
		{modeRegular, "r.torrent", empty},
		{modeRegular, strings.Repeat("s", 300) + ".empty", empty},
		{0o140000, "t.empty", empty},
	}
	good := treeEntry{modeRegular, "z.empty", empty}
	photos := forge(t, repo, "tree", encodeTree(append(bad, good)))
	torrents := forge(t, repo, "tree", encodeTree([]treeEntry{{modeDir, "photos", photos}, {modeRegular, "top.torrent", moved}}))
	forgeHead(t, repo, forge(t, repo, "tree", encodeTree([]treeEntry{{modeDir, "torrents", torrents}})))

	r := fetched(t, opened(t, repo))
	l, err := r.Listing(t.Context())
	var entries *BadEntriesError
	if l != nil || !errors.As(err, &entries) || !errors.Is(err, ErrBadEntries) || errors.Is(err, ErrDamaged) {
		t.Fatalf("listing %v, %v", l, err)
	}
	var named []string
	for _, e := range entries.Entries {
		named = append(named, e.Name)
		if !strings.Contains(err.Error(), fmt.Sprintf("%q", e.Name)) {
			t.Errorf("the message does not name %s", e.Name)
		}
	}
	want := []string{}
	for _, e := range bad {
		name := "torrents/photos/" + e.name
		if e.name == "q" {
			name += "/..%2f.empty"
		}
		want = append(want, name)
	}
	want = append(want, "torrents/top.torrent")
	if strings.Join(named, "\n") != strings.Join(want, "\n") {
		t.Errorf("named %q,\nwant  %q", named, want)
	}
	// Once it is repaired everything is read again.
	forgeCatalog(t, repo, good)
	s := r.src
	must(t, s.Accept(t.Context(), git(t, repo, "rev-parse", "main")))
	wantPaths(t, fetched(t, s), "photos/z")
}

func TestHostileTrees(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	empty := forge(t, repo, "blob", nil)
	for name, make := range map[string]func(){
		"torrents is a file": func() {
			forgeHead(t, repo, forge(t, repo, "tree", encodeTree([]treeEntry{{modeRegular, "torrents", empty}})))
		},
		"one name twice": func() {
			forgeCatalog(t, repo, treeEntry{modeRegular, "a.empty", empty}, treeEntry{modeRegular, "a.empty", empty})
		},
		"one path, two kinds": func() {
			forgeCatalog(t, repo, treeEntry{modeRegular, "a.dir", empty}, treeEntry{modeRegular, "a.empty", empty})
		},
		"a file where a directory is needed": func() {
			sub := forge(t, repo, "tree", encodeTree([]treeEntry{{modeRegular, "b.empty", empty}}))
			forgeCatalog(t, repo, treeEntry{modeDir, "a", sub}, treeEntry{modeRegular, "a.empty", empty})
		},
		"unsorted": func() {
			forgeCatalog(t, repo, treeEntry{modeRegular, "b.bad", empty}, treeEntry{modeRegular, "a.empty", empty})
		},
		"too deep": func() {
			id := forge(t, repo, "tree", encodeTree([]treeEntry{{modeRegular, "f.empty", empty}}))
			for range 40 {
				id = forge(t, repo, "tree", encodeTree([]treeEntry{{modeDir, strings.Repeat("d", 200), id}}))
			}
			forgeCatalog(t, repo, treeEntry{modeDir, "x", id})
		},
	} {
		make()
		s := opened(t, repo)
		if l, err := fetched(t, s).Listing(t.Context()); l != nil || err == nil {
			t.Errorf("%s: %v", name, l)
		}
	}
}

func TestTreeBomb(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	for what, lowest := range map[string]treeEntry{
		"files":   {modeRegular, ".empty", forge(t, repo, "blob", nil)},
		"nothing": {modeDir, "", forge(t, repo, "tree", nil)},
	} {
		e := lowest
		for range 9 { // ten to the ninth names, nine objects
			var entries []treeEntry
			for i := range 10 {
				entries = append(entries, treeEntry{e.mode, fmt.Sprint(i, e.name), e.id})
			}
			e = treeEntry{mode: modeDir, id: forge(t, repo, "tree", encodeTree(entries))}
		}
		forgeCatalog(t, repo, treeEntry{modeDir, "bomb", e.id})
		s := opened(t, repo)
		s.lim.entries = 10_000
		bounded(t, func() {
			if _, err := fetched(t, s).Listing(t.Context()); !errors.Is(err, ErrTooLarge) {
				t.Errorf("a bomb of %s: %v", what, err)
			}
		})
	}
}

func TestPackBombs(t *testing.T) {
	t.Parallel()
	_, cfg, repo := overHTTPS(t)
	blob := forge(t, repo, "blob", make([]byte, 3<<20)) // a few kilobytes of pack
	forgeCatalog(t, repo, treeEntry{modeRegular, "a.torrent", blob})
	for name, lim := range map[string]limits{
		"one object":  {pack: 1 << 30, object: 1 << 20, inflated: 1 << 30, entries: 100, packs: 50},
		"all objects": {pack: 1 << 30, object: 1 << 30, inflated: 2 << 20, entries: 100, packs: 50},
		"the pack":    {pack: 1000, object: 1 << 30, inflated: 1 << 30, entries: 100, packs: 50},
	} {
		s := with(t, cfg)
		s.lim = lim
		if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrTooLarge) || errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
		if names, err := packNames(filepath.Join(s.cfg.Dir, gitName)); err != nil || len(names) > 0 {
			t.Errorf("%s: in the mirror: %v, %v", name, names, err)
		}
	}
}

func TestDeltaTarget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		data string
		want int64
	}{
		{"\x05\x07rest", 7},
		{"\x85\x01\xff\x7f", 16383},
		{"", -1},
		{"\x05", -1},
		{"\x05\x80", -1},
		{"\x05" + strings.Repeat("\xff", 12), -1},
	} {
		var p prefix
		_, _ = p.Write([]byte(c.data))
		if got := p.deltaTarget(); got != c.want {
			t.Errorf("%q: %d, want %d", c.data, got, c.want)
		}
	}
}

func TestIncompleteRemote(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	ghost := plumbing.NewHash(strings.Repeat("ab", 20))
	photos := forge(t, repo, "tree", encodeTree([]treeEntry{{modeRegular, "a.torrent", ghost}}))
	forgeHead(t, repo, forge(t, repo, "tree", encodeTree([]treeEntry{{modeDir, "torrents", photos}})))
	s := opened(t, repo)
	if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrRemoteDamaged) || errors.Is(err, ErrDamaged) {
		t.Errorf("a missing blob: %v", err)
	}
	if _, err := s.Head(); !errors.Is(err, ErrEmpty) {
		t.Errorf("head: %v", err)
	}
}

// A server may leave objects out, by mistake or on purpose.
func TestIncompletePack(t *testing.T) {
	t.Parallel()
	blob := plumbing.NewHash(strings.Repeat("ab", 20))
	tree := encodeTree([]treeEntry{{modeRegular, manifestName, blob}})
	treeID := objectID(plumbing.TreeObject, tree)
	commit := encodeCommit(treeID, nil, Author{}, timeZero, "Hollow")
	head := objectID(plumbing.CommitObject, commit)
	for name, c := range map[string]struct{ commit, tree bool }{
		"no blob": {true, true}, "no tree": {true, false}, "no commit": {false, true},
	} {
		file := filepath.Join(t.TempDir(), "pack")
		f, err := os.Create(file)
		must(t, err)
		defer f.Close()
		p, err := newPackWriter(f)
		must(t, err)
		if c.commit {
			must(t, p.add(head, plumbing.CommitObject, commit))
		}
		if c.tree {
			must(t, p.add(treeID, plumbing.TreeObject, tree))
		}
		_, err = p.finish()
		must(t, err)
		pack, err := os.ReadFile(file)
		must(t, err)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
				e := pktline.NewEncoder(w)
				_ = e.EncodeString("# service=git-upload-pack\n")
				_ = e.Flush()
				_ = e.Encodef("%s refs/heads/main\x00ofs-delta\n", head)
				_ = e.Flush()
				return
			}
			_, _ = w.Write(append([]byte("0008NAK\n"), pack...))
		}))
		s := with(t, Config{URLs: []string{server.URL + "/x"}})
		if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrRemoteDamaged) || errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if names, err := packNames(filepath.Join(s.cfg.Dir, gitName)); err != nil || len(names) > 0 {
			t.Errorf("%s: in the mirror: %v, %v", name, names, err)
		}
		server.Close()
	}
}

func TestUnfitLocalRemotes(t *testing.T) {
	t.Parallel()
	sha256 := filepath.Join(t.TempDir(), "r.git")
	git(t, "", "init", "-q", "--bare", "--object-format=sha256", sha256)
	if _, err := opened(t, sha256).Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("SHA-256: %v", err)
	}
	if _, err := opened(t, t.TempDir()).Fetch(t.Context()); !errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnreachable) {
		t.Errorf("no repository: %v", err)
	}
	work := filepath.Join(t.TempDir(), "work")
	git(t, "", "init", "-q", "-b", "main", work)
	git(t, work, "commit", "-q", "--allow-empty", "-m", "Begin")
	s := opened(t, work)
	r := fetched(t, s) // reading is fine
	next, err := s.Commit(t.Context(), r, Commit{Put: some(t, 1)})
	must(t, err)
	if err := s.Push(t.Context(), next); !errors.Is(err, ErrRefused) {
		t.Errorf("push into a work tree: %v", err)
	}
	if err := InitBare(work); err == nil {
		t.Error("a repository was made over another")
	}
	// A branch that a crash left empty is not taken for an unborn one.
	repo := bareRepo(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 1)})
	rewrite(t, filepath.Join(repo, "refs/heads/main"), none)
	if _, err := opened(t, repo).Fetch(t.Context()); !errors.Is(err, ErrRemoteDamaged) || errors.Is(err, ErrEmpty) || !strings.Contains(err.Error(), "main") {
		t.Errorf("zero-length reference: %v", err)
	}
}
