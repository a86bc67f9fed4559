package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"seedtree/internal/testkit"
	"seedtree/manifests"
)

func (f *fixture) openJournal(path string) *Journal {
	f.t.Helper()
	f.o.Journal = OpenJournal(path, f.o.Site, f.o.Trees)
	f.t.Cleanup(func() { _ = f.o.Journal.release() })
	return f.o.Journal
}

// interrupt builds until so many files are hashed, and leaves the journal.
func (f *fixture) interrupt(path string, after int) {
	f.t.Helper()
	j := f.openJournal(path)
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	f.o.Store = func([]byte) (Ref, error) {
		if after--; after == 0 {
			cancel()
		}
		return Ref{1}, nil
	}
	r, err := Build(ctx, f.o)
	if r != nil || !errors.Is(err, context.Canceled) {
		f.t.Fatalf("the build was not interrupted: %v", err)
	}
	f.must(j.Close())
	f.o.Store = nil
}

// many writes files of the same length and returns how many bytes they have.
func (f *fixture) many(n int) int64 {
	for i := range n {
		f.write(fmt.Sprintf("d%d/f%04d", i%7, i), fmt.Sprintf("bytes of %04d", i))
	}
	return int64(n) * int64(len("bytes of 0000"))
}

// What an interrupted build has read is not read again, and the result is that
// of a build that was left in peace.
func TestJournal(t *testing.T) {
	f := newFixture(t)
	total := f.many(500)
	want, err := f.build()
	f.must(err)
	path := filepath.Join(t.TempDir(), "state", "journal")
	f.interrupt(path, 100)

	j := f.openJournal(path)
	r := f.commit()
	if r.ResumedFiles < 100 || r.HashedFiles+r.ResumedFiles != 500 || r.HashedBytes+r.ResumedBytes != total {
		t.Errorf("read %d files, %d bytes; took over %d, %d; want at least 100 taken over and all in all 500, %d",
			r.HashedFiles, r.HashedBytes, r.ResumedFiles, r.ResumedBytes, total)
	}
	if d := want.Listing.Diff(r.Listing); !d.Empty() {
		t.Errorf("an interruption changed the listing: %+v", d)
	}
	// A push was lost: the same process builds again and reads nothing at all.
	f.o.Previous, f.catalog = nil, map[string]Blob{}
	if r = f.commit(); r.HashedBytes != 0 || r.ResumedFiles != 500 {
		t.Errorf("a second build of the same process read %d bytes and took over %d files", r.HashedBytes, r.ResumedFiles)
	}
	f.must(j.Remove())
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the journal is still there: %v", err)
	}
}

// A quick build leaves nothing behind, and makes no folder for it.
func TestJournalOfQuickBuild(t *testing.T) {
	f := newFixture(t)
	f.many(10)
	path := filepath.Join(t.TempDir(), "state", "journal")
	j := f.openJournal(path)
	f.commit()
	f.must(j.Remove())
	if _, err := os.Lstat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Errorf("something was written: %v", err)
	}
}

// Whatever happened to a file after it was read, the journal does not hide it.
func TestJournalOfChangedFiles(t *testing.T) {
	f := newFixture(t)
	f.many(50)
	when := time.Now().Add(-2 * time.Hour)
	old := func(name string) { f.must(os.Chtimes(f.path(name), when, when)) }
	for _, name := range []string{"rewritten", "replaced", "touched", "grown", "gone"} {
		f.write(name, "before")
		old(name)
	}
	path := filepath.Join(t.TempDir(), "journal")
	j := f.openJournal(path)
	_, err := f.build()
	f.must(err)
	f.must(j.Close())

	f.write("rewritten", "aftern") // same size, and the time is set back
	old("rewritten")
	f.write("other", "AFTERn")
	old("other")
	f.must(os.Rename(f.path("other"), f.path("replaced")))
	f.write("touched", "before")
	f.write("grown", "before and after")
	old("grown")
	f.must(os.Remove(f.path("gone")))

	f.openJournal(path)
	r := f.commit()
	if r.HashedFiles != 4 || r.ResumedFiles != 50 {
		t.Errorf("read %d files and took over %d, want 4 and 50", r.HashedFiles, r.ResumedFiles)
	}
	f.wantContent(r.Listing, "rewritten", "aftern")
	f.wantContent(r.Listing, "replaced", "AFTERn")
	f.wantContent(r.Listing, "touched", "before")
	f.wantContent(r.Listing, "grown", "before and after")
}

// written makes a journal of 20 files and returns its bytes and what is in it.
func (f *fixture) written(path string) ([]byte, map[manifests.Key]stamp) {
	f.t.Helper()
	f.many(20)
	j := f.openJournal(path)
	_, err := f.build()
	f.must(err)
	stamps := map[manifests.Key]stamp{}
	for _, m := range j.makeIndex().marks {
		r, ok := j.read(m.at)
		info, err := os.Lstat(f.path(string(r.key.Path)))
		if f.must(err); !ok {
			f.t.Fatal("a record that was just made cannot be read")
		}
		stamps[r.key] = stampOf(info)
	}
	f.must(j.Close())
	data, err := os.ReadFile(path)
	f.must(err)
	return data, stamps
}

// A journal cut anywhere, or with any byte of it damaged, is worth the records
// that are whole, and takes new ones.
func TestJournalDamaged(t *testing.T) {
	f := newFixture(t)
	path := filepath.Join(t.TempDir(), "journal")
	data, stamps := f.written(path)
	left := func(damaged []byte) int {
		f.must(os.WriteFile(path, damaged, 0o600))
		j := f.openJournal(path)
		f.must(j.Err())
		n := 0
		for k, s := range stamps {
			if r, ok := j.find(k, s); ok {
				n++
				if m := (manifests.Metainfo{Length: s.size, PieceLength: manifests.PieceLength(s.size), Pieces: r.sums}); m.Content() != contentOf("bytes of "+string(k.Path[len(k.Path)-4:])) {
					t.Fatalf("%s has other bytes", k)
				}
			}
		}
		again := record{key: manifests.Key{Tree: "t", Path: "new"}, stamp: stamp{size: 1}, sums: make([]byte, 20)}
		j.add(again)
		f.must(j.Close())
		j = f.openJournal(path)
		if _, ok := j.find(again.key, again.stamp); !ok {
			t.Fatal("what was added behind the damage is lost")
		}
		f.must(j.Close())
		return n
	}
	if n := left(data); n != 20 {
		t.Fatalf("%d of 20 records are found undamaged", n)
	}
	for cut := len(journalHead("", nil)); cut < len(data); cut += 13 {
		if n, want := left(data[:cut]), 20*(cut-len(f.o.Journal.head))/(len(data)-len(f.o.Journal.head)); n < want-1 {
			t.Fatalf("cut at %d of %d: %d records, want about %d", cut, len(data), n, want)
		}
	}
	for at := len(f.o.Journal.head); at < len(data); at += 11 {
		damaged := bytes.Clone(data)
		damaged[at] ^= 0x41
		if n := left(damaged); n != 19 {
			t.Fatalf("byte %d of %d damaged: %d records, want 19", at, len(data), n)
		}
	}
}

// Of two records of a file the newer counts, and two files with one hash are told apart.
func TestJournalIndex(t *testing.T) {
	f := newFixture(t)
	j := f.openJournal(filepath.Join(t.TempDir(), "journal"))
	rec := func(path string, size int64) record {
		return record{key: manifests.Key{Tree: "t", Path: manifests.Path(path)}, stamp: stamp{size: size}, sums: bytes.Repeat([]byte{byte(size)}, 20)}
	}
	for _, r := range []record{rec("a", 1), rec("b", 2), rec("a", 3)} {
		j.add(r)
		if r.stamp.size == 2 {
			j.flush() // some stand in the file, some wait
		}
	}
	found := func(r record) bool {
		got, ok := j.find(r.key, r.stamp)
		return ok && bytes.Equal(got.sums, r.sums)
	}
	if found(rec("a", 1)) || !found(rec("b", 2)) || !found(rec("a", 3)) {
		t.Error("not the newest records count")
	}
	for i := range j.index.marks { // all have the hash of b now
		j.index.marks[i].hash = maphash.Comparable(j.index.seed, rec("b", 2).key)
	}
	slices.SortFunc(j.index.marks, journalMark.compare)
	if !found(rec("b", 2)) {
		t.Error("a file was taken for another one with its hash")
	}
	f.must(j.Close())
}

// Nothing is taken from a journal of something else.
func TestJournalOfOthers(t *testing.T) {
	f := newFixture(t)
	path := filepath.Join(t.TempDir(), "journal")
	data, _ := f.written(path)
	for name, change := range map[string]func(){
		"another site":   func() { f.o.Site = "lima" },
		"another folder": func() { f.o.Trees = map[string]string{"t": f.dir + "/"} },
		"another format": func() {
			f.must(os.WriteFile(path, bytes.Replace(data, []byte("journal 1"), []byte("journal 2"), 1), 0o600))
		},
		"no journal": func() { f.must(os.WriteFile(path, []byte("dear diary"), 0o600)) },
		"empty":      func() { f.must(os.WriteFile(path, nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			o := f.o
			defer func() { f.o = o }()
			f.must(os.WriteFile(path, data, 0o600))
			change()
			j := f.openJournal(path)
			if n := len(j.makeIndex().marks); n != 0 || j.Err() != nil {
				t.Errorf("%d records, %v", n, j.Err())
			}
			f.must(f.o.Journal.Close())
		})
	}
}

// A journal that cannot be kept costs nothing but the saving.
func TestJournalFails(t *testing.T) {
	f := newFixture(t)
	total := f.many(30)
	path := filepath.Join(t.TempDir(), "journal")
	f.written(path)
	for name, j := range map[string]func() *Journal{
		"is a folder": func() *Journal { return f.openJournal(t.TempDir()) },
		"no folder":   func() *Journal { return f.openJournal("/dev/null/journal") },
		"taken": func() *Journal {
			other := OpenJournal(path, f.o.Site, f.o.Trees)
			t.Cleanup(func() { f.must(other.Close()) })
			return f.openJournal(path)
		},
		"disk full": func() *Journal {
			j := f.openJournal(path + "2")
			f.must(j.create())
			f.must(j.file.Close())
			full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
			f.must(err)
			j.file = full
			return j
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := j()
			r, err := f.build()
			f.must(err)
			if r.HashedBytes != total {
				t.Errorf("read %d bytes, want %d", r.HashedBytes, total)
			}
			if err := j.Close(); err == nil || j.Err() == nil {
				t.Error("nobody is told that nothing was kept")
			}
		})
	}
}

// One large file is gone on with in its middle, also after a kill, when
// nothing but what the timer wrote is left.
func TestJournalOfLargeFile(t *testing.T) {
	const size = 1<<30 + 5
	t.Setenv("SEEDTREE_SHA1", "plain") // fast ones are done before the first look at them
	f := newFixture(t)
	testkit.Speckled(t, f.path("large"), size, manifests.PieceLength(size))
	hour := time.Now().Add(-time.Hour)
	f.must(os.Chtimes(f.path("large"), hour, hour))
	f.o.Workers = 1
	path := filepath.Join(t.TempDir(), "journal")
	j := f.openJournal(path)
	killed := filepath.Join(t.TempDir(), "killed")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.o.Progress = func(p Progress) {
		if p.Bytes < 64<<20 || ctx.Err() != nil {
			return
		}
		j.mu.Lock()
		j.appendParts(true)
		j.flush()
		j.mu.Unlock()
		data, err := os.ReadFile(path)
		f.must(errors.Join(err, os.WriteFile(killed, data, 0o600)))
		cancel()
	}
	if _, err := Build(ctx, f.o); !errors.Is(err, context.Canceled) {
		t.Fatalf("the build was not interrupted: %v", err)
	}
	f.must(j.Close())
	f.o.Progress = nil
	var last manifests.Content
	for _, from := range []string{path, killed, filepath.Join(t.TempDir(), "none")} {
		j := f.openJournal(from)
		r, err := f.build()
		f.must(err)
		f.must(j.Close())
		if r.HashedBytes+r.ResumedBytes != size || from != path && from != killed && r.ResumedBytes != 0 || (from == path || from == killed) && r.ResumedBytes < 32<<20 {
			t.Errorf("%s: read %d bytes, took over %d of %d", filepath.Base(from), r.HashedBytes, r.ResumedBytes, int64(size))
		}
		e, _ := r.Listing.Get(manifests.Key{Tree: "t", Path: "large"})
		if last != (manifests.Content{}) && e.Content != last {
			t.Errorf("%s: other content", filepath.Base(from))
		}
		last = e.Content
	}
}
