package agent

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/gitsource"
	"seedtree/manifests"
)

func (p *place) stepDown() {
	p.t.Helper()
	site, err := apply.Open(apply.Config{Name: p.cfg.Site, Engine: p.engine, Trees: p.cfg.Trees})
	if err == nil {
		err = site.StepDown()
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// A main that was told to follow a rollback gets back what it deleted and
// changed, gives up what it had added, although no pass of its own ever saw
// that, leaves alone what was never committed, and is main again.
func TestSourceReturns(t *testing.T) {
	c := newCatalog(t)
	files := photos(t, 0, 8)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	oslo := newPlace(t, c, "oslo", manifests.RoleSource, nil)
	for _, f := range files[:5] {
		f.Write(t, oslo.root)
	}
	rebuild := func() string {
		if err := oslo.cfg.Build(t.Context()); err != nil {
			t.Fatal(err)
		}
		head, err := c.src.Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.head = head
		return head.ID()
	}
	rebuild()
	before := oslo.complete().Status
	oslo.engine.Offer(files...)

	// 00 deleted, 01 changed, 05 added and built; 06 not built.
	changed := enginetest.NewFile(t, "photos", "01.jpg", enginetest.Random(99, 500))
	if err := os.Remove(filepath.Join(oslo.root, "00.jpg")); err != nil {
		t.Fatal(err)
	}
	changed.Write(t, oslo.root)
	files[5].Write(t, oslo.root)
	slip := rebuild()
	files[6].Write(t, oslo.root)
	c.commit(listed(files[:2]...), names(files[5:6])...)

	// As main it writes nothing, and what it once held does not change that.
	if err := SetReturning(oslo.cfg.StateDir, slip); err != nil {
		t.Fatal(err)
	}
	if out := oslo.pass(); out.Status.Role != manifests.StatusMain || out.Status.Complete != before.Complete || out.Status.Applied != c.head.ID() {
		t.Errorf("as main: %+v", out.Status)
	}
	if want := []string{"01.jpg", "02.jpg", "03.jpg", "04.jpg", "05.jpg", "06.jpg"}; !slices.Equal(oslo.files(), want) {
		t.Errorf("as main it holds %v", oslo.files())
	}

	oslo.stepDown()
	if out, _, err := oslo.Plan(t.Context()); err != nil || out.Role != apply.PendingMain {
		t.Errorf("plan: %+v, %v", out, err)
	}
	oslo.complete()
	if out := oslo.pass(); out.Status.Role != manifests.StatusMain || out.Status.Complete != c.head.ID() {
		t.Errorf("in the end: %+v\n%s", out.Status, oslo.said)
	}
	if want := []string{"00.jpg", "01.jpg", "02.jpg", "03.jpg", "04.jpg", "06.jpg"}; !slices.Equal(oslo.files(), want) {
		t.Errorf("in the end it holds %v", oslo.files())
	}
	for _, f := range files[:2] {
		got, err := os.ReadFile(filepath.Join(oslo.root, string(f.Entry.Path)))
		if err != nil || !slices.Equal(got, f.Data) {
			t.Errorf("%s did not come back: %v", f.Entry.Path, err)
		}
	}
	if id, err := Built(oslo.cfg.StateDir); id != c.head.ID() || err != nil {
		t.Errorf("the source is said to be %q, %v", id, err)
	}
	if id, err := readID(oslo.cfg.StateDir, returningName); id != "" || err != nil {
		t.Errorf("it is still returning from %q, %v", id, err)
	}
	if err := SetReturning(oslo.cfg.StateDir, ""); err != nil {
		t.Errorf("nothing to take back: %v", err)
	}
}

// What others wrote into the state folder is not believed blindly.
func TestRememberedIDs(t *testing.T) {
	dir := t.TempDir()
	if id, err := Built(dir); id != "" || err != nil {
		t.Errorf("a first start: %q, %v", id, err)
	}
	if id, err := Completed(dir); id != "" || err != nil {
		t.Errorf("a first start: %q, %v", id, err)
	}
	for _, bad := range []string{"HEAD", "", "0123456"} {
		if err := SetBuilt(dir, bad); err == nil {
			t.Errorf("%q was written", bad)
		}
	}
	id := "0123456789012345678901234567890123456789"
	if err := SetBuilt(dir, id); err != nil {
		t.Fatal(err)
	}
	if got, err := Built(dir); got != id || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, name := range []string{builtName, stateName} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("garb\x00age"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Built(dir); got != "" || err == nil {
		t.Errorf("a damaged file: %q, %v", got, err)
	}
	if got, err := Completed(dir); got != "" || err == nil {
		t.Errorf("a damaged state: %q, %v", got, err)
	}
}
