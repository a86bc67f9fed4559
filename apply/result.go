package apply

import (
	"errors"
	"fmt"
	"slices"

	"seedtree/manifests"
)

// Result is what a pass did and what it left to do.
type Result struct {
	Revision string
	Role     Role
	Actions  map[ActionKind]int // done
	Errors   []EntryError
	Stopped  map[string]string // trees where nothing was done, and why

	Entries   int // wanted at this site
	InSync    int // in place and checked, after this pass
	Waiting   int // being fetched
	Held      int // removals that wait for somebody to look at them
	HeldWhy   string
	Drift     int
	Foreign   int
	Postponed int // removals left to the next pass because of errors in this one

	BytesReused  int64           // put in place or begun with from bytes that were on this site
	BytesMissing int64           // still to fetch, or in a tree that could not be looked into
	Missing      []manifests.Key // a sample of what is being fetched

	// Applied: every action was issued, and nothing visible stems from an older
	// revision any more, so that Desired.Listing alone is the next
	// Desired.Owned. Until then what was owned stays owned: a file that waits
	// for its new version still is the old version, and when it goes its bytes
	// must be known by name.
	Applied bool
	// Complete: every wanted entry is in place, its bytes checked.
	Complete bool
}

// EntryError is a failure that concerns one entry. The rest of the pass went on.
type EntryError struct {
	Key manifests.Key
	Op  string
	Err error
}

func (e EntryError) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Key, e.Err) }

// Unwrap returns the cause.
func (e EntryError) Unwrap() error { return e.Err }

// Err joins the errors of single entries; nil when there are none.
func (r *Result) Err() error {
	errs := make([]error, len(r.Errors))
	for i, e := range r.Errors {
		errs[i] = e
	}
	return errors.Join(errs...)
}

// maxMissing bounds the sample in a result.
const maxMissing = 20

// missing counts an entry whose bytes are on their way.
func (r *Result) missing(k manifests.Key, left int64) {
	r.Waiting++
	r.BytesMissing += left
	if len(r.Missing) < maxMissing {
		r.Missing = append(r.Missing, k)
	}
}

// progress is what Settle continues from: the outcome of the last full pass.
type progress struct {
	revision string
	// others is true when that pass left nothing open but transfers.
	others bool
	// awaited are the entries being fetched.
	awaited []manifests.Entry
}

// oldVersions reports whether an entry that is being fetched still has
// something older at its place.
func (x *execution) oldVersions() bool {
	for _, e := range x.awaited {
		for _, l := range x.d.owned() {
			if old, ok := l.Get(e.Key()); !ok || old.InfoHash == e.InfoHash {
				continue
			}
			if info, err := x.trees[e.Tree].lstat(string(e.Path)); err != nil || info != nil {
				return true
			}
		}
	}
	return false
}

// countUnseen counts what stands in trees that nobody could look into as
// missing: a drive that is not mounted holds nothing, as far as anyone can tell.
func (x *execution) countUnseen() {
	awaited := map[manifests.Key]bool{}
	for _, e := range x.awaited {
		awaited[e.Key()] = true
	}
	for name := range x.res.Stopped {
		for e := range x.wanted.Tree(name) {
			if !awaited[e.Key()] {
				x.res.BytesMissing += e.Length
			}
		}
	}
}

// finish draws the balance of a full pass.
func (x *execution) finish() {
	r, p := x.res, x.plan
	for _, w := range p.waiting {
		if !x.settled[w.entry.InfoHash] {
			r.missing(w.entry.Key(), w.left)
			x.awaited = append(x.awaited, w.entry)
		}
	}
	// What the plan could do nothing about does not keep the rest from having
	// been applied: a name this file system cannot hold would do so for ever.
	r.Applied = len(r.Errors) == 0 && len(r.Stopped) == 0 && r.Held == 0 && r.Postponed == 0 && !x.oldVersions()
	for k, why := range p.Problems {
		r.Errors = append(r.Errors, EntryError{k, "plan", errors.New(why)})
	}
	slices.SortStableFunc(r.Errors, func(a, b EntryError) int { return a.Key.Compare(b.Key) })
	x.countUnseen()
	r.InSync = p.InSync + x.placed
	r.Drift = p.Drift
	clean := len(r.Errors) == 0 && len(r.Stopped) == 0
	r.Complete = clean && r.InSync == r.Entries
	x.s.progress = progress{revision: x.d.Revision, others: clean && r.InSync+r.Waiting == r.Entries, awaited: x.awaited}
}
