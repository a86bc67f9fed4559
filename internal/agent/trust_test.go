package agent

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"seedtree/gitsource"
)

// A revision that was taken over unsigned is not the last good one any more once
// signatures are asked for: whoever turns them on has a reason.
func TestStricterTrustStopsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	c := newCatalog(t)
	c.commit([]gitsource.File{put("manifest.yaml", manifest("oslo"))})
	site := &stepSite{}
	cfg, _ := c.config(site)
	mirror := t.TempDir()
	cfg.Source = c.open(mirror)
	if _, err := newAgent(t, cfg).Reconcile(t.Context()); err != nil || len(site.passes()) != 1 {
		t.Fatalf("%d passes, %v", len(site.passes()), err)
	}
	signers := filepath.Join(t.TempDir(), "allowed_signers")
	line := "admin:ada ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJKTl1Du+gqmXkrP+4Fc3Q5cyq0dQAr2Yw3oIVoEHHOb\n"
	if err := os.WriteFile(signers, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, trust := range []gitsource.Trust{
		{Signatures: gitsource.SignedHead, AllowedSignersFile: signers},
		{Revision: "1111111111111111111111111111111111111111"},
	} {
		src, err := gitsource.Open(gitsource.Config{URLs: []string{c.dir}, Dir: mirror, Timeout: 10 * time.Second, Trust: trust})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = src.Close() })
		cfg.Source = src
		out, err := newAgent(t, cfg).Reconcile(t.Context())
		if !errors.Is(err, gitsource.ErrUntrusted) || len(site.passes()) != 1 {
			t.Errorf("%s: %d passes, %v", trust.Signatures, len(site.passes()), err)
		}
		if len(out.Status.Errors) == 0 {
			t.Errorf("the status says nothing: %+v", out.Status)
		}
	}
}
