package apply

import (
	"context"
	"path/filepath"

	"seedtree/internal/pulse"
	"seedtree/manifests"
)

// Settle is the cheap pass between full ones: it asks the engine and places
// what was fetched, without looking at the trees. Only files are replaced by
// files; anything less plain is left to the next full pass. Result.Waiting
// tells how many transfers are left.
func (s *Site) Settle(ctx context.Context, d Desired) (*Result, error) {
	s.beat = pulse.Of(ctx)
	pulse.Step(ctx, "asking the client what has arrived")
	last, left := s.progress, map[manifests.InfoHash]int64{}
	p := &Plan{Revision: d.Revision, Role: Follower, Stopped: map[string]string{}}
	wanted := Wanted(d.Manifest, s.cfg.Name, d.Listing)
	if last.revision != d.Revision {
		last = progress{}
	}
	if len(last.awaited) == 0 {
		return &Result{Revision: d.Revision, Actions: map[ActionKind]int{}, Entries: wanted.Len()}, nil
	}
	o := &Observation{Recent: map[manifests.InfoHash]bool{}}
	if err := s.observeEngine(ctx, o); err != nil {
		return nil, err
	}
	for _, e := range last.awaited {
		t := o.Torrents[e.InfoHash]
		staged := t.Root == filepath.Clean(stagingRoot(s.roots[e.Tree], e.InfoHash, e.Tree))
		switch {
		case t.InfoHash == e.InfoHash && staged && t.Done():
			p.Actions = append(p.Actions, Action{Kind: Place, Entry: e, Reason: "fetched", release: d.oldTorrents(e)})
		default:
			left[e.InfoHash] = t.Left
		}
	}
	return s.settle(ctx, d, p, last, left)
}

func (s *Site) settle(ctx context.Context, d Desired, p *Plan, last progress, left map[manifests.InfoHash]int64) (*Result, error) {
	x := s.newExecution(d, p)
	x.settle = true
	defer x.close()
	for _, name := range s.names {
		t, err := s.open(name)
		if err != nil {
			x.res.Stopped[name] = err.Error()
			continue
		}
		t.bin = &bin{t: t, now: s.cfg.Clock(), revision: d.Revision}
		x.trees[name] = t
	}
	pulse.Step(ctx, "placing what was fetched")
	err := x.place(ctx)
	if err == nil {
		err = x.addAgain(ctx)
	}
	// Everything that is not in place now is awaited still, whatever the reason.
	r := x.res
	x.awaited, r.Waiting, r.BytesMissing, r.Missing = nil, 0, 0, nil
	for _, e := range last.awaited {
		if !x.settled[e.InfoHash] {
			x.awaited = append(x.awaited, e)
			r.missing(e.Key(), left[e.InfoHash])
		}
	}
	x.countUnseen()
	r.Entries, r.InSync = x.wanted.Len(), x.wanted.Len()-r.Waiting
	r.Complete = last.others && r.Waiting == 0 && len(r.Errors) == 0 && err == nil
	s.progress = progress{revision: d.Revision, others: last.others, awaited: x.awaited}
	return r, err
}
