package gitsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"seedtree/manifests"
)

// batched turns files into ones whose bytes the batch has.
func batched(t *testing.T, b *Batch, files []File) []File {
	t.Helper()
	var out []File
	for _, f := range files {
		id, err := b.Blob(f.Data)
		must(t, err)
		out = append(out, File{Name: f.Name, Blob: id, Mode: f.Mode})
	}
	return out
}

func batch(t *testing.T, s *Source) *Batch {
	t.Helper()
	b, err := s.Batch(t.Context())
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	return b
}

// scratch lists what lies in the folder of unfinished commits.
func scratch(t *testing.T, dir string) []string {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, batchesName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

func TestBatch(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	s := opened(t, repo)
	b := batch(t, s)
	files := some(t, 150)
	big := bytes.Repeat([]byte("0123456789"), 20_000) // more than three stored blocks
	files = append(files, File{Name: "big", Data: big}, File{Name: "twice", Data: big}, File{Name: "nothing"},
		File{Name: "edge", Data: big[:maxStored]}, File{Name: "over", Data: big[:maxStored+1]})
	put := batched(t, b, files)
	stored := b.pack.index.n
	batched(t, b, files)
	if b.pack.index.n != stored || stored != len(files)-1 {
		t.Errorf("%d objects, %d before the same came again; %d files, one of them a twin", b.pack.index.n, stored, len(files))
	}
	slices.SortFunc(put, func(a, b File) int { return strings.Compare(b.Name, a.Name) }) // any order will do
	r, err := b.Commit(t.Context(), nil, Commit{Message: "Begin", Put: put})
	must(t, err)
	git(t, "", "verify-pack", r.made.in.base()+".idx")
	must(t, s.Push(t.Context(), r))
	for _, dir := range []string{repo, filepath.Join(s.cfg.Dir, gitName)} {
		if out := git(t, dir, "fsck", "--strict", "--full"); strings.Contains(out, "dangling") {
			t.Errorf("fsck: %s", out)
		}
	}
	for _, f := range files {
		if out, err := tryGit(t, repo, "show", "main:"+f.Name); err != nil || out != string(f.Data) {
			t.Errorf("%s has %d bytes in git, want %d (%v)", f.Name, len(out), len(f.Data), err)
		}
	}
	if got := paths(t, fetched(t, s)); len(got) != 150 {
		t.Errorf("%d entries", len(got))
	}
	if left := scratch(t, s.cfg.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := b.Blob(nil); err == nil {
		t.Error("a batch that was pushed took another blob")
	}
}

// Hours of hashing must not be lost, nor written again, when somebody else is faster.
func TestBatchAfterALostRace(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 5)})
	s := opened(t, repo)
	head := fetched(t, s)
	b := batch(t, s)
	put := batched(t, b, []File{torrent(t, "new/a", 1), torrent(t, "new/b", 2)})
	stored := b.blobs
	lost, err := b.Commit(t.Context(), head, Commit{Message: "Lost", Put: put})
	must(t, err)
	other := opened(t, repo)
	winner := publish(t, other, fetched(t, other), Commit{Put: []File{torrent(t, "new/c", 3)}})
	if err := s.Push(t.Context(), lost); !errors.Is(err, ErrMoved) {
		t.Fatalf("push: %v", err)
	}
	head = fetched(t, s)
	put = append(put, batched(t, b, []File{torrent(t, "new/d", 4)})...)
	if b.pack.index.n != stored.count+1 {
		t.Errorf("%d blobs in the batch, want %d", b.pack.index.n, stored.count+1)
	}
	won, err := b.Commit(t.Context(), head, Commit{Message: "Won", Put: put})
	must(t, err)
	if err := s.Push(t.Context(), lost); !errors.Is(err, ErrMoved) {
		t.Errorf("push of the commit before: %v", err)
	}
	must(t, s.Push(t.Context(), won))
	if !slices.Equal(won.Parents, []string{winner.ID()}) {
		t.Errorf("parents %v", won.Parents)
	}
	if got := paths(t, fetched(t, s)); len(got) != 9 {
		t.Errorf("%q", got)
	}
	// The commit that lost is nowhere.
	for _, dir := range []string{repo, filepath.Join(s.cfg.Dir, gitName)} {
		if out := git(t, dir, "fsck", "--strict", "--full"); strings.Contains(out, "dangling") {
			t.Errorf("fsck: %s", out)
		}
	}
}

func TestBatchRefuses(t *testing.T) {
	t.Parallel()
	s := opened(t, bareRepo(t))
	b, other := batch(t, s), batch(t, s)
	id, err := other.Blob([]byte("x"))
	must(t, err)
	if _, err := b.Commit(t.Context(), nil, Commit{Put: []File{{Name: "x", Blob: id}}}); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("a blob of another batch: %v", err)
	}
	if _, err := b.Commit(t.Context(), nil, Commit{Put: []File{{Name: "x", Data: []byte("y")}}}); err != nil {
		t.Errorf("after a mistake: %v", err)
	}
	must(t, b.Close())
	if _, err := b.Commit(t.Context(), nil, Commit{}); err == nil {
		t.Error("a closed batch made a commit")
	}
}

// What a failed commit leaves behind is taken back, and nothing before it.
func TestBatchAfterAMistake(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	s := opened(t, repo)
	b := batch(t, s)
	put := batched(t, b, some(t, 150))
	half := Commit{Put: append(slices.Clone(put), File{Name: "z", Data: []byte("new")}), Delete: []string{"zz"}}
	if _, err := b.Commit(t.Context(), nil, half); err == nil {
		t.Fatal("what is not there was deleted")
	}
	r, err := b.Commit(t.Context(), nil, Commit{Message: "Begin", Put: put})
	must(t, err)
	must(t, s.Push(t.Context(), r))
	git(t, repo, "fsck", "--strict", "--full")
}

// Bytes that did not reach the disk are gone for good, whatever is taken back.
func TestPackAfterALostWrite(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "pack"))
	must(t, err)
	p, err := newPackWriter(f)
	must(t, err)
	data := []byte("kept in the buffer")
	must(t, p.add(objectID(plumbing.BlobObject, data), plumbing.BlobObject, data))
	mark := p.mark()
	must(t, f.Close())
	data = make([]byte, 1<<20)
	if err := p.add(objectID(plumbing.BlobObject, data), plumbing.BlobObject, data); err == nil {
		t.Fatal("a closed file took bytes")
	}
	p.file, err = os.Create(f.Name()) // and now there is room again
	must(t, err)
	defer p.file.Close()
	if err := p.cut(mark); err == nil {
		t.Error("bytes that were never written are there again")
	}
	if _, err := p.finish(); err == nil {
		t.Error("the pack was finished")
	}
}

// A commit that was not pushed can be read for as long as it is the newest, and is
// never taken for a damaged mirror.
func TestUnpushedCommit(t *testing.T) {
	t.Parallel()
	s := opened(t, bareRepo(t))
	first := publish(t, s, nil, Commit{Put: some(t, 5)})
	second, err := s.Commit(t.Context(), first, Commit{Put: []File{torrent(t, "more", 1)}})
	must(t, err)
	if got := paths(t, second); len(got) != 6 {
		t.Errorf("%q", got)
	}
	if m, err := second.Manifest(t.Context()); err != nil || m.Main != "oslo" {
		t.Errorf("manifest %v, %v", m, err)
	}
	_, err = s.Commit(t.Context(), first, Commit{Put: []File{torrent(t, "other", 1)}})
	must(t, err)
	if _, err := second.Manifest(t.Context()); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("a commit that gave way: %v", err)
	}
	must(t, s.Close())
	if left := scratch(t, s.cfg.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if got := paths(t, fetched(t, s)); len(got) != 5 {
		t.Errorf("%q", got)
	}
}

func TestKilledBatch(t *testing.T) {
	t.Parallel()
	repo, dir := bareRepo(t), t.TempDir()
	s, _ := openedIn(t, dir, repo)
	alive := batch(t, s)
	cmd := child(t, dir, repo)
	cmd.Env = append(cmd.Env, batchForChild+"=1")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	_, err = out.Read(make([]byte, 1)) // it has written some
	must(t, err)
	if n := len(scratch(t, dir)); n != 2 {
		t.Errorf("%d batches while two are at work", n)
	}
	openedIn(t, dir, repo)
	if n := len(scratch(t, dir)); n != 2 {
		t.Errorf("opening the mirror left %d of two living batches", n)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	openedIn(t, dir, repo)
	if left := scratch(t, dir); len(left) != 1 || left[0] != filepath.Base(alive.in.dir) {
		t.Errorf("after a kill: %v, of which %s lives", left, alive.in.dir)
	}
	must(t, alive.Close())
	if left := scratch(t, dir); len(left) > 0 {
		t.Errorf("after closing: %v", left)
	}
}

// batchForChild makes the fetching process one that is killed with a batch half done.
const batchForChild = "GITSOURCE_TEST_BATCH"

func childBatch(s *Source) error {
	b, err := s.Batch(context.Background())
	if err != nil {
		return err
	}
	for i := range 10_000 {
		if _, err := b.Blob([]byte(fmt.Sprint(i, strings.Repeat("x", 100)))); err != nil {
			return err
		}
	}
	fmt.Print("!")
	select {}
}

// Whatever is put and deleted, git reads what a plain map says.
func TestEditsAgainstAModel(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	s := opened(t, repo)
	rnd := rand.New(rand.NewPCG(1, 2))
	model := map[string]string{}
	var head *Revision
	names := []string{"a", "a.b", "a-", "a0", "b", "a\x01", "é", "z z"}
	random := func() string {
		name := names[rnd.IntN(len(names))]
		for range rnd.IntN(3) {
			name += "/" + names[rnd.IntN(len(names))]
		}
		return name
	}
	commits, refused := 0, 0
	for range 150 {
		next, c := maps.Clone(model), Commit{Message: "Change"}
		for range rnd.IntN(4) {
			if name := random(); model[name] != "" {
				c.Delete = append(c.Delete, name)
				delete(next, name)
			}
		}
		for range rnd.IntN(5) {
			f := File{Name: random(), Data: fmt.Append(nil, rnd.IntN(20))}
			if !slices.ContainsFunc(c.Put, func(p File) bool { return p.Name == f.Name }) {
				c.Put = append(c.Put, f)
				next[f.Name] = string(f.Data)
			}
		}
		if rnd.IntN(2) == 0 { // the two ways to put are one
			slices.SortFunc(c.Put, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
			c.Many, c.Put = fileList(c.Put), nil
		}
		r, err := s.Commit(t.Context(), head, c)
		conflict := fileAndDirectory(next)
		switch {
		case maps.Equal(next, model):
			if !errors.Is(err, ErrUnchanged) {
				t.Fatalf("nothing changed by %+v: %v", c, err)
			}
			continue
		case (err != nil) != conflict:
			t.Fatalf("%v\nput %+v\ndelete %q: %v, conflict %v", model, c.files(), c.Delete, err, conflict)
		case conflict:
			refused++
			continue
		}
		must(t, s.Push(t.Context(), r))
		head, model = r, next
		commits++
		got := map[string]string{}
		for line := range strings.SplitSeq(git(t, repo, "ls-tree", "-rz", "main"), "\x00") {
			if meta, name, ok := strings.Cut(line, "\t"); ok {
				got[name] = git(t, repo, "cat-file", "-p", strings.Fields(meta)[2])
			}
		}
		if !maps.Equal(got, model) {
			t.Fatalf("git has %q, want %q", got, model)
		}
	}
	git(t, repo, "fsck", "--strict", "--full")
	if commits < 20 || refused < 10 {
		t.Errorf("%d commits, %d refused: the draw is poor", commits, refused)
	}
}

// fileAndDirectory reports whether some name is both.
func fileAndDirectory(files map[string]string) bool {
	for name := range files {
		for other := range files {
			if strings.HasPrefix(other, name+"/") {
				return true
			}
		}
	}
	return false
}

func BenchmarkBatch(b *testing.B) {
	data := make([][]byte, 1000)
	for i := range data {
		data[i] = bytes.Repeat(fmt.Append(nil, i, " "), 300)
	}
	repo := filepath.Join(b.TempDir(), "r.git")
	if err := InitBare(repo); err != nil {
		b.Fatal(err)
	}
	s, err := Open(Config{URLs: []string{repo}, Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		x, err := s.Batch(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		var c Commit
		for i, d := range data {
			id, err := x.Blob(d)
			if err != nil {
				b.Fatal(err)
			}
			c.Put = append(c.Put, File{Name: fmt.Sprintf("%s/d%04d/%06d.torrent", manifests.CatalogDir, i/50, i), Blob: id})
		}
		if _, err := x.Commit(b.Context(), nil, c); err != nil {
			b.Fatal(err)
		}
		if err := x.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
