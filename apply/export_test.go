package apply

import (
	"os"

	"seedtree/manifests"
)

// SetStep lets a test be told before every change to the file system or the
// engine; a panic in it is a process killed at that moment.
func (s *Site) SetStep(step func(op string)) { s.step = step }

// SetFsync lets a test do without waiting for the disk, or watch who waits.
func (s *Site) SetFsync(fsync func(*os.File) error) { s.fsync = fsync }

// SameTime and ModeFor are tested as the pure functions that they are.
var (
	SameTime = sameTime
	ModeFor  = modeFor
)

// Lost, Early and Releases show the private parts of an action.
func (a Action) Lost() bool    { return a.lost }
func (a Action) Early() bool   { return a.early }
func (a Action) Releases() int { return len(a.release) }

// ThrowAway moves the same path to the trash of one pass again and again,
// calling put before each time.
func (s *Site) ThrowAway(tree, name string, keep bool, times int, put func(i int)) error {
	t, err := s.open(tree)
	if err != nil {
		return err
	}
	defer t.close()
	b := &bin{t: t, now: s.cfg.Clock()}
	for i := range times {
		put(i)
		info, err := t.lstat(name)
		if err != nil {
			return err
		}
		if err := b.throw(name, info, manifests.Content{}, "test", keep); err != nil {
			return err
		}
	}
	return b.close()
}
