package apply_test

import (
	"os"
	"strings"
	"testing"

	"seedtree/apply"
	"seedtree/manifests"
)

// The drives remember what was applied, through a change of role, and nobody else's
// drive is asked.
func TestRemember(t *testing.T) {
	w := newMain(t, "photos", "music")
	first, second := strings.Repeat("1", 40), strings.Repeat("2", 40)
	last := func(tree, site string) string { return apply.LastApplied(w.roots[tree], tree, site) }
	if got := last("photos", "lima"); got != "" {
		t.Errorf("before anything was applied: %q", got)
	}
	must(t, w.site.Remember(first))
	must(t, w.site.StepDown())
	if m, err := w.site.Marker("music"); err != nil || m.Applied != first || m.Role != manifests.RoleCopy {
		t.Errorf("%+v, %v", m, err)
	}
	// A drive that is away has not seen what comes next.
	away := w.roots["music"] + "-away"
	must(t, os.Rename(w.roots["music"], away))
	must(t, os.Mkdir(w.roots["music"], 0o755))
	must(t, w.site.Remember(second))
	if got := last("photos", "lima"); got != second {
		t.Errorf("photos: %q", got)
	}
	if got := last("music", "lima"); got != "" {
		t.Errorf("an empty mount point remembers %q", got)
	}
	if got := apply.LastApplied(away, "music", "lima"); got != first {
		t.Errorf("music: %q", got)
	}
	if got := last("photos", "oslo"); got != "" {
		t.Errorf("another site's drive: %q", got)
	}
	if got := apply.LastApplied(t.TempDir()+"/nowhere", "photos", "lima"); got != "" {
		t.Errorf("nothing: %q", got)
	}
}
