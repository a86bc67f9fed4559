package builder

import (
	"context"
	"io/fs"
	"slices"
	"time"

	"seedtree/internal/dirat"
	"seedtree/internal/pieces"
	"seedtree/manifests"
)

// TorrentOptions says of which files Torrents makes torrents.
type TorrentOptions struct {
	Name    string   // the name in every torrent: the folder its file stands in
	Dir     string   // the folder to read
	Ignore  []string // gitignore rules
	Workers int      // that hash; 0: all cores
	// Leave names places below Dir to leave out, directories with all in them.
	// It is called from several goroutines at once.
	Leave func(path string) bool
	// Want is asked for each regular, non-empty file before any is read.
	Want func(p manifests.Path, modified time.Time) bool
}

// Torrents makes one torrent for every regular, non-empty file below a
// folder, without a catalog, a marker or a previous listing, and hands each to
// made as soon as it is hashed. Want and made are called from the calling
// goroutine. Links are not followed.
func Torrents(ctx context.Context, o TorrentOptions, made func(manifests.Metainfo)) ([]Skip, []Failure, error) {
	root, err := dirat.Open(o.Dir)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = root.Close() }()
	var out findings
	none, _ := manifests.NewListing(nil) // nothing is in conflict with nothing
	s := &scan{
		src: &source{tree: o.Name, dir: o.Dir, root: root}, previous: none, began: time.Now().UnixNano(),
		seen: func(int) {}, leave: o.Leave,
	}
	if err := s.run(ctx, treeRules(o.Ignore), &out); err != nil {
		return nil, nil, err
	}
	for _, e := range out.entries {
		switch e.Kind {
		case manifests.Empty:
			out.skipped = append(out.skipped, Skip{e.Key(), "is empty, which no torrent can carry"})
		case manifests.Symlink:
			out.skipped = append(out.skipped, Skip{e.Key(), "is a symlink, which no torrent can carry"})
		}
	}
	out.sort()
	h := &hasher{
		pool: pieces.New(o.Workers), clock: time.Now, newest: out.newest,
		emit: func(_ *candidate, m manifests.Metainfo, _ fs.FileInfo) { made(m) },
		fail: func(c *candidate, err error) { out.failed = append(out.failed, Failure{c.key(), cause(err)}) },
	}
	files := out.readable(h.fail)
	if o.Want != nil {
		files = slices.DeleteFunc(files, func(c *candidate) bool { return !o.Want(c.at, c.stat.ModTime()) })
	}
	err = h.run(ctx, files)
	return out.skipped, out.failed, err
}
