package gitsource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"seedtree/internal/pulse"
	"seedtree/manifests"
)

// maxBad is how many bad entries are gathered before the walk gives up.
const maxBad = 10_000

// keptListings is how many listings stay in memory: the newest, and the one it is
// most often compared with.
const keptListings = 2

// Listing reads the revision's entries. What was read for an earlier revision is
// taken over wherever git's tree ids are equal, so the cost follows the change. A
// single entry that cannot be read makes the whole listing unusable: the error,
// a *BadEntriesError, names them all.
func (r *Revision) Listing(ctx context.Context) (*manifests.Listing, error) {
	s := r.src
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	pulse.Step(ctx, "reading the listing")
	l, err := s.listing(ctx, r)
	if err != nil {
		s.noteDamage(err)
		return nil, fmt.Errorf("listing of revision %s: %w", r.Short(), err)
	}
	return l, nil
}

func (s *Source) listing(ctx context.Context, r *Revision) (*manifests.Listing, error) {
	st, err := r.store()
	if err != nil {
		return nil, err
	}
	tree, err := st.lookup(r.tree, manifests.CatalogDir)
	switch {
	case errors.Is(err, ErrNotFound):
		return manifests.NewListing(nil) // a catalog with a manifest only
	case err != nil:
		return nil, err
	case !tree.isDir():
		return nil, &BadEntriesError{r.ID(), []BadEntry{{manifests.CatalogDir, errors.New("it is no directory")}}}
	}
	s.recall()
	for i, c := range s.listings {
		if c.tree == tree.id {
			s.listings[0], s.listings[i] = s.listings[i], s.listings[0]
			return c.listing, nil
		}
	}
	var base cachedListing
	if len(s.listings) > 0 {
		base = s.listings[0]
	}
	l, changed, err := readListing(ctx, st, s.lim.entries, r.ID(), base, tree.id)
	if errors.Is(err, ErrDamaged) && base.listing != nil {
		// The trees of a commit that was never pushed, or of a history that is no
		// more, may be gone: that is no damage.
		base = cachedListing{}
		l, changed, err = readListing(ctx, st, s.lim.entries, r.ID(), base, tree.id)
	}
	if err != nil {
		return nil, err
	}
	s.remember(cachedListing{tree.id, l}, base, changed, r.made == nil)
	return l, nil
}

// Remember writes a listing to the cache for who committed it, with how many entries
// differ from the parent's. Else the first process to read the revision pays a blob for
// each of those, which after a first build is every file there is. Only a revision that
// was pushed counts.
func (r *Revision) Remember(ctx context.Context, l *manifests.Listing, changed int) error {
	s := r.src
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if r.made != nil {
		return errNotInMirror
	}
	st, err := r.store()
	if err != nil {
		return err
	}
	tree, err := st.lookup(r.tree, manifests.CatalogDir)
	if errors.Is(err, ErrNotFound) {
		return nil // a catalog with a manifest only
	}
	if err != nil || len(s.listings) > 0 && (s.drift+changed)*cacheDrift <= l.Len() {
		return err
	}
	// What this process reads comes from the file, or from git: not from a maker's memory.
	if err = saveListing(s.path(cacheName), cachedListing{tree.id, l}); err == nil {
		s.drift = -changed
	}
	return err
}

// lister gathers what differs between two trees of entries.
type lister struct {
	ctx     context.Context
	st      *store
	added   []manifests.Entry
	removed []manifests.Key
	bad     []BadEntry
	left    int  // entries that may still be visited
	whole   bool // nothing is compared: each tree is met once
}

var errEnoughBad = errors.New("too many bad entries")

// readListing reads what differs from base, and says how many entries that is.
func readListing(ctx context.Context, st *store, limit int, rev string, base cachedListing, tree hash) (*manifests.Listing, int, error) {
	l := &lister{ctx: ctx, st: st, left: limit, whole: base.listing == nil}
	if l.whole {
		// To grow with the entries would take twice their memory and more.
		visits := limit
		n, err := l.count(tree, 0, &visits)
		if err != nil {
			return nil, 0, err
		}
		l.added = make([]manifests.Entry, 0, n)
	}
	err := l.diff(base.tree, tree, manifests.CatalogDir, 0)
	if err != nil && !errors.Is(err, errEnoughBad) {
		return nil, 0, err
	}
	if len(l.bad) > 0 {
		return nil, 0, &BadEntriesError{rev, l.bad}
	}
	before := 0
	if base.listing != nil {
		before = base.listing.Len()
	}
	if before-len(l.removed)+len(l.added) > limit {
		return nil, 0, fmt.Errorf("%w: more than %d entries", ErrTooLarge, limit)
	}
	var listing *manifests.Listing
	if l.whole {
		listing, err = manifests.NewListing(l.added)
	} else {
		listing, err = base.listing.Edited(l.removed, l.added)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrBadEntries, err)
	}
	return listing, len(l.added) + len(l.removed), nil
}

// count adds up the files below a tree until so many names were visited. What is odd
// about it the walk that reads them finds out.
func (l *lister) count(id hash, depth int, left *int) (n int, err error) {
	if err := l.ctx.Err(); err != nil || depth > maxDepth {
		return 0, err
	}
	entries, err := l.entries(id)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if *left--; *left < 0 {
			return n, nil
		}
		below := 1
		if e.isDir() {
			if below, err = l.count(e.id, depth+1, left); err != nil {
				return 0, err
			}
		}
		n += below
	}
	return n, nil
}

// diff walks two trees side by side, as git sorts them; subtrees with one id are
// not opened. A zero id is an empty tree.
func (l *lister) diff(oldID, newID hash, dir string, depth int) error {
	if oldID == newID {
		return nil
	}
	if err := l.ctx.Err(); err != nil {
		return err
	}
	if depth > maxDepth {
		l.fail(dir, fmt.Errorf("%w: directories %d deep", ErrTooLarge, depth))
		return nil
	}
	before, err := l.entries(oldID)
	if err != nil {
		return err
	}
	after, err := l.entries(newID)
	if err != nil {
		return err
	}
	for len(before) > 0 || len(after) > 0 {
		c := compareHeads(before, after)
		var o, n treeEntry
		if c <= 0 {
			o, before = before[0], before[1:]
		}
		if c >= 0 {
			n, after = after[0], after[1:]
		}
		if err := l.step(o, n, dir, depth); err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) entries(id hash) ([]treeEntry, error) {
	if id.IsZero() {
		return nil, nil
	}
	if l.whole {
		return l.st.treeOnce(id)
	}
	return l.st.tree(id)
}

func compareHeads(a, b []treeEntry) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	return strings.Compare(a[0].sortKey(), b[0].sortKey())
}

// step handles one name; o or n is zero where there is none. A file and a
// directory of one name sort apart, so both are files or both are directories.
func (l *lister) step(o, n treeEntry, dir string, depth int) error {
	if o == n {
		return nil
	}
	// A tree that refers to one subtree a hundred times, five levels deep, is a page
	// of bytes and ten billion names.
	if l.left--; l.left < 0 {
		return fmt.Errorf("%w: more entries than any catalog has", ErrTooLarge)
	}
	if len(l.bad) >= maxBad {
		return errEnoughBad
	}
	if o.isDir() || n.isDir() {
		return l.diff(o.id, n.id, dir+"/"+cmp.Or(o.name, n.name), depth+1)
	}
	if o.name != "" {
		key, _, err := manifests.ParseCatalogName(dir + "/" + o.name)
		if err != nil {
			return err // it was read before
		}
		l.removed = append(l.removed, key)
	}
	if n.name == "" {
		return nil
	}
	return l.add(dir+"/"+n.name, n)
}

// add reads one entry. Only errors of the store end the walk.
func (l *lister) add(name string, e treeEntry) error {
	_, kind, err := manifests.ParseCatalogName(name)
	if err != nil {
		l.fail(name, err)
		return nil
	}
	if err := checkMode(e.mode, kind); err != nil {
		l.fail(name, err)
		return nil
	}
	data, err := l.st.blob(e.id, manifests.MaxMetainfo)
	if l.st.unreadable(err) {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err != nil {
		l.fail(name, err)
		return nil
	}
	entry, err := manifests.DecodeEntry(name, e.mode == modeExec, data)
	if err != nil {
		l.fail(name, err)
		return nil
	}
	// Both are pieces of the name, which is twice as long.
	entry.Path = manifests.Path(strings.Clone(string(entry.Path)))
	if n := len(l.added); n > 0 && l.added[n-1].Tree == entry.Tree {
		entry.Tree = l.added[n-1].Tree
	} else {
		entry.Tree = strings.Clone(entry.Tree)
	}
	l.added = append(l.added, entry)
	return nil
}

func (l *lister) fail(name string, err error) { l.bad = append(l.bad, BadEntry{name, err}) }

// checkMode accepts exactly the modes that we write.
func checkMode(mode uint32, kind manifests.Kind) error {
	switch {
	case mode == modeModule:
		return errors.New("it is a submodule")
	case kind == manifests.Symlink && mode != modeLink:
		return fmt.Errorf("its mode is %o, a symlink's is %o", mode, modeLink)
	case kind == manifests.EmptyDir && mode != modeRegular:
		return fmt.Errorf("its mode is %o, an empty directory's is %o", mode, modeRegular)
	case kind != manifests.Symlink && mode != modeRegular && mode != modeExec:
		return fmt.Errorf("its mode is %o, not %o or %o", mode, modeRegular, modeExec)
	}
	return nil
}
