package builder

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// storing hands every .torrent to a store and puts it back for the catalog.
func (f *fixture) storing() (stored map[Ref][]byte) {
	stored = map[Ref][]byte{}
	f.o.Store = func(data []byte) (Ref, error) {
		ref := Ref{0: 1, 1: byte(len(stored))}
		stored[ref] = bytes.Clone(data)
		return ref, nil
	}
	return stored
}

// With a store no .torrent is kept; links and empty files, which are next to
// nothing, are.
func TestStore(t *testing.T) {
	f := newFixture(t)
	f.write("a", "one")
	f.write("d/b", "two")
	f.write("empty", "")
	f.must(os.Symlink("a", f.path("link")))
	plain, err := f.build()
	f.must(err)
	stored := f.storing()
	r, err := f.build()
	f.must(err)
	if len(stored) != 2 || r.Put.Len() != plain.Put.Len() {
		t.Fatalf("stored %d torrents, put %d blobs instead of %d", len(stored), r.Put.Len(), plain.Put.Len())
	}
	for i := range r.Put.Len() {
		b := r.Put.At(i)
		data := b.Data
		if strings.HasSuffix(b.Name, ".torrent") {
			if data != nil || b.Ref == (Ref{}) {
				t.Errorf("%s was kept: %+v", b.Name, b)
			}
			data = stored[b.Ref]
		}
		if b.Name != plain.Put.At(i).Name || !bytes.Equal(data, plain.Put.At(i).Data) {
			t.Errorf("%s has other bytes than without a store", b.Name)
		}
	}
}

// A torrent that only becomes executable is stored as well, unread.
func TestStoreOfExecutable(t *testing.T) {
	f := newFixture(t)
	f.write("a", "one")
	f.commit()
	f.must(os.Chmod(f.path("a"), 0o755))
	stored := f.storing()
	r, err := f.build()
	f.must(err)
	if len(stored) != 1 || r.Put.Len() != 1 || r.Put.At(0).Ref == (Ref{}) || r.Put.At(0).Mode != Executable || r.HashedFiles != 0 {
		t.Fatalf("stored %d, put %+v, hashed %d", len(stored), r.Put.At(0), r.HashedFiles)
	}
}

// What cannot be stored must not look committed.
func TestStoreFails(t *testing.T) {
	f := newFixture(t)
	for i := range 100 {
		f.write(fmt.Sprint(i), fmt.Sprint("bytes of ", i))
	}
	full := errors.New("disk full")
	f.o.Store = func([]byte) (Ref, error) { return Ref{}, full }
	if r, err := f.build(); r != nil || !errors.Is(err, full) || !strings.Contains(err.Error(), "t/") {
		t.Fatalf("%v, %v; want the store's error and where it happened", r, err)
	}
}
