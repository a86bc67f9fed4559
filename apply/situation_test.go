package apply_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seedtree/apply"
	"seedtree/manifests"
)

// situation is what a plan is made of, as pure values. All entries are of tree
// photos at /data/photos unless they say otherwise.
type situation struct {
	listed, owned, earlier []manifests.Entry
	files                  map[string]apply.FileState
	torrents               []apply.Torrent
	staged                 map[manifests.InfoHash]int64
	trash                  []manifests.Entry
	emptyDirs              []string
	recent                 []manifests.Entry
	limit                  manifests.Limit
	allow, report, folds   bool
	main                   string // default oslo; this site is lima
	role                   string // the marker's; default copy
	stopped                string
	exclude                string
}

const root = "/data/photos"

var planTime = time.Date(2020, 5, 6, 7, 8, 9, 10, time.UTC)

// f is a listed file; equal text is equal Content.
func f(path, text string) manifests.Entry { return fIn("photos", path, text) }

func fIn(tree, path, text string) manifests.Entry {
	return manifests.Entry{
		Tree: tree, Path: manifests.Path(path), Length: int64(len(text)), ModTime: planTime,
		InfoHash: sha1.Sum([]byte(tree + "\x00" + path + "\x00" + text)), Content: sha256.Sum256([]byte(text)),
	}
}

func executable(e manifests.Entry) manifests.Entry { e.Executable = true; return e }

func at(e manifests.Entry, t time.Time) manifests.Entry { e.ModTime = t; return e }

// on puts entries on disk as listed.
func on(entries ...manifests.Entry) map[string]apply.FileState {
	files := map[string]apply.FileState{}
	for _, e := range entries {
		st := apply.FileState{Type: apply.RegularFile, Size: e.Length, ModTime: e.ModTime, Executable: e.Executable}
		switch e.Kind {
		case manifests.Symlink:
			st = apply.FileState{Type: apply.Link, Target: e.Target}
		case manifests.EmptyDir:
			st = apply.FileState{Type: apply.Directory}
		}
		files[string(e.Path)] = st
	}
	return files
}

// with puts something else on disk.
func with(files map[string]apply.FileState, path string, st apply.FileState) map[string]apply.FileState {
	files[path] = st
	return files
}

func seeding(entries ...manifests.Entry) []apply.Torrent {
	var all []apply.Torrent
	for _, e := range entries {
		all = append(all, apply.Torrent{InfoHash: e.InfoHash, Root: root, State: apply.Seeding})
	}
	return all
}

func inStaging(e manifests.Entry, state apply.State, left int64, words string) apply.Torrent {
	return apply.Torrent{
		InfoHash: e.InfoHash, Root: root + "/.seedtree/staging/" + e.InfoHash.String() + "/photos",
		State: state, Left: left, Err: words,
	}
}

func inTree(e manifests.Entry, state apply.State, left int64, words string) apply.Torrent {
	return apply.Torrent{InfoHash: e.InfoHash, Root: root, State: state, Left: left, Err: words}
}

// build turns a situation into the arguments of NewPlan.
func (s situation) build(t testing.TB) (apply.Desired, *apply.Observation) {
	m := testManifest("oslo")
	if s.main != "" {
		m.Main = s.main
	}
	m.Prune.Limit = s.limit
	if s.limit == (manifests.Limit{}) {
		m.Prune.Limit = manifests.Limit{Percent: 90, Files: 1000}
	}
	if s.exclude != "" {
		m.Sites["lima"] = manifests.SiteSpec{Exclude: []string{s.exclude}}
	}
	v := &apply.TreeView{
		Root: root, Stopped: s.stopped, FoldsCase: s.folds,
		Marker: manifests.Marker{Tree: "photos", Site: "lima", Role: manifests.RoleCopy},
		Files:  map[manifests.Path]apply.FileState{}, Staged: map[manifests.InfoHash]apply.StagedState{},
	}
	if s.role != "" {
		v.Marker.Role = s.role
	}
	for name, st := range s.files {
		v.Files[manifests.Path(name)] = st
	}
	for h, size := range s.staged {
		v.Staged[h] = apply.StagedState{Size: size}
	}
	for _, dir := range s.emptyDirs {
		v.Empty = append(v.Empty, manifests.Path(dir))
	}
	o := &apply.Observation{
		Site: "lima", Torrents: map[manifests.InfoHash]apply.Torrent{}, Trees: map[string]*apply.TreeView{"photos": v},
		Trash: map[manifests.Content]apply.TrashItem{}, Recent: map[manifests.InfoHash]bool{},
	}
	if s.report {
		o.Drift = apply.Report
	}
	for _, one := range s.torrents {
		o.Torrents[one.InfoHash] = one
	}
	for _, e := range s.trash {
		o.Trash[e.Content] = apply.TrashItem{Tree: e.Tree, Folder: "then", Path: e.Path, Content: e.Content, Length: e.Length}
	}
	for _, e := range s.recent {
		o.Recent[e.InfoHash] = true
	}
	d := apply.Desired{Revision: "rev", Manifest: m, Listing: listing(t, s.listed...), AllowPrune: s.allow}
	if s.owned != nil {
		d.Owned = listing(t, s.owned...)
	}
	if s.earlier != nil {
		d.Earlier = []*manifests.Listing{listing(t, s.earlier...)}
	}
	return d, o
}

// tell writes a plan as the tables below expect it.
func tell(p *apply.Plan) string {
	var b strings.Builder
	for _, a := range p.Actions {
		fmt.Fprintf(&b, "%s %s", a.Kind, a.Entry.Path)
		if a.From != "" {
			fmt.Fprintf(&b, " < %s", strings.TrimPrefix(a.From, "photos/"))
		}
		if n := a.Releases(); n > 0 && a.Kind != apply.Forget && a.Kind != apply.Prune {
			fmt.Fprintf(&b, " release %d", n)
		}
		if a.Early() {
			b.WriteString(" early")
		}
		b.WriteString("\n")
	}
	for _, a := range p.Held {
		fmt.Fprintf(&b, "held %s\n", a.Entry.Path)
	}
	for _, n := range []struct {
		name string
		n    int
	}{{"in sync", p.InSync}, {"waiting", p.Waiting}, {"drift", p.Drift}, {"stopped", len(p.Stopped)}} {
		if n.n > 0 {
			fmt.Fprintf(&b, "%s %d\n", n.name, n.n)
		}
	}
	var problems []string
	for k, why := range p.Problems {
		problems = append(problems, fmt.Sprintf("problem %s: %s\n", k.Path, why))
	}
	slices.Sort(problems)
	b.WriteString(strings.Join(problems, ""))
	return strings.TrimSpace(b.String())
}

type planCase struct {
	name string
	situation
	want string
}

func runPlans(t *testing.T, cases []planCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, o := c.build(t)
			p := apply.NewPlan(d, o)
			want := strings.ReplaceAll(strings.TrimSpace(c.want), "\t", "")
			if diff := cmp.Diff(want, tell(p)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			again := apply.NewPlan(d, o)
			if diff := cmp.Diff(tell(p), tell(again)); diff != "" {
				t.Errorf("the same question got another answer:\n%s", diff)
			}
		})
	}
}
