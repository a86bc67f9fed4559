package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"seedtree/internal/dirat"
	"seedtree/internal/pieces"
	"seedtree/manifests"
)

const (
	// scanners look at directories side by side: two keep two cores busy, more
	// hide the waiting for a network or a cold disk.
	scanners = 4
	// maxHeld bounds the directories that stay open because some below them
	// are still to be opened; those of a tree deeper than that are opened by
	// their whole path.
	maxHeld = 64
)

// folder is a directory with files that have to be read.
type folder struct {
	src   *source
	path  string // in the tree, "" for its root
	files []candidate
}

// candidate is a file that has to be read. There can be millions of them.
type candidate struct {
	in   *folder
	at   manifests.Path // its listed entry has the same string
	stat dirat.Stat     // as last seen
	// tries counts how often it changed under the reader.
	tries uint8
	aged  bool           // its time stamp was waited for
	part  *pieces.Resume // of a large file: the pieces that were read
}

// name is the file's name in its folder.
func (c *candidate) name() string { return string(c.at[c.in.base():]) }

func (c *candidate) key() manifests.Key { return manifests.Key{Tree: c.in.src.tree, Path: c.at} }

// base is where the names in the folder begin in their paths.
func (f *folder) base() int {
	if f.path == "" {
		return 0
	}
	return len(f.path) + 1
}

// chmod is a file of which nothing but the executable bit changed.
type chmod struct {
	was  int // its position in the previous listing
	file candidate
}

// findings is what a scan found, and what hashing makes of it.
type findings struct {
	kept    []bool            // for each entry of the previous listing: it stays as it is
	entries []manifests.Entry // new ones and changed ones
	refs    []Ref             // of their .torrents that go to the catalog; made by add
	folders []*folder         // in order
	chmods  []chmod
	hidden  []manifests.Key // could not be looked into: what was listed there stays
	skipped []Skip
	failed  []Failure
	mounts  []mount
	// newest is the latest change time seen on each device that is not in our
	// own future: that late it is there, at least.
	newest map[uint64]int64
}

// merge adds what another scanner found. kept is common to all of them.
func (f *findings) merge(o *findings) {
	f.entries = append(f.entries, o.entries...)
	f.folders = append(f.folders, o.folders...)
	f.chmods = append(f.chmods, o.chmods...)
	f.hidden = append(f.hidden, o.hidden...)
	f.skipped = append(f.skipped, o.skipped...)
	f.failed = append(f.failed, o.failed...)
	f.mounts = append(f.mounts, o.mounts...)
	if f.newest == nil {
		f.newest = map[uint64]int64{}
	}
	for device, t := range o.newest {
		f.newest[device] = max(f.newest[device], t)
	}
}

// scan walks one source. What it finds does not depend on which scanner met
// which directory first.
type scan struct {
	src      *source
	previous *manifests.Listing
	reread   func(*manifests.Entry) bool // whether to read what is as it was
	began    int64                       // by our clock, in nanoseconds since 1970
	seen     func(int)                   // called with how many entries were found, by any scanner
	// leave names places to leave out with all below them. nil: none.
	leave  func(path string) bool
	mounts map[manifests.Key]bool // were mount points at the last build

	mu   sync.Mutex
	wake sync.Cond
	todo []*place // the last one is next, so few directories are open at a time
	busy int      // scanners at work
	held int      // directories open for those below
	err  error
}

// place is one directory to be scanned.
type place struct {
	in    *place // nil for the root
	name  string
	path  string     // "" or with a slash at its end
	stat  dirat.Stat // as seen from above, then from inside
	rules *rules
	// The entries of the previous listing below here are from <= i < to.
	from, to int

	dir   *dirat.Dir // open for as long as users need it; nil: open by the path
	users int        // places below that are still to be opened

	open  int  // itself and places below that are not finished
	found bool // there is an entry in it or below
	gone  bool
}

// run walks the whole source below the given rules and adds to out. Only the
// end of the context and a root that cannot be read end it early.
func (s *scan) run(ctx context.Context, top *rules, out *findings) error {
	s.wake.L = &s.mu
	from, to := s.previous.Range(s.src.tree)
	s.todo = []*place{{dir: s.src.root, rules: top, from: from, to: to, open: 1}}
	stop := context.AfterFunc(ctx, func() { s.fail(context.Cause(ctx)) })
	defer stop()
	var all sync.WaitGroup
	found := make([]findings, scanners)
	for i := range found {
		w := &scanner{scan: s, out: &found[i]}
		w.out.kept, w.out.newest = out.kept, map[uint64]int64{}
		all.Go(w.run)
	}
	all.Wait()
	s.close()
	for i := range found {
		out.merge(&found[i])
	}
	slices.SortFunc(out.folders, func(a, b *folder) int {
		return manifests.Key{Tree: a.src.tree, Path: manifests.Path(a.path)}.Compare(manifests.Key{Tree: b.src.tree, Path: manifests.Path(b.path)})
	})
	s.mu.Lock() // the context's end may come just now
	defer s.mu.Unlock()
	return s.err
}

func (s *scan) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.wake.Broadcast()
}

func (s *scan) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

// next returns a place to scan, nil when there will be no more.
func (s *scan) next() *place {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && len(s.todo) == 0 && s.busy > 0 {
		s.wake.Wait()
	}
	if s.err != nil || len(s.todo) == 0 {
		return nil
	}
	p := s.todo[len(s.todo)-1]
	s.todo = s.todo[:len(s.todo)-1]
	s.busy++
	return p
}

// done takes the places below one that was scanned, and says which
// directories turn out to be empty.
func (s *scan) done(p *place, dir *dirat.Dir, below []*place) (empty []*place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	p.dir = nil
	switch {
	case p.in == nil:
		p.dir = dir
	case dir == nil:
	case len(below) > 0 && s.held < maxHeld:
		p.dir, p.users = dir, len(below)
		s.held++
	default:
		_ = dir.Close()
	}
	p.open += len(below)
	slices.Reverse(below)
	s.todo = append(s.todo, below...)
	for ; p != nil; p = p.in {
		if p.open--; p.open > 0 {
			break
		}
		if !p.found && !p.gone && p.in != nil {
			p.found = true
			empty = append(empty, p)
		}
		if p.in != nil {
			p.in.found = p.in.found || p.found
		}
	}
	s.wake.Broadcast()
	return empty
}

// enter opens a place.
func (s *scan) enter(p *place) (*dirat.Dir, error) {
	if p.in == nil {
		return p.dir, nil
	}
	if p.in.dir == nil {
		return s.src.root.OpenPath(strings.TrimSuffix(p.path, "/"))
	}
	dir, err := p.in.dir.OpenDir(p.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.in.users--; p.in.users == 0 {
		_ = p.in.dir.Close()
		p.in.dir = nil
		s.held--
	}
	return dir, err
}

// close closes what an interrupted walk left open.
func (s *scan) close() {
	for _, p := range s.todo {
		if above := p.in; above != nil && above.in != nil && above.dir != nil {
			_ = above.dir.Close()
			above.dir = nil
		}
	}
}

// sort orders what is told to people.
func (f *findings) sort() {
	slices.SortFunc(f.failed, func(x, y Failure) int { return x.Key.Compare(y.Key) })
	slices.SortFunc(f.skipped, func(x, y Skip) int { return x.Key.Compare(y.Key) })
}

// takenOver reports whether all of the previous listing stays and nothing else
// comes.
func (f *findings) takenOver() bool { return len(f.entries) == 0 && !slices.Contains(f.kept, false) }

// keepHidden takes the previous entries over for what could not be looked at:
// the place itself and all below it.
func (f *findings) keepHidden(previous *manifests.Listing) {
	for _, k := range f.hidden {
		if k.Path == "" { // a root whose own rules cannot be read
			from, to := previous.Range(k.Tree)
			f.keep(from, to)
			continue
		}
		if i, ok := previous.Find(k); ok {
			f.kept[i] = true
		}
		from, _ := previous.Find(manifests.Key{Tree: k.Tree, Path: k.Path + "/"})
		to, _ := previous.Find(manifests.Key{Tree: k.Tree, Path: k.Path + "0"}) // what follows the slash
		f.keep(from, to)
	}
}

func (f *findings) keep(from, to int) {
	for i := from; i < to; i++ {
		f.kept[i] = true
	}
}

// listing puts what stays and what is new together. It is the previous one
// itself if that is all.
func (f *findings) listing(previous *manifests.Listing) (*manifests.Listing, error) {
	f.keepHidden(previous)
	if f.takenOver() {
		return previous, nil
	}
	f.sortEntries()
	if !slices.Contains(f.kept, true) {
		return manifests.NewListing(f.entries)
	}
	all := make([]manifests.Entry, 0, previous.Len()+len(f.entries))
	fresh := f.entries
	for i, kept := range f.kept {
		if !kept {
			continue
		}
		old := previous.At(i)
		for len(fresh) > 0 && fresh[0].Key().Compare(old.Key()) < 0 {
			all, fresh = append(all, fresh[0]), fresh[1:]
		}
		all = append(all, *old)
	}
	return manifests.NewListing(append(all, fresh...))
}

// cause strips the path from an error of the file system: it is the one it
// was opened by, and the failure names the one people know.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		op := pe.Op
		if op == "openat" || op == "statat" || op == "lstatat" { // as os.Root calls them
			op = strings.TrimSuffix(op, "at")
		}
		return fmt.Errorf("%s: %w", op, pe.Err)
	}
	return err
}
