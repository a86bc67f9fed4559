package gitsource

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"seedtree/manifests"
)

// everyKind is a listing with all that a cache has to carry.
func everyKind(t testing.TB) *manifests.Listing {
	t.Helper()
	when := time.Unix(-5, 999_999_999).UTC()
	l, err := manifests.NewListing([]manifests.Entry{
		{Tree: "a", Path: "x/y", Length: 1 << 61, ModTime: when, Executable: true, InfoHash: manifests.InfoHash{1, 2}, Content: manifests.Content{3, 4}},
		{Tree: "a", Path: "z", Kind: manifests.Symlink, Target: "../t \xff"},
		{Tree: "b", Path: "d", Kind: manifests.EmptyDir},
		{Tree: "b", Path: "e", Kind: manifests.Empty, Executable: true},
		{Tree: "b", Path: "f\xfe", Length: 7, ModTime: time.Unix(1_700_000_000, 1).UTC(), InfoHash: manifests.InfoHash{9}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func cached(t testing.TB, l *manifests.Listing) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), cacheName)
	if err := saveListing(name, cachedListing{hash{7}, l}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decoded(data []byte) (cachedListing, error) {
	return decodeListing(bytes.NewReader(data), int64(len(data)), 1000)
}

func TestCacheRoundTrip(t *testing.T) {
	t.Parallel()
	empty, err := manifests.NewListing(nil)
	must(t, err)
	for _, l := range []*manifests.Listing{everyKind(t), empty} {
		c, err := decoded(cached(t, l))
		must(t, err)
		same := slices.EqualFunc(slices.Collect(c.listing.All()), slices.Collect(l.All()), manifests.Entry.Equal)
		if !same || c.tree != (hash{7}) || c.listing.Bytes() != l.Bytes() {
			t.Errorf("%v became %v", slices.Collect(l.All()), slices.Collect(c.listing.All()))
		}
	}
}

// resum gives changed bytes a checksum that fits.
func resum(data []byte) []byte {
	var sum twoCRCs
	body := bytes.Clone(data[:len(data)-cacheSum])
	_, _ = sum.Write(body)
	return append(body, sum.bytes()...)
}

func TestRottenCacheIsNotUsed(t *testing.T) {
	t.Parallel()
	good := cached(t, everyKind(t))
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if _, err := decoded(bad); err == nil {
				t.Errorf("bit %d of byte %d changed and nobody saw it", bit, i)
			}
		}
	}
	for n := range good {
		if _, err := decoded(good[:n]); err == nil {
			t.Errorf("cut after %d bytes", n)
		}
	}
	put := func(at int, change func([]byte)) []byte {
		b := bytes.Clone(good)
		change(b[at:])
		return resum(b)
	}
	head := len(cacheMagic) + 20
	names := cacheHead + 2*8
	records := names + 2 + len("x/yz../t \xffdef\xfe")
	for name, bad := range map[string][]byte{
		"another version": put(len(cacheMagic)-2, func(b []byte) { b[0]++ }),
		"too many":        put(head+4, func(b []byte) { binary.LittleEndian.PutUint32(b, 1<<30) }),
		"endless names":   put(head+8, func(b []byte) { binary.LittleEndian.PutUint64(b, 1<<63) }),
		"tree too long":   put(cacheHead, func(b []byte) { b[0] = 200 }),
		"tree too full":   put(cacheHead+4, func(b []byte) { b[0] = 9 }),
		"path climbs":     put(names+2, func(b []byte) { copy(b, "../") }),
		"tree climbs":     put(names, func(b []byte) { b[0] = '/' }),
		"path too long":   put(records, func(b []byte) { b[1] = 0xff }),
		"unknown kind":    put(records+4, func(b []byte) { b[0] = 77 }),
		"no length":       put(records+6, func(b []byte) { clear(b[:8]) }),
		"negative length": put(records+6, func(b []byte) { b[7] = 0x80 }),
		"odd nanoseconds": put(records+22, func(b []byte) { b[3] = 0xff }),
		"link to nowhere": put(records+cacheRecord+4, func(b []byte) { b[0] = byte(manifests.EmptyDir) }),
		"trailing bytes":  resum(append(bytes.Clone(good), 0)),
	} {
		if c, err := decoded(bad); err == nil {
			t.Errorf("%s: %v", name, slices.Collect(c.listing.All()))
		}
	}
	if _, err := decodeListing(bytes.NewReader(good), int64(len(good)), 4); err == nil {
		t.Error("more entries than the limit")
	}
}

func FuzzCache(f *testing.F) {
	f.Add(cached(f, everyKind(f)))
	f.Add([]byte(cacheMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= cacheSum {
			data = resum(data) // else nothing gets past the checksum
		}
		c, err := decoded(data)
		if err != nil {
			return
		}
		if again := cached(t, c.listing); len(again) > len(data) {
			t.Errorf("%d bytes became %d", len(data), len(again))
		}
	})
}

// A new process must not read a catalog's blobs again, whatever happened since the
// last one wrote the cache; and what it does read follows the change.
func TestListingInANewProcess(t *testing.T) {
	t.Parallel()
	repo, dir := bareRepo(t), t.TempDir()
	w := opened(t, repo)
	head := publish(t, w, nil, Commit{Put: some(t, 1500)})
	listed := func(wantReads int) *manifests.Listing {
		t.Helper()
		s, log := openedIn(t, dir, repo)
		r := fetched(t, s)
		st, err := s.open()
		must(t, err)
		st.reads = 0
		l, err := r.Listing(t.Context())
		must(t, err)
		if st.reads > wantReads {
			t.Errorf("%d objects read, %d would do", st.reads, wantReads)
		}
		if log.Len() > 0 {
			t.Errorf("log: %s", log)
		}
		must(t, s.Close())
		fresh, err := fetched(t, opened(t, repo)).Listing(t.Context())
		must(t, err)
		if !fresh.Diff(l).Empty() || fresh.Len() != l.Len() {
			t.Errorf("%d entries from the cache, %d from git", l.Len(), fresh.Len())
		}
		return l
	}
	file := filepath.Join(dir, cacheName)
	listed(1500 + 2*30) // the trees are counted first
	before, err := os.Stat(file)
	must(t, err)
	listed(2) // the root and torrents/
	head = publish(t, w, head, Commit{
		Put:    []File{torrent(t, "d1/e1/new", 5)},
		Delete: []string{torrent(t, "d0/e0/f0.jpg", 1).Name},
	})
	listed(2 + 2*6 + 1)
	if now, err := os.Stat(file); err != nil || !now.ModTime().Equal(before.ModTime()) {
		t.Errorf("a few changes wrote the whole cache again: %v", err)
	}
	publish(t, w, head, Commit{Put: some(t, 2000)[1501:]})
	listed(3000)
	listed(2)
	// A history that begins anew shares nothing with the cache.
	must(t, os.Remove(filepath.Join(dir, stateName)))
	must(t, os.RemoveAll(filepath.Join(dir, gitName)))
	other := bareRepo(t)
	publish(t, opened(t, other), nil, Commit{Put: some(t, 3)})
	s, log := openedIn(t, dir, other)
	if got := paths(t, fetched(t, s)); len(got) != 3 || strings.Contains(log.String(), "damaged") {
		t.Errorf("%q; log: %s", got, log)
	}
}

func TestDamagedCacheIsReplaced(t *testing.T) {
	t.Parallel()
	repo, dir := bareRepo(t), t.TempDir()
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 50)})
	file := filepath.Join(dir, cacheName)
	for name, damage := range map[string]func(){
		"absent":   func() {},
		"empty":    func() { rewrite(t, file, none) },
		"cut":      func() { rewrite(t, file, half) },
		"bit":      func() { rewrite(t, file, flip(0.7)) },
		"a folder": func() { must(t, os.Remove(file)); must(t, os.MkdirAll(filepath.Join(file, "x"), 0o755)) },
	} {
		s, _ := openedIn(t, dir, repo)
		if got := paths(t, fetched(t, s)); len(got) != 50 {
			t.Fatalf("%s: %d entries", name, len(got))
		}
		must(t, s.Close())
		damage()
		s, log := openedIn(t, dir, repo)
		if got := paths(t, fetched(t, s)); len(got) != 50 {
			t.Errorf("%s: %d entries", name, len(got))
		}
		if (name != "absent") != strings.Contains(log.String(), "read anew") {
			t.Errorf("%s: log %s", name, log)
		}
		must(t, s.Close())
		if name == "a folder" {
			must(t, os.RemoveAll(file))
			continue
		}
		if _, err := loadListing(file, 1000, func() {}); err != nil {
			t.Errorf("%s: it was not written anew: %v", name, err)
		}
	}
}

// A cache that could not be written is tried again with the next change, however small,
// and not when a share of the listing has changed.
func TestCacheThatCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	repo, dir := bareRepo(t), t.TempDir()
	w := opened(t, repo)
	head := publish(t, w, nil, Commit{Put: some(t, 1500)})
	file := filepath.Join(dir, cacheName)
	s, log := openedIn(t, dir, repo)
	must(t, os.MkdirAll(filepath.Join(file, "x"), 0o755)) // as a disk that is full
	paths(t, fetched(t, s))
	if !strings.Contains(log.String(), "cannot be kept") {
		t.Fatalf("log: %s", log)
	}
	must(t, os.RemoveAll(file))
	publish(t, w, head, Commit{Put: []File{torrent(t, "d1/e1/new", 5)}})
	paths(t, fetched(t, s))
	if c, err := loadListing(file, 2000, func() {}); err != nil || c.listing.Len() != 1501 {
		t.Errorf("it was not tried again: %v", err)
	}
}

func BenchmarkLoadListing(b *testing.B) {
	entries := make([]manifests.Entry, 200_000)
	for i := range entries {
		entries[i] = manifests.Entry{
			Tree: "photos", Path: manifests.Path(fmt.Sprintf("y%02d/m%02d/IMG_%06d.jpg", i/5000, i/50%100, i)), Length: 1,
			ModTime: time.Unix(1_700_000_000, int64(i)).UTC(), InfoHash: manifests.InfoHash{byte(i)},
		}
	}
	l, err := manifests.NewListing(entries)
	if err != nil {
		b.Fatal(err)
	}
	data := cached(b, l)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeListing(io.Reader(bytes.NewReader(data)), int64(len(data)), 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
