package agent

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"seedtree/apply"
	"seedtree/gitsource"
	"seedtree/manifests"
)

// While oslo slept, lima was main and oslo became it again. What oslo then
// lacks was never deleted, and what it still has was: it completes first.
func TestMainMovedAndBackMeanwhile(t *testing.T) {
	c := newCatalog(t)
	files := photos(t, 0, 12)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})
	oslo := newPlace(t, c, "oslo", manifests.RoleSource, nil)
	for _, f := range files[:10] {
		f.Write(t, oslo.root)
	}
	if err := oslo.cfg.Build(t.Context()); err != nil {
		t.Fatal(err)
	}
	oslo.complete()
	oslo.engine.Offer(files...)
	head, err := c.src.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.head = head
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("lima"))})
	c.commit(listed(files[10:]...), names(files[:1])...)
	c.commit([]gitsource.File{put(manifests.ManifestName, manifest("oslo"))})

	// A folder that is not there keeps everything as it is.
	if err := os.Rename(oslo.root, oslo.root+".away"); err != nil {
		t.Fatal(err)
	}
	if out, err := oslo.Reconcile(t.Context()); !errors.Is(err, apply.ErrNoMarker) || out.Revision != head.ID() {
		t.Fatalf("without its drive: %v, at %s", err, out.Revision)
	}
	if err := os.Rename(oslo.root+".away", oslo.root); err != nil {
		t.Fatal(err)
	}
	if out := oslo.pass(); out.Status.Role != manifests.StatusPendingMain {
		t.Fatalf("it took its old files for the truth: %+v", out.Status)
	}
	oslo.complete()
	if out := oslo.pass(); out.Status.Role != manifests.StatusMain {
		t.Errorf("in the end: %+v\n%s", out.Status, oslo.said)
	}
	if got := oslo.files(); len(got) != 11 || slices.Contains(got, "00.jpg") || !slices.Contains(got, "11.jpg") {
		t.Errorf("it holds %v", got)
	}
	// And it stays main while nobody else is.
	if err := os.Remove(filepath.Join(oslo.root, "05.jpg")); err != nil {
		t.Fatal(err)
	}
	if err := oslo.cfg.Build(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out := oslo.pass(); out.Status.Role != manifests.StatusMain || len(oslo.files()) != 10 {
		t.Errorf("after a build of its own: %+v, %v", out.Status, oslo.files())
	}
}
