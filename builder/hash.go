package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"sync/atomic"
	"time"

	"seedtree/internal/pieces"
	"seedtree/manifests"
)

// maxTries is how often a file may change while it is read before it is
// given up for this time.
const maxTries = 3

// readable returns the candidates that fit in a torrent.
func (f *findings) readable(fail func(*candidate, error)) []*candidate {
	var files []*candidate
	for _, c := range f.candidates {
		if size := c.info.Size(); size > manifests.MaxLength {
			fail(c, fmt.Errorf("%d bytes, more than the %d that fit in a torrent", size, int64(manifests.MaxLength)))
			continue
		}
		files = append(files, c)
	}
	return files
}

// hasher reads candidates until each is an entry, a failure, or gone.
type hasher struct {
	pool  *pieces.Pool
	clock func() time.Time
	// emit gets every file that was read whole and unchanged.
	emit    func(*candidate, manifests.Metainfo, fs.FileInfo)
	fail    func(*candidate, error)
	journal *Journal // nil: none
}

// run hashes in rounds: what is too young or changed while it was read comes
// again. It ends, since nothing is read more than maxTries times.
func (h *hasher) run(ctx context.Context, pending []*candidate) error {
	for len(pending) > 0 {
		ready, young, wait := h.split(pending)
		if len(ready) == 0 {
			if err := sleep(ctx, wait); err != nil {
				return err
			}
			for _, c := range young {
				c.aged = true
			}
			ready, young = young, nil
		}
		again, err := h.round(ctx, ready)
		if err != nil {
			return err
		}
		pending = append(young, again...)
	}
	return nil
}

// split tells files that may be read from those whose time stamp is so young
// that another write could leave it as it is, and says how long to wait for
// the youngest of these.
func (h *hasher) split(pending []*candidate) (ready, young []*candidate, wait time.Duration) {
	now := h.clock()
	for _, c := range pending {
		left := resolution(c.info.ModTime()) - now.Sub(c.info.ModTime())
		// A stamp far in the future does not get older by waiting, and a write
		// now would not leave it as it is.
		if c.aged || left <= 0 || left > 2*maxResolution {
			ready = append(ready, c)
			continue
		}
		young = append(young, c)
		wait = max(wait, left)
	}
	return ready, young, wait
}

const maxResolution = 2 * time.Second

// resolution is the longest time in which two writes may get the same stamp.
// Linux stamps with the last tick of the clock, 10 ms at most; a stamp of whole
// seconds may come from a file system that knows nothing finer, down to the
// two seconds of FAT.
func resolution(stamp time.Time) time.Duration {
	if stamp.Nanosecond() == 0 {
		return maxResolution
	}
	return 50 * time.Millisecond
}

func sleep(ctx context.Context, d time.Duration) error {
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
	r := &round{}
	defer r.close()
	err = h.pool.Hash(ctx, r.open(files, h.journal), func(f *pieces.File, sum pieces.Sum) {
		w := f.Tag.(*work)
		c := w.c
		if sum.Err == nil {
			sum.Err = w.verify(sum.Info)
		}
		w.dir.release()
		h.journal.ended(c)
		switch {
		case sum.Err == nil:
			h.emit(c, c.metainfo(sum.Info, sum.Pieces), sum.Info)
		case !errors.Is(sum.Err, pieces.ErrChanged) && !errors.Is(sum.Err, fs.ErrNotExist):
			h.fail(c, sum.Err)
		case h.worthAnother(c, sum.Err):
			again = append(again, c)
		}
	})
	return again, err
}

// metainfo is what a file's pieces make, as it was when they were read.
func (c *candidate) metainfo(info fs.FileInfo, sums []byte) manifests.Metainfo {
	return manifests.Metainfo{
		Tree: c.src.tree, Path: c.path, Length: info.Size(), PieceLength: manifests.PieceLength(info.Size()),
		Pieces: sums, ModTime: info.ModTime(),
	}
}

// worthAnother looks at a file that changed, and reports it when it cannot
// or shall not be read again. One that is gone is simply not listed.
func (h *hasher) worthAnother(c *candidate, why error) bool {
	info, err := c.src.root.Lstat(string(c.path))
	c.tries++
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		h.fail(c, err)
	case !info.Mode().IsRegular() || info.Size() == 0 || info.Size() > manifests.MaxLength:
		h.fail(c, fmt.Errorf("%w: it is %s of %d bytes now", why, kindOf(info.Mode()), info.Size()))
	case c.tries >= maxTries:
		h.fail(c, fmt.Errorf("%w, %d times", why, c.tries))
	default:
		c.info, c.aged = info, false
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
	root *os.Root
	err  error // why it is not
	refs atomic.Int32
}

// release closes the directory when nobody needs it any more.
func (d *openDir) release() {
	if d.refs.Add(-1) == 0 && d.root != nil {
		_ = d.root.Close()
	}
}

// round keeps the directories one round opened.
type round struct{ dirs []*openDir }

// close closes what an interrupted round left open.
func (r *round) close() {
	for _, d := range r.dirs {
		if d.root != nil && d.refs.Load() > 0 {
			_ = d.root.Close()
		}
	}
}

// open turns candidates into files for the pool. Files of one directory come
// in a row, so each directory is opened once and files relative to it.
func (r *round) open(files []*candidate, j *Journal) iter.Seq[*pieces.File] {
	return func(yield func(*pieces.File) bool) {
		var (
			dir *openDir
			src *source
			at  manifests.Path
		)
		defer func() {
			if dir != nil {
				dir.release()
			}
		}()
		for _, c := range files {
			parent, _ := c.path.Dir()
			if dir == nil || src != c.src || at != parent {
				if dir != nil {
					dir.release()
				}
				dir, src, at = r.openDir(c.src, parent), c.src, parent
			}
			dir.refs.Add(1)
			if !yield(dir.file(c, j)) {
				return
			}
		}
	}
}

func (r *round) openDir(src *source, at manifests.Path) *openDir {
	d := &openDir{}
	d.refs.Store(1)
	d.root, d.err = src.root.OpenRoot(string(at) + "/.")
	if at == "" {
		d.root, d.err = src.root.OpenRoot(".")
	}
	r.dirs = append(r.dirs, d)
	return d
}

func (d *openDir) file(c *candidate, j *Journal) *pieces.File {
	length := c.info.Size()
	w := &work{c: c, dir: d}
	return &pieces.File{
		Name: c.key().String(), Length: length, PieceLength: manifests.PieceLength(length), Tag: w,
		Open: w.open, Resume: j.begun(c),
	}
}

// open opens the file if it still has the time stamp that was seen.
func (w *work) open() (pieces.Handle, error) {
	if w.dir.err != nil {
		return nil, w.dir.err
	}
	f, err := w.dir.root.OpenFile(w.c.info.Name(), os.O_RDONLY|nonblock, 0)
	if err != nil {
		if changed := w.verify(w.c.info); changed != nil {
			return nil, changed // by a link, say: that is the fault, not where it leads
		}
		return nil, err
	}
	info, err := f.Stat()
	// Another stamp may be a young one, which split has not seen.
	if err == nil && (!info.ModTime().Equal(w.c.info.ModTime()) || !w.c.resumes(info)) {
		err = fmt.Errorf("%w: it was written", pieces.ErrChanged)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// verify makes sure that the path still leads to the file that was read.
func (w *work) verify(read fs.FileInfo) error {
	now, err := w.dir.root.Lstat(w.c.info.Name())
	if err == nil && !os.SameFile(now, read) {
		err = fmt.Errorf("%w: another file took its place", pieces.ErrChanged)
	}
	return err
}
