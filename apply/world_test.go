package apply_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/internal/pieces"
	"seedtree/manifests"
)

// world is one site on real folders with an engine in memory.
type world struct {
	t      testing.TB
	dir    string
	engine *enginetest.Memory
	site   *apply.Site
	roots  map[string]string
	now    time.Time
	drift  apply.DriftPolicy

	manifest *manifests.Manifest
	owned    *manifests.Listing
	earlier  []*manifests.Listing
	meta     map[manifests.InfoHash][]byte
	data     map[manifests.InfoHash][]byte
	rev      int
}

func newWorld(t *testing.T, trees ...string) *world {
	t.Helper()
	return newWorldAt(t, fastDir(t), trees...)
}

func newWorldAt(t testing.TB, dir string, trees ...string) *world {
	t.Helper()
	if len(trees) == 0 {
		trees = []string{"photos"}
	}
	w := &world{
		t: t, dir: dir, engine: enginetest.NewMemory(), roots: map[string]string{},
		now:      time.Date(2026, 3, 1, 14, 5, 9, 0, time.UTC),
		manifest: testManifest("oslo"),
		meta:     map[manifests.InfoHash][]byte{}, data: map[manifests.InfoHash][]byte{},
	}
	for _, name := range trees {
		w.roots[name] = filepath.Join(w.dir, name)
		must(t, os.Mkdir(w.roots[name], 0o755))
	}
	w.reopen()
	for _, name := range trees {
		must(t, w.site.InitTree(name, manifests.RoleCopy))
	}
	return w
}

// fastDir is a temporary folder in memory where the system has one: these
// tests make and remove very many small files.
func fastDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "seedtree-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

func testManifest(main string) *manifests.Manifest {
	return &manifests.Manifest{
		Main:  main,
		Trees: map[string]manifests.TreeSpec{},
		Sites: map[string]manifests.SiteSpec{"oslo": {Peer: "10.0.0.1:42069"}, "lima": {Peer: "10.0.0.2:42069"}},
		Prune: manifests.PruneSpec{Limit: manifests.Limit{Percent: 50, Files: 1000}, Trash: 30 * 24 * time.Hour},
	}
}

// reopen makes a fresh Site, as a new process does.
func (w *world) reopen() {
	w.t.Helper()
	var err error
	w.site, err = apply.Open(apply.Config{
		Name: "lima", Engine: w.engine, Trees: w.roots, Pool: pieces.New(2), Drift: w.drift,
		Clock: func() time.Time { return w.now },
	})
	must(w.t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// file makes a listed file of tree photos whose peers hold it.
func (w *world) file(path, text string) manifests.Entry { return w.fileIn("photos", path, text) }

func (w *world) fileIn(tree, path, text string) manifests.Entry {
	w.t.Helper()
	return w.know(enginetest.NewFile(w.t, tree, path, []byte(text)))
}

// know registers a file's metainfo and lets peers hold it.
func (w *world) know(f enginetest.File) manifests.Entry {
	w.meta[f.Entry.InfoHash], w.data[f.Entry.InfoHash] = f.Metainfo, f.Data
	w.engine.Offer(f)
	return f.Entry
}

func symlink(path, target string) manifests.Entry {
	return manifests.Entry{Tree: "photos", Path: manifests.Path(path), Kind: manifests.Symlink, Target: target}
}

func empty(path string) manifests.Entry {
	return manifests.Entry{Tree: "photos", Path: manifests.Path(path), Kind: manifests.Empty}
}

func emptyDir(path string) manifests.Entry {
	return manifests.Entry{Tree: "photos", Path: manifests.Path(path), Kind: manifests.EmptyDir}
}

func listing(t testing.TB, entries ...manifests.Entry) *manifests.Listing {
	t.Helper()
	l, err := manifests.NewListing(slices.Clone(entries))
	must(t, err)
	return l
}

// want is the desire for a listing, as the agent would put it.
func (w *world) want(entries ...manifests.Entry) apply.Desired {
	w.t.Helper()
	w.rev++
	return apply.Desired{
		Revision: fmt.Sprintf("%040d", w.rev), Manifest: w.manifest, Listing: listing(w.t, entries...),
		Metainfo: func(_ context.Context, e manifests.Entry) ([]byte, error) {
			if m := w.meta[e.InfoHash]; m != nil {
				return m, nil
			}
			return nil, errors.New("no such torrent in the catalog")
		},
		Owned: w.owned, Earlier: w.earlier,
	}
}

// plan observes and plans.
func (w *world) plan(d apply.Desired) *apply.Plan {
	w.t.Helper()
	o, err := w.site.Observe(w.t.Context(), d)
	must(w.t, err)
	return apply.NewPlan(d, o)
}

// pass is one whole pass; what it put somewhere is owned from then on.
func (w *world) pass(d apply.Desired) *apply.Result {
	w.t.Helper()
	w.began(d)
	p := w.plan(d)
	r, err := w.site.Execute(w.t.Context(), d, p)
	must(w.t, err)
	if r.Applied {
		w.owned, w.earlier = d.Listing, nil
	}
	return r
}

// began notes, as the agent does before a pass, that a listing will be ours.
func (w *world) began(d apply.Desired) {
	if d.Listing != w.owned && !slices.Contains(w.earlier, d.Listing) {
		w.earlier = append(w.earlier, d.Listing)
	}
}

// again is the same desire with what is owned by now.
func (w *world) again(d apply.Desired) apply.Desired {
	d.Owned, d.Earlier = w.owned, w.earlier
	return d
}

// sync passes, letting peers deliver in between, until all is complete.
func (w *world) sync(d apply.Desired) *apply.Result {
	w.t.Helper()
	for range 6 {
		r := w.pass(w.again(d))
		must(w.t, r.Err())
		if r.Complete {
			w.requireTree(d.Listing)
			return r
		}
		must(w.t, w.engine.Feed())
	}
	w.t.Fatal("not complete after six passes")
	return nil
}

// downloaded is how many bytes came from peers so far.
func (w *world) downloaded() int64 {
	w.t.Helper()
	traffic, err := w.engine.Traffic(context.Background())
	must(w.t, err)
	return traffic.Downloaded
}

// name is where something stands in tree photos.
func (w *world) name(path string) string {
	return filepath.Join(w.roots["photos"], filepath.FromSlash(path))
}

func (w *world) read(path string) string {
	w.t.Helper()
	b, err := os.ReadFile(w.name(path))
	must(w.t, err)
	return string(b)
}

func (w *world) write(path, text string) {
	w.t.Helper()
	must(w.t, os.MkdirAll(filepath.Dir(w.name(path)), 0o755))
	must(w.t, os.WriteFile(w.name(path), []byte(text), 0o644))
}

// contents reads every file, link and empty directory of a tree; private
// folders apart.
func contents(t testing.TB, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, name)
		switch {
		case err != nil:
			return err
		case rel == manifests.PrivateDir:
			return fs.SkipDir
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			all[rel] = "-> " + target
			return err
		case d.IsDir():
			below, err := os.ReadDir(name)
			if len(below) == 0 && rel != "." {
				all[rel+"/"] = ""
			}
			return err
		}
		b, err := os.ReadFile(name)
		all[rel] = string(b)
		return err
	}))
	return all
}

// requireTree fails unless each tree holds exactly what is listed, and what
// extra names as foreign.
func (w *world) requireTree(l *manifests.Listing, extra ...string) {
	w.t.Helper()
	w.t.Helper()
	for tree, root := range w.roots {
		have := contents(w.t, root)
		for _, name := range extra {
			delete(have, name)
		}
		for e := range l.Tree(tree) {
			name, want := filepath.FromSlash(string(e.Path)), ""
			switch e.Kind {
			case manifests.Regular:
				want = string(w.data[e.InfoHash])
				info, err := os.Stat(filepath.Join(root, name))
				must(w.t, err)
				if !info.ModTime().Equal(e.ModTime) || (info.Mode()&0o111 != 0) != e.Executable {
					w.t.Errorf("%s has time %v, mode %v", e.Key(), info.ModTime(), info.Mode())
				}
			case manifests.Symlink:
				want = "-> " + e.Target
			case manifests.EmptyDir:
				name += "/"
			}
			if got, ok := have[name]; !ok || got != want {
				w.t.Errorf("%s: there: %t, %d bytes %.20q, want %d, %.20q", e.Key(), ok, len(got), got, len(want), want)
			}
			delete(have, name)
		}
		for name := range have {
			w.t.Errorf("tree %s holds %q, which is not listed", tree, name)
		}
	}
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// inTrash returns what the trash of tree photos holds, by path.
func (w *world) inTrash() map[string]string {
	w.t.Helper()
	items, err := w.site.Trash(w.t.Context())
	must(w.t, err)
	all := map[string]string{}
	for _, i := range items {
		b, err := os.ReadFile(filepath.Join(w.roots[i.Tree], ".seedtree/trash", i.Folder, string(i.Path)))
		if err != nil {
			b = nil // a link or a folder
		}
		all[string(i.Path)] = string(b)
	}
	return all
}

// requireStagingEmpty fails when anything is left over.
func (w *world) requireStagingEmpty() {
	w.t.Helper()
	for _, root := range w.roots {
		left, err := os.ReadDir(filepath.Join(root, ".seedtree/staging"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.t.Fatal(err)
		}
		if len(left) > 0 {
			w.t.Fatalf("staging of %s still holds %v", root, left)
		}
	}
}

// kinds tells a plan in short: "move a.jpg; prune b.jpg".
func kinds(actions []apply.Action) string {
	var parts []string
	for _, a := range actions {
		parts = append(parts, a.Kind.String()+" "+string(a.Entry.Path))
	}
	return strings.Join(parts, "; ")
}

// kept returns all bytes that are somewhere in the trees or the trash.
func (w *world) kept() map[string]bool {
	all := map[string]bool{}
	for _, root := range w.roots {
		_ = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && !strings.Contains(name, "/.seedtree/staging/") {
				if b, err := os.ReadFile(name); err == nil {
					all[string(b)] = true
				}
			}
			return nil
		})
	}
	return all
}

// bigFile is a file of three pieces.
func bigFile(t testing.TB, path string, seed uint64) enginetest.File {
	return enginetest.NewFile(t, "photos", path, enginetest.Random(seed, 3<<18))
}
