package apply

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"seedtree/internal/pulse"
	"seedtree/manifests"
)

// Observation is what is: the engine's claims and a look at every tree. It is
// a value; planning from it touches nothing.
type Observation struct {
	Site     string
	Drift    DriftPolicy
	Torrents map[manifests.InfoHash]Torrent
	Trees    map[string]*TreeView // every configured tree
	// Trash holds, for contents that are listed, one item that has them.
	Trash map[manifests.Content]TrashItem
	// Recent are torrents that were taken up again not long ago because
	// something was wrong with them; hashing them in every pass helps nobody.
	Recent map[manifests.InfoHash]bool
}

// TreeView is a look at one tree.
type TreeView struct {
	Root    string // as the engine knows it
	Stopped string // why nothing may be done here; "" when all is well
	Marker  manifests.Marker
	// Files holds what stands at listed and owned paths; absent: nothing.
	Files   map[manifests.Path]FileState
	Staged  map[manifests.InfoHash]StagedState
	Empty   []manifests.Path // directories with nothing in them
	Foreign int              // files that are neither listed nor ours
	// FoldsCase: the file system takes names that differ by case for one.
	FoldsCase bool
	leftovers []string // our own temporary names outside staging
}

// FileType is what stands at a path.
type FileType uint8

// Types of what stands at a path.
const (
	NoFile FileType = iota
	RegularFile
	Link
	Directory
	OtherFile // a device, a pipe, a socket
)

// FileState is one stat.
type FileState struct {
	Type       FileType
	Executable bool
	Size       int64
	ModTime    time.Time
	Target     string // of a Link
}

// StagedState is what staging holds for one torrent.
type StagedState struct {
	Size int64 // of the file the engine fetches into; -1: there is none
}

// retryAfter is how long a torrent with an error is left alone after it was
// checked and handed over again.
const retryAfter = 30 * time.Minute

// Observe looks at the engine and at all trees. It changes nothing. A tree
// that cannot be read is marked as stopped; an engine that does not answer is
// an error.
func (s *Site) Observe(ctx context.Context, d Desired) (*Observation, error) {
	o := &Observation{
		Site: s.cfg.Name, Drift: s.cfg.Drift,
		Trees:  map[string]*TreeView{},
		Trash:  map[manifests.Content]TrashItem{},
		Recent: map[manifests.InfoHash]bool{},
	}
	s.beat = pulse.Of(ctx)
	wanted := Wanted(d.Manifest, s.cfg.Name, d.Listing)
	pulse.Step(ctx, "asking the client for its torrents")
	// The engine is asked first: what it finishes meanwhile waits for the
	// next pass, instead of being taken for data that is missing.
	if err := s.observeEngine(ctx, o); err != nil {
		return nil, err
	}
	for _, name := range s.names {
		v := &TreeView{
			Root: s.roots[name], Files: map[manifests.Path]FileState{},
			Staged: map[manifests.InfoHash]StagedState{},
		}
		o.Trees[name] = v
		pulse.Step(ctx, "looking at tree "+name)
		t, err := s.open(name)
		if err != nil {
			v.Stopped = err.Error()
			continue
		}
		v.Marker = t.marker
		err = s.observeTree(ctx, t, v, d, wanted, o)
		t.close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			v.Stopped = err.Error()
		}
	}
	return o, nil
}

func (s *Site) observeEngine(ctx context.Context, o *Observation) error {
	list, err := s.cfg.Engine.List(ctx)
	if err != nil {
		return fmt.Errorf("asking the engine for its torrents: %w", err)
	}
	o.Torrents = make(map[manifests.InfoHash]Torrent, len(list))
	for _, t := range list {
		if t.Root != "" {
			t.Root = filepath.Clean(t.Root)
		}
		o.Torrents[t.InfoHash] = t
	}
	now := s.cfg.Clock()
	for h, when := range s.recent {
		if now.Sub(when) < retryAfter {
			o.Recent[h] = true
		} else {
			delete(s.recent, h)
		}
	}
	return nil
}

func (s *Site) observeTree(ctx context.Context, t *tree, v *TreeView, d Desired, wanted *manifests.Listing, o *Observation) error {
	v.FoldsCase = t.folds
	w := walker{t: t, v: v, known: newKnown(t.name, d, wanted, v.FoldsCase)}
	if err := w.walk(ctx, t.root, ""); err != nil {
		return fmt.Errorf("tree %s at %s: %w", t.name, t.dir, err)
	}
	if err := t.observeStaging(v, d, wanted); err != nil {
		return fmt.Errorf("tree %s at %s: %w", t.name, t.dir, err)
	}
	items, err := s.trashes.read(t)
	if err != nil {
		return fmt.Errorf("tree %s at %s: %w", t.name, t.dir, err)
	}
	for _, item := range items {
		t.beat()
		if item.Content.IsZero() || !wanted.HasContent(item.Content) {
			continue
		}
		if _, found := o.Trash[item.Content]; !found && t.holds(item) {
			o.Trash[item.Content] = item
		}
	}
	return nil
}

// foldsCase asks the file system whether it takes .SEEDTREE for .seedtree.
func (t *tree) foldsCase() bool {
	info, err := t.root.Lstat(strings.ToUpper(manifests.PrivateDir))
	return err == nil && info.IsDir()
}

// observeStaging finds what earlier passes began to fetch.
func (t *tree) observeStaging(v *TreeView, d Desired, wanted *manifests.Listing) error {
	names, err := t.names(stagingDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		t.beat()
		h, err := manifests.ParseInfoHash(strings.TrimSuffix(name, ".ready"))
		if err != nil {
			continue // not of our making: left alone
		}
		st := StagedState{Size: -1}
		if e, ok := d.entryOf(h, wanted); ok && name == h.String() {
			info, err := t.lstat(stagedName(e))
			if err != nil {
				return err
			}
			if info != nil && info.Mode().IsRegular() {
				st.Size = info.Size()
			}
		}
		if old, seen := v.Staged[h]; !seen || old.Size < st.Size {
			v.Staged[h] = st
		}
	}
	return nil
}

// names lists a folder of our own; none at all is an empty one.
func (t *tree) names(dir string) ([]string, error) {
	if !t.isDir(dir) {
		return nil, nil
	}
	f, err := t.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// entryOf finds the entry of a torrent in what is listed or was put here.
func (d Desired) entryOf(h manifests.InfoHash, wanted *manifests.Listing) (manifests.Entry, bool) {
	if e, ok := wanted.ByInfoHash(h); ok {
		return e, true
	}
	for _, l := range d.owned() {
		if e, ok := l.ByInfoHash(h); ok {
			return e, true
		}
	}
	return manifests.Entry{}, false
}

// owned returns the listings of everything that was put here, newest first.
func (d Desired) owned() []*manifests.Listing {
	var all []*manifests.Listing
	for i := len(d.Earlier) - 1; i >= 0; i-- {
		if d.Earlier[i] != nil {
			all = append(all, d.Earlier[i])
		}
	}
	if d.Owned != nil {
		all = append(all, d.Owned)
	}
	return all
}

// ownedAt returns everything that was put at a place, newest first. Earlier
// may hold the desired listing itself: the entry now listed can be among it.
func (d Desired) ownedAt(k manifests.Key) []manifests.Entry {
	var all []manifests.Entry
	for _, l := range d.owned() {
		if e, ok := l.Get(k); ok {
			all = append(all, e)
		}
	}
	return all
}

// oldTorrents are those that may still be seeded from an entry's place.
func (d Desired) oldTorrents(e manifests.Entry) []manifests.InfoHash {
	var all []manifests.InfoHash
	for _, old := range d.ownedAt(e.Key()) {
		if old.Kind == manifests.Regular && old.InfoHash != e.InfoHash {
			all = append(all, old.InfoHash)
		}
	}
	return all
}
