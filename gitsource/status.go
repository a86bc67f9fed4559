package gitsource

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"seedtree/internal/pulse"
	"seedtree/manifests"
)

// Status branches are named status/<site> and hold one file in one commit
// without parents, so that history does not grow.
const (
	statusPrefix = "status/"
	statusFile   = "status.json"
	maxStatus    = 1 << 20 // bytes
	maxStatuses  = 4096    // sites
)

type cachedStatus struct {
	id   hash // of the commit
	data []byte
}

// PushStatus publishes a site's status document, replacing the one before.
func (s *Source) PushStatus(ctx context.Context, site string, data []byte) error {
	if err := manifests.ValidSiteName(site); err != nil {
		return err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	pulse.Step(ctx, "publishing the status")
	in, id, err := s.statusPack(site, data)
	if err != nil {
		return fmt.Errorf("push the status of %s: %w", site, err)
	}
	defer in.Close()
	u := update{ref: headRef(statusPrefix + site), force: true, new: id, pack: packSource{in.base(), in.count}}
	if err := s.push(ctx, u); err != nil {
		return fmt.Errorf("push the status of %s: %w", site, err)
	}
	return nil
}

// statusPack builds the three objects of a status branch outside the mirror.
func (s *Source) statusPack(site string, data []byte) (*incoming, hash, error) {
	blob := objectID(plumbing.BlobObject, data)
	tree := encodeTree([]treeEntry{{modeRegular, statusFile, blob}})
	treeID := objectID(plumbing.TreeObject, tree)
	commit := encodeCommit(treeID, nil, s.cfg.Author, time.Now(), "Status of "+site)
	id := objectID(plumbing.CommitObject, commit)
	in, err := newIncoming(s.path(incomingName), s.lim)
	if err != nil {
		return nil, id, err
	}
	in.beat = s.beat
	err = in.build(func(p *packWriter) error {
		_ = p.add(id, plumbing.CommitObject, commit)
		_ = p.add(treeID, plumbing.TreeObject, tree)
		return p.add(blob, plumbing.BlobObject, data)
	})
	if err != nil {
		_ = in.Close()
		return nil, id, err
	}
	return in, id, nil
}

// Statuses fetches every site's newest status document, by site. A branch that is
// not one of ours, or holds something else, is left out and logged.
func (s *Source) Statuses(ctx context.Context) (map[string][]byte, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	now := map[string]hash{}
	choose := func(heads map[string]hash) (wants, _ []hash, err error) {
		clear(now)
		for name, id := range heads {
			site, ok := strings.CutPrefix(name, statusPrefix)
			if !ok || id.IsZero() || manifests.ValidSiteName(site) != nil {
				continue
			}
			if len(now) == maxStatuses {
				return nil, nil, fmt.Errorf("status branches: %w: more than %d", ErrTooLarge, maxStatuses)
			}
			now[site] = id
			if s.statuses[site].id != id {
				wants = append(wants, id)
			}
		}
		return wants, nil, nil
	}
	// A status branch with a history behind it is no status branch: what it may
	// cost the others is bounded.
	lim := limits{pack: 64 << 20, object: maxStatus, inflated: 256 << 20, base: 256 << 20, memory: 64 << 20}
	in, err := s.receiveAny(ctx, lim, choose, func(hash) bool { return false }, func(*incoming) error { return nil })
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return s.readStatuses(in, now), nil
}

func (s *Source) readStatuses(in *incoming, now map[string]hash) map[string][]byte {
	scratch := openStore(in.dir, ErrRemoteDamaged)
	scratch.beat = in.beat
	defer scratch.Close()
	kept := make(map[string]cachedStatus, len(now))
	out := make(map[string][]byte, len(now))
	for site, id := range now {
		c := s.statuses[site]
		if c.id != id {
			data, err := scratch.status(id)
			if err != nil {
				s.log.Warn("status branch left out", "site", site, "err", err)
				continue
			}
			c = cachedStatus{id, data}
		}
		kept[site] = c
		out[site] = append([]byte(nil), c.data...)
	}
	s.statuses = kept
	return out
}

func (s *store) status(id hash) ([]byte, error) {
	c, err := s.commit(id)
	if err != nil {
		return nil, err
	}
	e, err := s.lookup(c.tree, statusFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", statusFile, err)
	}
	return s.blob(e.id, maxStatus)
}
