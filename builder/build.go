package builder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"seedtree/internal/pieces"
	"seedtree/manifests"
)

// Build reads the sources and returns the next listing. It writes nothing
// anywhere. Together with an ErrTooManyRemovals it returns the result all the
// same, to be looked at; with any other error there is none.
func Build(ctx context.Context, o Options) (*Result, error) {
	b, err := newBuild(ctx, o)
	if err != nil {
		return nil, err
	}
	defer b.close()
	ctx, b.abort = context.WithCancelCause(ctx)
	defer b.abort(nil)
	stop := b.report()
	defer stop()
	if err := b.scan(ctx); err != nil {
		return nil, err
	}
	if err := b.hash(ctx); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for _, s := range b.sources {
		if err := s.still(o.Site); err != nil {
			return nil, err
		}
	}
	for _, m := range b.found.mounts {
		if err := m.still(); err != nil {
			return nil, err
		}
	}
	return b.result()
}

// build is one run of Build.
type build struct {
	Options
	began   time.Time
	sources []*source
	found   findings
	blobs   Blobs
	counts  counters
	abort   context.CancelCauseFunc // ends the build with an error
	accept  map[manifests.Key]bool  // places whose bytes are meant, whatever they are

	torrent      []byte // reused
	suspects     []Suspect
	resumedFiles int
	resumedBytes int64
}

// counters are read by the progress report while the build goes on.
type counters struct {
	seen, files, filesTotal, bytes, bytesTotal atomic.Int64
}

func newBuild(ctx context.Context, o Options) (*build, error) {
	if o.Manifest == nil {
		return nil, errors.New("nothing to build from: no manifest")
	}
	if err := sameTrees(o); err != nil {
		return nil, err
	}
	if o.Previous == nil {
		o.Previous, _ = manifests.NewListing(nil) // nothing is in conflict with nothing
	}
	accept, err := acceptable(o)
	if err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Pool == nil {
		o.Pool = pieces.New(o.Workers)
	}
	b := &build{Options: o, began: o.Clock(), accept: accept}
	b.found.kept = make([]bool, o.Previous.Len())
	if b.Store == nil {
		b.Store = b.blobs.take
	}
	for _, tree := range slices.Sorted(maps.Keys(o.Trees)) {
		if ctx.Err() != nil {
			b.close()
			return nil, context.Cause(ctx)
		}
		s, err := openSource(o.Site, tree, o.Trees[tree])
		if err != nil {
			b.close()
			return nil, err
		}
		b.sources = append(b.sources, s)
	}
	return b, nil
}

// sameTrees refuses to build some of the trees: the entries of the others
// would be taken for deleted.
func sameTrees(o Options) error {
	var errs []error
	for _, tree := range slices.Sorted(maps.Keys(o.Manifest.Trees)) {
		if o.Trees[tree] == "" {
			errs = append(errs, fmt.Errorf("tree %s is in the manifest, but site %s has no folder for it", tree, o.Site))
		}
	}
	for _, tree := range slices.Sorted(maps.Keys(o.Trees)) {
		if _, ok := o.Manifest.Trees[tree]; !ok {
			errs = append(errs, fmt.Errorf("tree %s has a folder at site %s, but is not in the manifest", tree, o.Site))
		}
	}
	return errors.Join(errs...)
}

func (b *build) close() {
	for _, s := range b.sources {
		_ = s.root.Close()
	}
}

// scan walks all sources and takes over from the previous listing what it can.
func (b *build) scan(ctx context.Context) error {
	mounts := make(map[manifests.Key]bool, len(b.Mounts))
	for _, k := range b.Mounts {
		mounts[k] = true
	}
	for _, src := range b.sources {
		s := &scan{
			src: src, previous: b.Previous, reread: b.reread, began: b.began.UnixNano(),
			seen: func(n int) { b.counts.seen.Add(int64(n)) }, mounts: mounts,
		}
		if err := s.run(ctx, treeRules(b.Manifest.Trees[src.tree].Ignore), &b.found); err != nil {
			return err
		}
	}
	b.hideMounts()
	b.chmod(ctx)
	return nil
}

// reread reports whether a file that is as it was listed is read all the same.
func (b *build) reread(e *manifests.Entry) bool { return b.Rehash || b.accepted(e.Key()) }

func treeRules(lines []string) *rules {
	var r *rules
	for i, line := range lines {
		if next := r.below("", line); next != r {
			next.item, r = i+1, next
		}
	}
	return r
}

// chmod takes over files of which only the executable bit changed: the bytes
// of their torrents are in the catalog.
func (b *build) chmod(ctx context.Context) {
	for _, x := range b.found.chmods {
		old := b.Previous.At(x.was)
		if b.Metainfo != nil {
			if data, err := b.Metainfo(ctx, *old); err == nil {
				next := *old
				next.Executable = !old.Executable
				b.found.add(next, b.keep(next.Key(), data))
				continue
			}
		}
		f := x.file.in // read the file instead
		f.files = []candidate{x.file}
		b.found.folders = append(b.found.folders, f)
	}
}

// hash reads what the listing does not know.
func (b *build) hash(ctx context.Context) error {
	files := b.resume(ctx, b.found.readable(b.fail))
	b.found.entries = slices.Grow(b.found.entries, len(files))
	b.found.refs = slices.Grow(b.found.refs, len(b.found.entries)+len(files)-len(b.found.refs))
	for _, c := range files {
		b.counts.bytesTotal.Add(c.stat.Size - c.partBytes())
	}
	b.counts.filesTotal.Store(int64(len(files)))
	h := &hasher{
		pool: b.Pool.Counting(&b.counts.bytes), clock: b.Clock, newest: b.found.newest,
		fail: b.fail, emit: b.emit, journal: b.Journal,
	}
	return h.run(ctx, files)
}
