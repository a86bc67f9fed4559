package builder

import (
	"context"
	"crypto/sha1"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"seedtree/manifests"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is one tree "t" of a site "oslo" and what its catalog holds.
type fixture struct {
	t       *testing.T
	dir     string
	o       Options
	catalog map[string]Blob
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: filepath.Join(t.TempDir(), "t"), catalog: map[string]Blob{}}
	f.marker(manifests.Marker{Tree: "t", Site: "oslo", Role: manifests.RoleSource})
	f.o = Options{
		Site: "oslo", Trees: map[string]string{"t": f.dir},
		Manifest: &manifests.Manifest{
			Main: "oslo", Trees: map[string]manifests.TreeSpec{"t": {}},
			Prune: manifests.PruneSpec{Limit: manifests.Limit{Percent: 50, Files: 1000}},
		},
		Metainfo: func(_ context.Context, e manifests.Entry) ([]byte, error) {
			b, ok := f.catalog[manifests.CatalogName(e)]
			if !ok {
				return nil, errors.New("the catalog has no " + e.Key().String())
			}
			return b.Data, nil
		},
	}
	return f
}

func (f *fixture) marker(m manifests.Marker) { f.write(manifests.MarkerName, string(m.Encode())) }

func (f *fixture) ignore(lines ...string) {
	f.o.Manifest.Trees["t"] = manifests.TreeSpec{Ignore: lines}
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) path(name string) string { return filepath.Join(f.dir, name) }

// write makes a file that is an hour old, so that no build waits for it.
func (f *fixture) write(name, data string) {
	f.t.Helper()
	f.must(os.MkdirAll(filepath.Dir(f.path(name)), 0o755))
	f.must(os.WriteFile(f.path(name), []byte(data), 0o644))
	f.must(os.Chtimes(f.path(name), time.Time{}, time.Now().Add(-time.Hour)))
}

func (f *fixture) build() (*Result, error) {
	f.t.Helper()
	return Build(f.t.Context(), f.o)
}

// commit builds, applies the result to the catalog as git would and makes sure
// that the catalog then says what the listing says.
func (f *fixture) commit() *Result {
	f.t.Helper()
	r, err := f.build()
	f.must(err)
	for _, name := range r.Delete {
		if _, ok := f.catalog[name]; !ok {
			f.t.Fatalf("deletes %q, which the catalog does not hold", name)
		}
		delete(f.catalog, name)
	}
	for i := range r.Put.Len() {
		b := r.Put.At(i)
		f.catalog[b.Name] = b
	}
	var entries []manifests.Entry
	for name, b := range f.catalog {
		e, err := manifests.DecodeEntry(name, b.Mode == Executable, b.Data)
		f.must(err)
		entries = append(entries, e)
	}
	said, err := manifests.NewListing(entries)
	f.must(err)
	if d := said.Diff(r.Listing); !d.Empty() {
		f.t.Fatalf("catalog and listing differ: %+v", d)
	}
	f.o.Previous = r.Listing
	return r
}

// paths lists a listing as "path" or "path (kind)".
func paths(l *manifests.Listing) []string {
	var out []string
	for e := range l.All() {
		s := string(e.Path)
		if e.Kind != manifests.Regular {
			s += " (" + e.Kind.String() + ")"
		}
		out = append(out, s)
	}
	return out
}

func (f *fixture) wantPaths(r *Result, want ...string) {
	f.t.Helper()
	got := paths(r.Listing)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		f.t.Fatalf("listed:\n %q\nwant:\n %q", got, want)
	}
}

// wantContent compares an entry with a file's bytes, hashed the naive way.
func (f *fixture) wantContent(l *manifests.Listing, path, data string) {
	f.t.Helper()
	e, ok := l.Get(manifests.Key{Tree: "t", Path: manifests.Path(path)})
	if !ok {
		f.t.Fatalf("%s is not listed", path)
	}
	if e.Length != int64(len(data)) || e.Content != contentOf(data) {
		f.t.Fatalf("%s is listed with %d bytes and other content, want %d bytes", path, e.Length, len(data))
	}
}

func contentOf(data string) manifests.Content {
	piece := manifests.PieceLength(int64(len(data)))
	var hashes []byte
	for p := range slices.Chunk([]byte(data), int(piece)) {
		h := sha1.Sum(p)
		hashes = append(hashes, h[:]...)
	}
	return manifests.ContentOf(int64(len(data)), piece, hashes)
}

// wantFailed wants exactly one failure, at path, that mentions why.
func (f *fixture) wantFailed(r *Result, path, why string) {
	f.t.Helper()
	if len(r.Failed) != 1 || string(r.Failed[0].Key.Path) != path || !strings.Contains(r.Failed[0].Error(), why) {
		f.t.Fatalf("failed: %v; want one failure of %q with %q", r.Failed, path, why)
	}
	if strings.Contains(r.Failed[0].Err.Error(), r.Failed[0].Key.String()) {
		f.t.Fatalf("names the place twice: %v", r.Failed[0])
	}
}

// unprivileged lets the test run as nobody from here on: root may read all.
func (f *fixture) unprivileged() {
	f.t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	const nobody = 65534
	f.must(os.Chmod(filepath.Dir(filepath.Dir(f.dir)), 0o755))
	f.must(filepath.WalkDir(filepath.Dir(f.dir), func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, nobody, nobody))
	}))
	f.must(seteuid(nobody))
	f.t.Cleanup(func() { f.must(seteuid(0)) })
}

// meddle calls change once, between the scan and the n-th round of hashing.
func (f *fixture) meddle(n int, change func()) {
	f.o.Clock = func() time.Time {
		if n--; n == -1 { // the first look at the clock is before the scan
			change()
		}
		return time.Now()
	}
}

func (f *fixture) buildUntil(cancelAt int64) error {
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	f.o.Progress = func(p Progress) {
		if p.Bytes >= cancelAt {
			cancel()
		}
	}
	_, err := Build(ctx, f.o)
	return err
}
