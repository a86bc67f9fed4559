package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/builder"
	"seedtree/gitsource"
	"seedtree/manifests"
)

// place is one real site: a tree, an engine in memory, an agent.
type place struct {
	*Agent
	t      *testing.T
	root   string
	engine *enginetest.Memory
	cfg    Config
	said   *logs
}

// newPlace makes a site whose tree carries a marker of the given role.
func newPlace(t *testing.T, c *catalog, name, role string, change func(*Config)) *place {
	t.Helper()
	p := &place{t: t, root: filepath.Join(t.TempDir(), "photos"), engine: enginetest.NewMemory()}
	if err := os.Mkdir(p.root, 0o755); err != nil {
		t.Fatal(err)
	}
	site, err := apply.Open(apply.Config{Name: name, Engine: p.engine, Trees: map[string]string{"photos": p.root}})
	if err != nil {
		t.Fatal(err)
	}
	if err := site.InitTree("photos", role); err != nil {
		t.Fatal(err)
	}
	p.cfg, p.said = c.config(site)
	p.cfg.Site, p.cfg.Meter, p.cfg.Trees = name, p.engine, map[string]string{"photos": p.root}
	p.cfg.Build = func(ctx context.Context) error { return build(ctx, p.cfg.Source, name, p.root) }
	if change != nil {
		change(&p.cfg)
	}
	p.Agent = newAgent(t, p.cfg)
	return p
}

// build is what the verb does: fetch, build on top, commit, push.
func build(ctx context.Context, src *gitsource.Source, site, root string) error {
	head, err := src.Fetch(ctx)
	if err != nil {
		return err
	}
	m, err := head.Manifest(ctx)
	if err != nil {
		return err
	}
	before, err := head.Listing(ctx)
	if err != nil {
		return err
	}
	res, err := builder.Build(ctx, builder.Options{Site: site, Trees: map[string]string{"photos": root}, Manifest: m, Previous: before})
	if err != nil {
		return err
	}
	c := gitsource.Commit{Message: "build at " + site, Delete: res.Delete}
	for i := range res.Put.Len() {
		b := res.Put.At(i)
		c.Put = append(c.Put, gitsource.File{Name: b.Name, Data: b.Data, Mode: gitsource.Mode(b.Mode)})
	}
	if len(c.Put)+len(c.Delete) == 0 {
		return nil
	}
	rev, err := src.Commit(ctx, head, c)
	if err != nil {
		return err
	}
	return src.Push(ctx, rev)
}

func (p *place) pass() *Outcome {
	p.t.Helper()
	out, err := p.Reconcile(p.t.Context())
	if err != nil {
		p.t.Fatalf("%v\n%s", err, p.said)
	}
	return out
}

// complete passes, feeds and settles until everything is in place.
func (p *place) complete() *Outcome {
	p.t.Helper()
	out := p.pass()
	for range 5 {
		if out.Result.Complete {
			return out
		}
		if err := p.engine.Feed(); err != nil {
			p.t.Fatal(err)
		}
		var err error
		if out, err = p.Settle(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
	}
	p.t.Fatalf("not complete: %+v\n%s", out.Result, p.said)
	return nil
}

// files lists what a reader of the tree sees.
func (p *place) files() (names []string) {
	p.t.Helper()
	found, err := os.ReadDir(p.root)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range found {
		if f.Name() != manifests.PrivateDir {
			names = append(names, f.Name())
		}
	}
	return names
}

func photos(t *testing.T, from, to int) (files []enginetest.File) {
	for i := from; i < to; i++ {
		files = append(files, enginetest.NewFile(t, "photos", fmt.Sprintf("%02d.jpg", i), enginetest.Random(uint64(i), 1000+i)))
	}
	return files
}

func names(files []enginetest.File) (names []string) {
	for _, f := range files {
		names = append(names, manifests.CatalogName(f.Entry))
	}
	return names
}

func TestFollowerCompletes(t *testing.T) {
	c := newCatalog(t)
	files := photos(t, 0, 10)
	id := c.commit(append(listed(files...), put(manifests.ManifestName, manifest("oslo"))))
	lima := newPlace(t, c, "lima", manifests.RoleCopy, nil)
	lima.engine.Offer(files...)

	out := lima.pass()
	if out.Result.Waiting != 10 || out.Status.Entries.Missing != 10 || out.Status.Complete != "" || out.Status.Applied != id {
		t.Errorf("after the first pass: %+v", out.Status)
	}
	if st := out.Status; st.Bytes.Missing != st.Bytes.Listed || st.Bytes.Listed == 0 || len(st.MissingSample) != 10 || st.DiskFree["photos"] == 0 {
		t.Errorf("bytes after the first pass: %+v", st)
	}
	if err := lima.engine.Feed(files[0].Entry.InfoHash); err != nil {
		t.Fatal(err)
	}
	if out, err := lima.Settle(t.Context()); err != nil || out.Status.Entries.InSync != 1 || out.Status.Entries.Missing != 9 {
		t.Errorf("after one file: %+v, %v", out.Status.Entries, err)
	}
	out = lima.complete()
	if st := out.Status; st.Complete != id || st.Entries.InSync != 10 || st.Entries.Missing != 0 || st.Bytes.Missing != 0 || st.Role != manifests.StatusFollower {
		t.Errorf("when complete: %+v", st)
	}
	if got := lima.files(); len(got) != 10 {
		t.Errorf("the tree holds %v", got)
	}
	if out := lima.pass(); len(out.Plan.Actions) != 0 || len(out.Status.Pass.Actions) != 0 {
		t.Errorf("a pass with nothing to do did %v, %v", out.Plan.Actions, out.Status.Pass.Actions)
	}
}

// Removals over the limit are held; the approval of the revision, a commit of
// its own, releases them, and nothing later.
func TestHeldAndApproved(t *testing.T) {
	c := newCatalog(t)
	files := photos(t, 0, 20)
	c.commit(append(listed(files...), put(manifests.ManifestName, manifest("oslo"))))
	lima := newPlace(t, c, "lima", manifests.RoleCopy, nil)
	lima.engine.Offer(files...)
	lima.complete()

	cut := c.commit(nil, names(files[5:])...)
	out := lima.pass()
	if len(out.Plan.Held) != 15 || out.Status.Entries.Held != 15 || out.Status.Applied == cut || len(lima.files()) != 20 || len(out.Status.Errors) == 0 {
		t.Fatalf("over the limit: %+v, files %v", out.Status, lima.files())
	}
	approved := manifest("oslo", func(b []byte) ([]byte, error) { return manifests.SetApproved(b, cut) })
	ok := c.commit([]gitsource.File{put(manifests.ManifestName, approved)})
	out = lima.pass()
	if len(out.Plan.Held) != 0 || out.Status.Applied != ok || len(lima.files()) != 5 {
		t.Fatalf("approved: %+v, files %v", out.Status, lima.files())
	}
	// The approval stands in the manifest for ever, and covers nothing new.
	more := photos(t, 30, 45)
	lima.engine.Offer(more...)
	c.commit(listed(more...))
	lima.complete()
	c.commit(nil, names(more)...)
	if out := lima.pass(); len(out.Plan.Held) != 15 || len(lima.files()) != 20 {
		t.Errorf("an old approval let through what nobody looked at: %+v", out.Status)
	}
	// The same by hand, for this site and this revision alone.
	lima.cfg.AllowPrune = c.head.Short()
	lima.Agent = newAgent(t, lima.cfg)
	if out := lima.pass(); len(out.Plan.Held) != 0 || len(lima.files()) != 5 {
		t.Errorf("allowed by an operator: %+v, files %v", out.Status, lima.files())
	}
}

// The main site builds on its schedule and no other site does; when main moves,
// the new one completes first, then builds, and the old one follows.
func TestBuildsWhileMain(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	often := func(cfg *Config) { cfg.Schedule.Sync, cfg.Schedule.Build = "@every 1s", "@every 1s" }
	oslo := newPlace(t, c, "oslo", manifests.RoleSource, often)
	lima := newPlace(t, c, "lima", manifests.RoleCopy, often)
	files := photos(t, 0, 4)
	for _, f := range files[:2] {
		f.Write(t, oslo.root)
	}
	oslo.engine.Offer(files...)
	lima.engine.Offer(files...)
	start(t, oslo.Agent)
	start(t, lima.Agent)
	entries := func(p *place, n int) func() bool {
		return func() bool {
			_ = p.engine.Feed()
			st := p.Status()
			return st.Complete != "" && st.Complete == st.Attempted && st.Entries.InSync == n && st.Entries.Listed == n
		}
	}
	waitFor(t, "oslo to build and seed", entries(oslo, 2))
	waitFor(t, "lima to follow", entries(lima, 2))
	if st := lima.Status(); st.Role != manifests.StatusFollower {
		t.Errorf("lima is %s", st.Role)
	}

	head, err := c.src.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.head = head
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("lima"))})
	waitFor(t, "lima to be main", func() bool { return lima.Status().Role == manifests.StatusMain })
	waitFor(t, "oslo to follow", func() bool { return oslo.Status().Role == manifests.StatusFollower })
	files[2].Write(t, lima.root)
	waitFor(t, "lima to build", entries(lima, 3))
	waitFor(t, "oslo to fetch", entries(oslo, 3))
	if got := oslo.files(); len(got) != 3 {
		t.Errorf("oslo holds %v", got)
	}
	if strings.Contains(lima.said.String(), "build failed") || strings.Contains(oslo.said.String(), "build failed") {
		t.Errorf("a build failed:\n%s\n%s", oslo.said, lima.said)
	}
}

// A build that fails is told with every pass until one succeeds.
func TestFailedBuildIsTold(t *testing.T) {
	c := newCatalog(t)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	calls := make(chan error)
	oslo := newPlace(t, c, "oslo", manifests.RoleSource, func(cfg *Config) {
		cfg.Schedule.Build = "@every 1s"
		cfg.Build = func(ctx context.Context) error {
			select {
			case err := <-calls:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	start(t, oslo.Agent)
	calls <- errors.New("source not mounted")
	waitFor(t, "the failure to be told", func() bool {
		return strings.Contains(strings.Join(oslo.Status().Errors, "\n"), "source not mounted")
	})
	calls <- nil
	waitFor(t, "the success", func() bool { return len(oslo.Status().Errors) == 0 })
}

// An unmounted drive stops its tree, and the status says so.
func TestUnmountedTree(t *testing.T) {
	c := newCatalog(t)
	files := photos(t, 0, 3)
	c.commit(append(listed(files...), put(manifests.ManifestName, manifest("oslo"))))
	lima := newPlace(t, c, "lima", manifests.RoleCopy, nil)
	lima.engine.Offer(files...)
	before := lima.complete().Status
	if err := os.Rename(lima.root, lima.root+".unmounted"); err != nil {
		t.Fatal(err)
	}
	c.commit(nil, names(files[:1])...)
	out, err := lima.Reconcile(t.Context())
	if err != nil || out.Result == nil || len(out.Result.Stopped) != 1 || out.Status.Applied != before.Applied {
		t.Fatalf("%+v, %v", out, err)
	}
	if !strings.Contains(strings.Join(out.Status.Errors, "\n"), "photos") {
		t.Errorf("status says %q", out.Status.Errors)
	}
	if err := os.Rename(lima.root+".unmounted", lima.root); err != nil {
		t.Fatal(err)
	}
	if out := lima.pass(); out.Status.Applied != c.head.ID() || len(lima.files()) != 2 {
		t.Errorf("mounted again: %+v, files %v", out.Status, lima.files())
	}
}

// A site that was killed in a pass, and finds git gone when it starts again,
// still places what arrives.
func TestResumesWithoutGit(t *testing.T) {
	c := newCatalog(t)
	files := photos(t, 0, 3)
	id := c.commit(append(listed(files...), put(manifests.ManifestName, manifest("oslo"))))
	lima := newPlace(t, c, "lima", manifests.RoleCopy, nil)
	lima.engine.Offer(files...)
	lima.pass()
	if err := os.Rename(c.dir, c.dir+".away"); err != nil {
		t.Fatal(err)
	}
	lima.Agent = newAgent(t, lima.cfg)
	if err := lima.engine.Feed(); err != nil {
		t.Fatal(err)
	}
	out, err := lima.Reconcile(t.Context())
	if !errors.Is(err, gitsource.ErrUnreachable) || !out.Result.Complete || out.Status.Complete != id || len(lima.files()) != 3 {
		t.Errorf("%+v, %v, files %v", out.Status, err, lima.files())
	}
}
