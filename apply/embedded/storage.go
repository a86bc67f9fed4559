package embedded

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	g "github.com/anacrolix/generics"
	"github.com/anacrolix/torrent/metainfo"
	"github.com/anacrolix/torrent/storage"

	"seedtree/manifests"
)

var (
	errNotRegular = errors.New("not a regular file")
	errChanged    = errors.New("file changed since it was handed over")
	errBadPiece   = errors.New("piece does not verify")
	errSealed     = errors.New("refusing to write into a file that is complete")
)

// data is the file of one loaded torrent, as the library's storage. Nothing
// else of the library touches a disk. It never truncates, renames or maps the
// file, and creates it only while pieces are missing.
type data struct {
	hash        manifests.InfoHash
	root, path  string
	length      int64
	pieceLength int64
	hashes      []byte // 20 bytes a piece
	seal        stamp  // what the file must look like while it is served

	tell func(d *data, what verdict, err error)

	mu      sync.RWMutex // guards file against use after Close
	file    *os.File
	closed  bool
	gone    chan struct{} // closed with the storage
	writing atomic.Bool   // pieces are missing
	arrived atomic.Int64  // when the last bytes came, Unix nanoseconds

	havemu sync.Mutex
	have   bitfield // nil: all
	left   int64
}

// verdict is what a storage tells the engine about its torrent.
type verdict uint8

const (
	pieceBad verdict = iota
	allGood
	readFailed
	writeFailed
)

var _ storage.ClientImpl = (*data)(nil)

// OpenTorrent gives the library its view. Every torrent brings its own
// storage, so there is nothing to look up.
func (d *data) OpenTorrent(context.Context, *metainfo.Info, metainfo.Hash) (storage.TorrentImpl, error) {
	return storage.TorrentImpl{
		PieceWithHash: func(p metainfo.Piece, _ g.Option[[]byte]) storage.PieceImpl {
			return piece{d, p.Index()}
		},
		Close: d.close,
	}, nil
}

func (d *data) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.closed = true
		close(d.gone)
	}
	if d.file == nil {
		return nil
	}
	err := d.file.Close()
	d.file = nil
	return err
}

// use calls f with the open file, opening it first if need be.
func (d *data) use(f func(*os.File) error) error {
	d.mu.RLock()
	if d.file != nil {
		defer d.mu.RUnlock()
		return f(d.file)
	}
	d.mu.RUnlock()
	d.mu.Lock()
	if d.file == nil && !d.closed {
		file, err := openFile(d.root, d.path, d.writing.Load())
		if err != nil {
			d.mu.Unlock()
			return err
		}
		d.file = file
	}
	d.mu.Unlock()
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.file == nil {
		return os.ErrClosed
	}
	return f(d.file)
}

// openFile opens root/name below root, whatever symlinks stand there. With
// create it makes the file and its parents.
func openFile(root, name string, create bool) (*os.File, error) {
	name = filepath.FromSlash(name)
	r, err := openRoot(root, create)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	flag := os.O_RDONLY
	if create {
		flag = os.O_RDWR | os.O_CREATE
	}
	f, err := r.OpenFile(name, flag, 0o644)
	if create && errors.Is(err, os.ErrNotExist) {
		if err = r.MkdirAll(filepath.Dir(name), 0o755); err == nil {
			f, err = r.OpenFile(name, flag, 0o644)
		}
	}
	if err != nil {
		return nil, err
	}
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(err, &os.PathError{Op: "open", Path: filepath.Join(root, name), Err: errNotRegular})
	}
	return f, nil
}

// openRoot opens a tree root, or a folder below its private directory, which
// alone may be made: where the private directory is missing the drive is not
// mounted, and nothing must be written to the mount point.
func openRoot(root string, create bool) (*os.Root, error) {
	r, err := os.OpenRoot(root)
	if err == nil || !create || !errors.Is(err, os.ErrNotExist) {
		return r, err
	}
	mark := string(filepath.Separator) + manifests.PrivateDir + string(filepath.Separator)
	top, below, ok := strings.Cut(root, mark)
	if !ok {
		return nil, err
	}
	private, err := os.OpenRoot(filepath.Join(top, manifests.PrivateDir))
	if err != nil {
		return nil, err
	}
	defer private.Close()
	if err := private.MkdirAll(below, 0o755); err != nil {
		return nil, err
	}
	return private.OpenRoot(below)
}

// piece is one piece of the file.
type piece struct {
	d *data
	i int
}

var (
	_ storage.PieceImpl   = piece{}
	_ storage.SelfHashing = piece{}
)

// ReadAt serves peers. A complete file is looked at after each read: bytes of
// a file that changed must not leave this site under its old name.
//
// It never returns an error. The library panics when a read fails of a torrent
// that is dropped at the same moment, and dropping it is just what a failure
// leads to. So a read that failed waits for that; by then the connection is
// closed, and what stands in b goes nowhere.
func (p piece) ReadAt(b []byte, off int64) (int, error) {
	d := p.d
	if err := d.read(b, int64(p.i)*d.pieceLength+off); err != nil {
		if !errors.Is(err, os.ErrClosed) {
			d.tell(d, readFailed, fmt.Errorf("%s: %w", path.Join(d.root, d.path), err))
		}
		<-d.gone
		clear(b)
	}
	return len(b), nil
}

func (d *data) read(b []byte, off int64) error {
	return d.use(func(f *os.File) error {
		if _, err := f.ReadAt(b, off); err != nil {
			return err
		}
		if d.writing.Load() {
			return nil
		}
		fi, err := f.Stat()
		if err == nil && !stampOf(fi).equal(d.seal) {
			err = errChanged
		}
		return err
	})
}

func (p piece) WriteAt(b []byte, off int64) (n int, err error) {
	d := p.d
	if !d.writing.Load() {
		return 0, errSealed
	}
	err = d.use(func(f *os.File) error {
		n, err = f.WriteAt(b, int64(p.i)*d.pieceLength+off)
		return err
	})
	switch {
	case err == nil:
		d.arrived.Store(time.Now().UnixNano())
	case !errors.Is(err, os.ErrClosed):
		d.tell(d, writeFailed, err)
	}
	return n, err
}

func (p piece) Completion() storage.Completion {
	p.d.havemu.Lock()
	defer p.d.havemu.Unlock()
	return storage.Completion{Ok: true, Complete: p.d.have == nil || p.d.have.has(p.i)}
}

// SelfHash hashes the piece. For a piece that does not verify it returns an
// error besides the sum: the library takes a clean mismatch as a reason to ban
// the peer's address for every torrent and for ever.
func (p piece) SelfHash() (sum metainfo.Hash, err error) {
	d := p.d
	err = d.use(func(f *os.File) error {
		h, err := hashPiece(f, int64(p.i)*d.pieceLength, pieceSize(p.i, d.length, d.pieceLength))
		sum = h
		return err
	})
	if err == nil && string(sum[:]) != string(d.hashes[p.i*sha1.Size:(p.i+1)*sha1.Size]) {
		err = errBadPiece
		d.tell(d, pieceBad, err)
	}
	return sum, err
}

func (p piece) MarkComplete() error {
	d := p.d
	d.havemu.Lock()
	if d.have == nil || d.have.has(p.i) {
		d.havemu.Unlock()
		return nil
	}
	d.have.set(p.i, true)
	d.left -= pieceSize(p.i, d.length, d.pieceLength)
	left := d.left
	d.havemu.Unlock()
	if left > 0 {
		return nil
	}
	return d.finish()
}

// finish seals the file when the last piece is there.
func (d *data) finish() error {
	err := d.use(func(f *os.File) error {
		fi, err := f.Stat()
		if err == nil {
			d.seal = stampOf(fi)
		}
		return err
	})
	if err == nil && d.seal.size != d.length {
		err = fmt.Errorf("file has %d bytes, listed are %d", d.seal.size, d.length)
	}
	d.writing.Store(false)
	d.tell(d, allGood, err)
	return err
}

// MarkNotComplete is the library's answer to a failed hash or read. What is
// here is ours to know, so it changes nothing but a piece that was in doubt.
func (p piece) MarkNotComplete() error { return nil }

// progress returns what is missing and a copy of what is there.
func (d *data) progress() (have bitfield, left int64) {
	d.havemu.Lock()
	defer d.havemu.Unlock()
	return append(bitfield(nil), d.have...), d.left
}
