package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"seedtree/internal/durable"
	"seedtree/internal/pulse"
)

// Fetch gets the newest head of the branch. It moves forward only: a head that
// does not descend from the one before is a *RewoundError and changes nothing.
// A damaged mirror is made anew, and the log says so.
func (s *Source) Fetch(ctx context.Context) (*Revision, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	pulse.Step(ctx, "fetching the catalog")
	var rev *Revision
	err = s.healing(ctx, func() (err error) {
		rev, err = s.fetch(ctx)
		return err
	})
	return rev, err
}

// healing does something with the remote, and when the mirror proves damaged makes
// it anew and does it again.
func (s *Source) healing(ctx context.Context, do func() error) error {
	err := do()
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	if err := s.remake(ctx, err); err != nil {
		return err
	}
	if err = do(); err == nil {
		s.log.Info("the mirror is whole again", "dir", s.cfg.Dir)
	}
	return err
}

func (s *Source) fetch(ctx context.Context) (*Revision, error) {
	var head hash
	err := s.read(ctx, s.remotes, func(r remote) (err error) {
		if head, err = s.fetchObjects(ctx, r); err != nil {
			return err
		}
		if err = s.forward(ctx, head); err != nil {
			return err
		}
		return s.judge(ctx, head, false)
	})
	refused := s.refused
	s.locked = s.barred
	s.passed.Store(&refused)
	if errors.Is(err, ErrRewound) || errors.Is(err, ErrUntrusted) || errors.Is(err, ErrNoSigners) || errors.Is(err, ErrDamaged) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("fetch the catalog: %w", err)
	}
	rev, err := s.revision(head)
	if err != nil {
		return nil, err
	}
	if err := s.moveTip(head); err != nil {
		return nil, err
	}
	if err := s.consolidate(ctx); err != nil {
		s.noteDamage(err)
		s.log.Warn("merge the mirror's packs", "err", err)
	}
	return rev, nil
}

// forward fails unless a head that was just fetched is the tip or descends from it.
func (s *Source) forward(ctx context.Context, head hash) error {
	tip := s.st.tip()
	if tip.IsZero() || tip == head {
		return nil
	}
	st, err := s.open()
	if err != nil {
		return err
	}
	forward, err := descends(ctx, st, head, tip)
	if err != nil {
		return err
	}
	if forward {
		return s.undone(ctx, st, head, tip)
	}
	rewound := &RewoundError{From: tip.String(), To: head.String()}
	if st.has(tip) {
		rewound.Behind, err = descends(ctx, st, tip, head)
	}
	return errors.Join(rewound, err)
}

// fetchObjects brings the head of a remote's branch and all it needs into the mirror.
func (s *Source) fetchObjects(ctx context.Context, r remote) (head hash, err error) {
	if s.st.Damaged != "" {
		return head, fmt.Errorf("%w: %s", ErrDamaged, s.st.Damaged)
	}
	st, err := s.open()
	if err != nil {
		return head, err
	}
	if err := s.checkTip(st); err != nil {
		return head, err
	}
	choose := func(heads map[string]hash) (wants, _ []hash, err error) {
		id, ok := heads[s.cfg.Branch]
		if !ok {
			return nil, nil, s.noBranch(heads)
		}
		if id.IsZero() {
			return nil, nil, fmt.Errorf("branch %s: %w: its reference cannot be read", s.cfg.Branch, ErrRemoteDamaged)
		}
		if head = id; st.has(id) {
			return nil, nil, nil
		}
		haves, err := s.haves(st) // only now: reading them is all that a look without news would cost
		return []hash{id}, haves, err
	}
	in, err := s.receive(ctx, r, s.lim, choose, st.has)
	if err != nil {
		return head, err
	}
	defer in.Close()
	if in.name == "" {
		return head, nil
	}
	if err := in.verify(ctx, []hash{head}, st.has); err != nil {
		return head, err
	}
	if err := in.install(s.path(gitName)); err != nil {
		return head, err
	}
	_, err = s.reopen()
	return head, err
}

// receive fetches from one remote into a scratch directory, which the caller closes.
func (s *Source) receive(ctx context.Context, r remote, lim limits, choose chooser, have func(hash) bool) (*incoming, error) {
	// We hold the lock, so what is there was left by a crash.
	if err := os.RemoveAll(s.path(incomingName)); err != nil {
		return nil, err
	}
	in := lateIncoming(s.path(incomingName), lim)
	in.beat, in.ctx = s.beat, ctx
	if err := r.fetch(s.beating(ctx), choose, have, in); err != nil {
		_ = in.Close()
		return nil, err
	}
	return in, nil
}

// receiveAny is receive from the first remote whose answer passes a check.
func (s *Source) receiveAny(ctx context.Context, lim limits, choose chooser, have func(hash) bool, check func(*incoming) error) (in *incoming, err error) {
	err = s.read(ctx, s.preferred(), func(r remote) (err error) {
		if in, err = s.receive(ctx, r, lim, choose, have); err != nil {
			return err
		}
		if err = check(in); err != nil {
			_ = in.Close()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fetch the catalog: %w", err)
	}
	return in, nil
}

// verifyRoom is how many bytes of bases are kept while all trees of a pack are read: ten
// flat directories of 100,000 names can change by turns.
const verifyRoom = 96 << 20

// verify fails unless all that the wanted commits refer to came with the pack or is had.
func (in *incoming) verify(ctx context.Context, wants []hash, have func(hash) bool) error {
	if in.own {
		return nil // built from a walk over the very same objects
	}
	scratch := openStore(in.dir, ErrRemoteDamaged)
	scratch.beat = in.beat
	defer scratch.Close()
	for _, p := range scratch.packs {
		// Trees come in the order of history and not of the pack: what is made along the
		// way is made more than once, and with a hostile order over and over.
		p.room, p.most = verifyRoom, 4*in.lim.work(p.end)
	}
	for _, id := range wants {
		if err := checkClosed(ctx, scratch, id, have); err != nil {
			return fmt.Errorf("what the remote sent: %w", err)
		}
	}
	return nil
}

// shownBranches is how many branches of a remote a message names.
const shownBranches = 10

// noBranch explains a remote without our branch.
func (s *Source) noBranch(heads map[string]hash) error {
	if s.st.Tip != "" {
		return &RewoundError{From: s.st.Tip}
	}
	var others []string
	for _, name := range slices.Sorted(maps.Keys(heads)) {
		if !strings.HasPrefix(name, statusPrefix) {
			others = append(others, name)
		}
	}
	if len(others) == 0 {
		return fmt.Errorf("branch %s: %w", s.cfg.Branch, ErrEmpty)
	}
	named := strings.Join(others[:min(len(others), shownBranches)], ", ")
	if more := len(others) - shownBranches; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Errorf("branch %s: %w; the remote has %s", s.cfg.Branch, ErrEmpty, printable(named))
}

// maxHaves is how many of our newest commits the remote is told about, so that
// after a rewind by a few it need not send everything again.
const maxHaves = 64

func (s *Source) haves(st *store) ([]hash, error) {
	tip := s.st.tip()
	if tip.IsZero() || !st.has(tip) {
		return nil, nil
	}
	ids := []hash{tip}
	for i := 0; i < len(ids) && len(ids) < maxHaves; i++ {
		c, err := st.commit(ids[i])
		if err != nil {
			return nil, err
		}
		for _, p := range c.parents {
			if !slices.Contains(ids, p) {
				ids = append(ids, p)
			}
		}
	}
	return ids, nil
}

// checkTip fails when the revision reached is lost and nobody knows of it.
func (s *Source) checkTip(st *store) error {
	tip := s.st.tip()
	if tip.IsZero() || st.has(tip) || s.st.Gone {
		return nil
	}
	return broken(ErrDamaged, "revision %s is missing", tip)
}

// remake fetches everything into a new mirror beside the old one and puts it in the
// old one's place once it is whole: what can be read of the old one serves until then.
// Where history stood is kept, so that a remote cannot use the occasion to go back.
// Whatever is thought of its head then, the objects are whole from here on: a head that
// is refused must not cost all of them again at each look.
func (s *Source) remake(ctx context.Context, cause error) error {
	s.noteDamage(cause)
	var heads []hash
	all := func(refs map[string]hash) (wants, _ []hash, err error) {
		if heads = nil; !refs[s.cfg.Branch].IsZero() {
			heads = []hash{refs[s.cfg.Branch]}
		}
		return heads, nil, nil
	}
	none := func(hash) bool { return false }
	in, err := s.receiveAny(ctx, s.lim, all, none, func(in *incoming) error { return in.verify(ctx, heads, none) })
	if err != nil {
		return fmt.Errorf("the mirror is damaged and cannot be made anew now: %w", err)
	}
	defer in.Close()
	s.log.Warn("the mirror is made anew", "dir", s.cfg.Dir, "cause", s.st.Damaged)
	beside := s.path(besideName)
	if err := errors.Join(os.RemoveAll(beside), initGitDir(beside, s.cfg.Branch), in.install(beside)); err != nil {
		return fmt.Errorf("make the mirror anew: %w", err)
	}
	if err := s.closeStore(); err != nil {
		s.log.Warn("close the mirror's packs", "err", err)
	}
	if err := swapDirs(s.path(gitName), beside, s.path(replacedName)); err != nil {
		return fmt.Errorf("make the mirror anew: %w", err)
	}
	st, err := s.open()
	if err != nil {
		return err
	}
	tip := s.st.tip()
	s.st.Damaged, s.st.Gone = "", !tip.IsZero() && !st.has(tip)
	return s.save()
}

// swapDirs puts a directory in another's place, which is moved aside and removed.
func swapDirs(place, next, aside string) error {
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := os.Rename(place, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(os.Rename(next, place), durable.SyncDir(filepath.Dir(place)), os.RemoveAll(aside))
}

// Head returns the revision fetched last, from the mirror alone.
func (s *Source) Head() (*Revision, error) {
	unlock, err := s.lockQuick()
	if err != nil {
		return nil, err
	}
	defer unlock()
	return s.head()
}

func (s *Source) head() (*Revision, error) {
	if s.st.Tip == "" {
		return nil, fmt.Errorf("nothing was fetched yet: %w", ErrEmpty)
	}
	if s.st.Gone {
		return nil, fmt.Errorf("%w: %s, the head before, was lost here, and the remote that the mirror was made anew from does not have it", ErrRewound, s.st.Tip)
	}
	if _, err := s.open(); err != nil {
		return nil, err
	}
	return s.revision(s.st.tip())
}
