package agent

import (
	"context"
	"fmt"
	"testing"

	"seedtree/apply/enginetest"
	"seedtree/gitsource"
	"seedtree/manifests"
)

// approvals is a history to ask about:
//
//	base    ten files
//	cut     nine of them removed
//	ok      the commit that approves cut: manifest.yaml alone
//	grown   five files more
//	back    those five removed again: the listing is that of cut
//	fewer   the tenth file removed as well
//	narrow  this site includes less than at cut
type approvals struct {
	*catalog
	base, cut, ok, grown, back, fewer, narrow *gitsource.Revision
}

func newApprovals(t *testing.T) *approvals {
	h := &approvals{catalog: newCatalog(t)}
	file := func(i int) gitsource.File {
		return listed(enginetest.NewFile(t, "photos", fmt.Sprintf("%02d.jpg", i), fmt.Appendf(nil, "file %d", i)))[0]
	}
	approve := func(rev string) gitsource.File {
		return put(manifests.ManifestName, manifest("oslo", func(b []byte) ([]byte, error) { return manifests.SetApproved(b, rev) }))
	}
	next := func(files []gitsource.File, remove ...string) *gitsource.Revision {
		h.commit(files, remove...)
		return h.head
	}
	start, more := []gitsource.File{put(manifests.ManifestName, manifest("oslo"))}, []gitsource.File(nil)
	var gone, again []string
	for i := range 10 {
		start = append(start, file(i))
		if i > 0 {
			gone = append(gone, file(i).Name)
		}
	}
	for i := 20; i < 25; i++ {
		more = append(more, file(i))
		again = append(again, file(i).Name)
	}
	h.base = next(start)
	h.cut = next(nil, gone...)
	h.ok = next([]gitsource.File{approve(h.cut.ID())})
	h.grown = next(more)
	h.back = next(nil, again...)
	h.fewer = next(nil, file(0).Name)
	h.head = h.ok // two branches end in a fork
	var err error
	narrow := manifests.NewManifest("oslo", []string{"photos"}, nil, map[string]manifests.SiteSpec{
		"oslo": {}, "lima": {Exclude: []string{"photos/00.jpg"}},
	})
	h.narrow, err = h.src.Commit(context.Background(), h.ok, gitsource.Commit{Message: "narrow", Put: []gitsource.File{put(manifests.ManifestName, narrow)}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestApproval(t *testing.T) {
	h := newApprovals(t)
	a := &Agent{cfg: Config{Site: "lima"}, listings: map[string]*manifests.Listing{}}
	ids := func(revs ...*gitsource.Revision) (out []string) {
		for _, r := range revs {
			out = append(out, r.ID())
		}
		return out
	}
	for _, c := range []struct {
		name     string
		approved string
		desired  *gitsource.Revision
		owned    []string
		want     bool
	}{
		{"the revision itself", h.cut.ID(), h.cut, ids(h.base), true},
		{"a short id", h.cut.Short(), h.cut, ids(h.base), true},
		{"the approval's own commit", h.cut.ID(), h.ok, ids(h.base), true},
		{"after the held pass", h.cut.ID(), h.ok, ids(h.base, h.cut), true},
		{"something added since", h.cut.ID(), h.grown, ids(h.base, h.cut), true},
		{"a revision that is not there", "0123456789abcdef0123456789abcdef01234567", h.cut, ids(h.base), false},
		{"an approval of what came before", h.base.ID(), h.cut, ids(h.base), false},
		{"a revision not yet reached", h.ok.ID(), h.cut, ids(h.base), false},
		{"more removed since", h.cut.ID(), h.fewer, ids(h.base), false},
		{"files that came after and go again", h.cut.ID(), h.back, ids(h.grown), false},
		{"the same, with the old ones still here", h.cut.ID(), h.back, ids(h.base, h.grown), false},
		{"the same, for a site that never saw them", h.cut.ID(), h.back, ids(h.base), true},
		{"a site that includes less than it did", h.cut.ID(), h.narrow, ids(h.base), false},
		{"lost state, direct child", h.cut.ID(), h.ok, nil, true},
		{"lost state, old approval", h.cut.ID(), h.grown, nil, false},
		{"owned by rewritten history", h.cut.ID(), h.ok, []string{"0123456789abcdef0123456789abcdef01234567"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ask := approval{source: h.src, site: "lima", listing: a.wanted, owned: c.owned}
			got, err := ask.covers(t.Context(), c.approved, c.desired)
			if err != nil || got != c.want {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

// What a manifest may not name: HEAD would approve everything for ever.
func TestApprovalNamesACommit(t *testing.T) {
	for name, want := range map[string]bool{
		"0123456789abcdef0123456789abcdef01234567": true, "0123abc": true,
		"": false, "HEAD": false, "HEAD~0": false, "main": false, "012": false, "0123456789ABCDEF": false,
	} {
		if got := commitID.MatchString(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

// What an operator names on the command line is one revision: HEAD is the one
// it was when somebody looked, not every one that comes while the site waits.
func TestAllowedHeadStaysThatRevision(t *testing.T) {
	c := newCatalog(t)
	files := photos(t, 0, 30)
	c.commit(append(listed(files...), put(manifests.ManifestName, manifest("oslo"))))
	lima := newPlace(t, c, "lima", manifests.RoleCopy, nil)
	lima.engine.Offer(files...)
	lima.complete()
	c.commit(nil, names(files[20:])...)
	lima.cfg.AllowPrune = "HEAD"
	lima.Agent = newAgent(t, lima.cfg)
	if out := lima.pass(); len(out.Plan.Held) != 0 || len(lima.files()) != 20 {
		t.Fatalf("what was looked at: %+v", out.Status)
	}
	c.commit(nil, names(files[5:20])...)
	if out := lima.pass(); len(out.Plan.Held) != 15 || len(lima.files()) != 20 {
		t.Errorf("what nobody looked at went: %+v", out.Status)
	}
}
