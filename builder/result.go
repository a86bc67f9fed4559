package builder

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"seedtree/manifests"
)

// emit takes a file that was read.
func (b *build) emit(c *candidate, m manifests.Metainfo, info fs.FileInfo) {
	if b.Journal != nil {
		b.Journal.add(record{key: c.key(), stamp: stampOf(info), sums: m.Pieces})
	}
	b.list(m, info.Mode())
	b.counts.files.Add(1)
}

// list adds a file whose pieces are known.
func (b *build) list(m manifests.Metainfo, mode fs.FileMode) {
	e := m.Entry(executable(mode))
	old, ok := b.Previous.Get(e.Key())
	if ok && b.suspect(old, e) {
		b.suspects = append(b.suspects, Suspect{old, e.Content})
		b.found.add(old, Ref{})
		return
	}
	var ref Ref
	if !ok || !old.Equal(e) {
		b.torrent = m.Append(b.torrent[:0])
		ref = b.keep(e.Key(), b.torrent)
	}
	b.found.add(e, ref)
}

// keep has a .torrent stored that goes to the catalog.
func (b *build) keep(k manifests.Key, data []byte) Ref {
	ref, err := b.Store(data)
	if err != nil {
		b.abort(fmt.Errorf("storing the torrent of %s: %w", k, err))
	}
	return ref
}

// fail reports a file that could not be read; what was listed there stays.
func (b *build) fail(c *candidate, err error) {
	b.found.hidden = append(b.found.hidden, c.key())
	b.found.failed = append(b.found.failed, Failure{c.key(), cause(err)})
}

// result puts the pieces together and asks whether too much would go.
func (b *build) result() (*Result, error) {
	next, err := b.found.listing(b.Previous)
	if err != nil {
		return nil, fmt.Errorf("the sources make no listing: %w", err)
	}
	var diff manifests.Diff
	if next != b.Previous {
		diff = b.Previous.Diff(next)
	}
	r := &Result{
		Listing: next, Diff: diff, Skipped: b.found.skipped, Failed: b.found.failed,
		HashedFiles: int(b.counts.files.Load()), HashedBytes: b.counts.bytes.Load(), BytesTotal: next.Bytes(),
		ResumedFiles: b.resumedFiles, ResumedBytes: b.resumedBytes,
	}
	r.Suspects, r.Mounts = b.suspects, b.mountPoints()
	slices.SortFunc(r.Suspects, func(x, y Suspect) int { return x.Entry.Key().Compare(y.Entry.Key()) })
	slices.SortFunc(r.Failed, func(x, y Failure) int { return x.Key.Compare(y.Key) })
	slices.SortFunc(r.Skipped, func(x, y Skip) int { return x.Key.Compare(y.Key) })
	b.changes(r)
	if b.AllowRemovals {
		return r, nil
	}
	if err := b.emptied(next); err != nil {
		return nil, err
	}
	return r, b.limit(r)
}

// emptied refuses trees that lost all they had: it is hardly ever meant.
func (b *build) emptied(next *manifests.Listing) error {
	now := next.Trees()
	for _, s := range b.sources {
		if slices.Contains(b.Previous.Trees(), s.tree) && !slices.Contains(now, s.tree) {
			return fmt.Errorf("tree %s: %w: %s", s.tree, ErrEmpty, s.dir)
		}
	}
	return nil
}

// limit holds the removals against the manifest's limit.
func (b *build) limit(r *Result) error {
	const sample = 10
	base, limit := b.Previous.Len(), b.Manifest.Prune.Limit
	lost := r.Diff.Lost(r.Listing)
	if limit.Allows(lost, base) {
		return nil
	}
	e := &LimitError{Removed: lost, Base: base, Limit: limit}
	for _, old := range r.Diff.Removed {
		if len(e.Sample) < sample && (old.Kind != manifests.Regular || !r.Listing.HasContent(old.Content)) {
			e.Sample = append(e.Sample, old.Key())
		}
	}
	return e
}

// changes fills in what has to be written to and deleted from the catalog.
func (b *build) changes(r *Result) {
	b.blobs.entries, b.blobs.refs = b.found.entries, b.found.refs
	b.blobs.makeList(b.Previous)
	r.Put = b.blobs
	for _, at := range r.Put.list {
		r.warn(r.Put.entries[at.entry].Key(), r.Put.name(at))
	}
	for _, e := range r.Diff.Removed {
		r.Delete = append(r.Delete, manifests.CatalogName(e))
	}
	for _, c := range r.Diff.Renamed {
		r.Delete = append(r.Delete, manifests.CatalogName(c.Old))
	}
	for _, c := range r.Diff.Changed {
		// A file that became a link has another name in the catalog.
		if c.Old.Kind != c.New.Kind {
			r.Delete = append(r.Delete, manifests.CatalogName(c.Old))
		}
	}
	slices.Sort(r.Delete)
}

// warn tells of names that a bare repository holds but no checkout can.
func (r *Result) warn(k manifests.Key, name string) {
	for c := range strings.SplitSeq(name, "/") {
		if len(c) > 255 {
			r.Warnings = append(r.Warnings, Skip{k, fmt.Sprintf(
				"its name in the catalog has %d bytes: a checkout of the catalog cannot hold it, everything else can", len(c))})
			return
		}
	}
}

// report calls Progress now and then until stop is called.
func (b *build) report() (stop func()) {
	if b.Progress == nil {
		return func() {}
	}
	tell := func() {
		c := &b.counts
		b.Progress(Progress{
			Seen:  int(c.seen.Load()),
			Files: int(c.files.Load()), FilesTotal: int(c.filesTotal.Load()),
			Bytes: c.bytes.Load(), BytesTotal: c.bytesTotal.Load(),
		})
	}
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				tell()
			case <-done:
				tell()
				return
			}
		}
	})
	return func() { close(done); ended.Wait() }
}
