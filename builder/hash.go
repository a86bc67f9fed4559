package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"seedtree/internal/dirat"
	"seedtree/internal/pieces"
	"seedtree/manifests"
)

const (
	// maxTries is how often a file may change while it is read before it is
	// given up for this time.
	maxTries = 3
	// aheadBytes of each file are asked for when it is opened: whole small
	// files, and enough of a large one for the reading to get going.
	aheadBytes = 1 << 20
	// maxOpenDirs bounds the directories that are open for the files in work.
	// Where nearly every file has a directory of its own, the others are opened
	// when they are needed.
	maxOpenDirs = 32
)

// readable returns the candidates that fit in a torrent.
func (f *findings) readable(fail func(*candidate, error)) []*candidate {
	n := 0
	for _, d := range f.folders {
		n += len(d.files)
	}
	files := make([]*candidate, 0, n)
	for _, d := range f.folders {
		for i := range d.files {
			c := &d.files[i]
			if size := c.stat.Size; size > manifests.MaxLength {
				fail(c, fmt.Errorf("%d bytes, more than the %d that fit in a torrent", size, int64(manifests.MaxLength)))
				continue
			}
			files = append(files, c)
		}
	}
	f.folders = nil // the files have them, as long as they need them
	return files
}

// hasher reads candidates until each is an entry, a failure, or gone.
type hasher struct {
	pool   *pieces.Pool
	clock  func() time.Time
	newest map[uint64]int64 // change time on each device
	// emit gets every file that was read whole and unchanged.
	emit    func(*candidate, manifests.Metainfo, fs.FileInfo)
	fail    func(*candidate, error)
	journal *Journal // nil: none
}

// run hashes in rounds: what is too young or changed while it was read comes
// again. It ends, since nothing is read more than maxTries times.
func (h *hasher) run(ctx context.Context, pending []*candidate) error {
	for len(pending) > 0 {
		seen := h.clock() // everything pending was looked at before
		ready, young, wait := h.split(pending)
		if len(ready) > 0 {
			again, err := h.round(ctx, ready)
			if err != nil {
				return err
			}
			if len(again) > 0 {
				pending = append(young, again...)
				continue
			}
		}
		if err := sleep(ctx, wait-max(0, h.clock().Sub(seen))); err != nil {
			return err
		}
		for _, c := range young {
			c.aged = true
		}
		pending = young
	}
	return nil
}

// split tells files that may be read from those whose time stamp is too young,
// and says how long to wait for the youngest of these. pending is used up.
func (h *hasher) split(pending []*candidate) (ready, young []*candidate, wait time.Duration) {
	ready = pending[:0]
	for _, c := range pending {
		left := youth(&c.stat, h.newest[c.stat.Device])
		if c.aged || left == 0 {
			ready = append(ready, c)
			continue
		}
		young = append(young, c)
		wait = max(wait, left)
	}
	return ready, young, wait
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// round reads each file once and returns those to be read again.
func (h *hasher) round(ctx context.Context, files []*candidate) (again []*candidate, err error) {
	r := &round{dirs: map[*openDir]bool{}}
	defer r.close()
	err = h.pool.Hash(ctx, r.open(files, h.journal), func(f *pieces.File, sum pieces.Sum) {
		w := f.Tag.(*work)
		c := w.c
		if sum.Err == nil {
			sum.Err = w.verify(sum.Info)
		} else {
			sum.Err = w.why(sum.Err)
		}
		r.release(w.dir)
		h.journal.ended(c)
		switch {
		case sum.Err == nil:
			h.emit(c, c.metainfo(sum.Pieces), sum.Info)
		case !errors.Is(sum.Err, pieces.ErrChanged) && !errors.Is(sum.Err, fs.ErrNotExist):
			h.fail(c, sum.Err)
		case h.worthAnother(c, sum.Err):
			again = append(again, c)
		}
	})
	return again, err
}

// metainfo is what a file's pieces make, as it was when they were read.
func (c *candidate) metainfo(sums []byte) manifests.Metainfo {
	return manifests.Metainfo{
		Tree: c.in.src.tree, Path: c.at, Length: c.stat.Size, PieceLength: manifests.PieceLength(c.stat.Size),
		Pieces: sums, ModTime: c.stat.ModTime(),
	}
}

// worthAnother looks at a file that changed, and reports it when it cannot
// or shall not be read again. One that is gone is simply not listed.
func (h *hasher) worthAnother(c *candidate, why error) bool {
	now, err := c.in.src.lstat(c.at)
	c.tries++
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		h.fail(c, err)
	case !now.Mode.IsRegular() || now.Size == 0 || now.Size > manifests.MaxLength:
		h.fail(c, fmt.Errorf("%w: it is %s of %d bytes now", why, kindOf(now.Mode), now.Size))
	case c.tries >= maxTries:
		h.fail(c, fmt.Errorf("%w, %d times", why, c.tries))
	default:
		c.stat, c.aged = now, false
		return true
	}
	return false
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "a file"
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeSymlink != 0:
		return "a symlink"
	}
	return "a " + special(mode)
}

// work ties a file in the pool to its candidate and its open directory.
type work struct {
	c   *candidate
	dir *openDir
}

// openDir is a directory that is open while files in it are read.
type openDir struct {
	at    *folder
	dir   *dirat.Dir // nil: to be opened when it is needed
	err   error      // why it cannot be
	users int
}

// use lends the directory.
func (d *openDir) use(do func(*dirat.Dir) error) error {
	dir, err := d.dir, d.err
	if dir == nil && err == nil {
		dir, err = d.at.src.open(d.at.path)
		if err == nil && d.at.path != "" {
			defer func() { _ = dir.Close() }()
		}
	}
	if err != nil {
		return err
	}
	return do(dir)
}

func (d *openDir) lstat(name string) (s dirat.Stat, err error) {
	err = d.use(func(dir *dirat.Dir) (err error) { s, err = dir.Lstat(name); return err })
	return s, err
}

// round keeps the directories that one round has open. It is used in the
// goroutine that called the pool only.
type round struct{ dirs map[*openDir]bool }

// release closes a directory when nobody needs it any more.
func (r *round) release(d *openDir) {
	if d.users--; d.users == 0 {
		delete(r.dirs, d)
		d.close()
	}
}

func (d *openDir) close() {
	if d.err == nil && d.dir != nil && d.at.path != "" {
		_ = d.dir.Close()
	}
}

// close closes what an interrupted round left open.
func (r *round) close() {
	for d := range r.dirs {
		d.close()
	}
}

// open turns candidates into files for the pool. Files of one directory come
// in a row, so each directory is opened once and files relative to it.
func (r *round) open(files []*candidate, j *Journal) iter.Seq[*pieces.File] {
	return func(yield func(*pieces.File) bool) {
		var (
			dir *openDir
			at  *folder
		)
		defer func() {
			if dir != nil {
				r.release(dir)
			}
		}()
		for i, c := range files {
			files[i] = nil // of a folder that was read nothing stays but its entries
			if c.in != at {
				if dir != nil {
					r.release(dir)
				}
				dir, at = r.openDir(c.in), c.in
			}
			dir.users++
			if !yield(dir.file(c, j)) {
				return
			}
		}
	}
}

func (r *round) openDir(at *folder) *openDir {
	d := &openDir{at: at, users: 1}
	if len(r.dirs) < maxOpenDirs {
		d.dir, d.err = at.src.open(at.path)
		r.dirs[d] = true
	}
	return d
}

func (d *openDir) file(c *candidate, j *Journal) *pieces.File {
	length := c.stat.Size
	w := &work{c: c, dir: d}
	return &pieces.File{
		Length: length, PieceLength: manifests.PieceLength(length), Tag: w,
		Open: w.open, Resume: j.begun(c),
	}
}

// open opens the file. If some of its pieces are known already, it has to be
// the very file they came from.
func (w *work) open() (pieces.Handle, error) {
	var f *dirat.File
	err := w.dir.use(func(dir *dirat.Dir) (err error) {
		f, err = dir.OpenFile(w.c.name(), min(w.c.stat.Size, aheadBytes))
		return err
	})
	if err != nil {
		return nil, err
	}
	if w.c.partBytes() == 0 {
		return f, nil
	}
	info, err := f.Stat()
	if err == nil && stampOf(info) != w.c.stamp() {
		err = fmt.Errorf("%w: it was written", pieces.ErrChanged)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// why looks for the cause of a failure: when something else stands there by
// now, a link or a pipe, then that is the fault, not where it leads.
func (w *work) why(err error) error {
	if !errors.Is(err, pieces.ErrChanged) {
		if now, err2 := w.dir.lstat(w.c.name()); err2 == nil && !now.Same(&w.c.stat) {
			return errReplaced()
		}
	}
	return err
}

// verify makes sure that what was read is what the scan saw, and that the path
// still leads to it.
func (w *work) verify(info fs.FileInfo) error {
	read := dirat.StatOf(info)
	// Another stamp may be a young one, which split has not seen.
	if read.Modified != w.c.stat.Modified {
		return fmt.Errorf("%w: it was written", pieces.ErrChanged)
	}
	now, err := w.dir.lstat(w.c.name())
	switch {
	case err != nil:
		return err
	case !now.Same(&read):
		return errReplaced()
	case now != read:
		return fmt.Errorf("%w: it was written or its attributes were set", pieces.ErrChanged)
	}
	return nil
}

func errReplaced() error { return fmt.Errorf("%w: another file took its place", pieces.ErrChanged) }
