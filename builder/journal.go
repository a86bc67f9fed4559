package builder

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"seedtree/manifests"
)

// A journal is written when so much waits to be, or for so long. A build that
// is done before has no journal; one that is killed loses no more than this.
const (
	journalBytes = 1 << 20
	journalEvery = time.Second
)

// Journal keeps what builds of a site have hashed until it is committed, so
// that the next one takes over what an interrupted one did. It is only ever a
// saving: whatever is wrong with its file, builds read the sources instead.
//
// Records are appended, each with a checksum of its own, so a torn or damaged
// file is worth what is whole in it.
type Journal struct {
	path string
	head []byte // what the file must begin with to be ours

	mu    sync.Mutex
	lock  *flock.Flock
	file  *os.File                // nil: not made yet
	size  int64                   // bytes in the file
	buf   []byte                  // what comes behind them
	index *journalIndex           // of all that; nil: to be made when it is asked
	timer *time.Timer             // writes buf when it has waited long enough
	parts map[manifests.Key]*part // large files that are being read
	err   error                   // why nothing is kept any more
}

// errTaken: two builds of one site at a time; the second keeps no journal.
var errTaken = errors.New("another build of this site keeps it")

// OpenJournal reads the journal at a path, which need not exist. One of another
// site, other folders or another format is begun anew.
func OpenJournal(path, site string, trees map[string]string) *Journal {
	j := &Journal{path: path, head: journalHead(site, trees), parts: map[manifests.Key]*part{}}
	j.size = int64(len(j.head))
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return j
	}
	j.err = j.open(os.O_RDWR)
	return j
}

func journalHead(site string, trees map[string]string) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", site)
	for _, tree := range slices.Sorted(maps.Keys(trees)) {
		fmt.Fprintf(h, "%q %q\n", tree, trees[tree])
	}
	return fmt.Appendf(nil, "seedtree journal 1 %x\n", h.Sum(nil))
}

// open takes the file for this build alone.
func (j *Journal) open(flag int) error {
	lock := flock.New(j.path + ".lock")
	if ok, err := lock.TryLock(); err != nil || !ok {
		return errors.Join(err, lock.Close(), errTaken)
	}
	f, err := os.OpenFile(j.path, flag|nonblock, 0o600)
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	j.file, j.lock = f, lock
	head := make([]byte, len(j.head))
	if _, err := f.ReadAt(head, 0); err == nil && bytes.Equal(head, j.head) {
		j.size, err = f.Seek(0, io.SeekEnd)
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(j.head, 0)
	return err
}

// add keeps a record, in memory for now.
func (j *Journal) add(r record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.append(r)
	if len(j.buf) >= journalBytes {
		j.flush()
	}
	j.arm()
}

func (j *Journal) append(r record) {
	if j.err == nil {
		j.buf, j.index = r.append(j.buf), nil
	}
}

// arm sees to it that what waits is written in time.
func (j *Journal) arm() {
	if j.timer != nil || j.err != nil || len(j.buf)+len(j.parts) == 0 {
		return
	}
	j.timer = time.AfterFunc(journalEvery, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.timer == nil { // stopped while this waited for its turn
			return
		}
		j.timer = nil
		j.appendParts(false)
		j.flush()
		j.arm()
	})
}

// disarm ends that.
func (j *Journal) disarm() {
	if j.timer != nil {
		j.timer.Stop()
		j.timer = nil
	}
}

// flush writes what waits. What cannot be written is forgotten: to remember
// all of it would take memory without end.
func (j *Journal) flush() {
	if len(j.buf) == 0 || j.err != nil {
		return
	}
	if j.file == nil {
		if j.err = j.create(); j.err != nil {
			j.buf = nil
			return
		}
	}
	n, err := j.file.WriteAt(j.buf, j.size)
	j.size += int64(n)
	j.buf, j.err = j.buf[:0], err
}

// create makes the file. One that came while this build went on is of another
// build, which is over: it held the lock.
func (j *Journal) create() error {
	if err := os.MkdirAll(filepath.Dir(j.path), 0o755); err != nil {
		return err
	}
	return j.open(os.O_RDWR | os.O_CREATE | os.O_TRUNC)
}

// Err says why nothing is kept any more, if so.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return fmt.Errorf("journal %s: %w", j.path, j.err)
	}
	return nil
}

// Close writes what waits, for the next build to take over.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.disarm()
	j.appendParts(true)
	j.flush()
	j.mu.Unlock()
	return errors.Join(j.Err(), j.release())
}

// Remove forgets everything: it is committed.
func (j *Journal) Remove() error {
	j.mu.Lock()
	j.disarm()
	j.buf, j.index = nil, nil
	ours := j.file != nil
	j.mu.Unlock()
	if !ours {
		return nil
	}
	return errors.Join(os.Remove(j.path), j.release())
}

// release lets the next build have the file.
func (j *Journal) release() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err := errors.Join(j.file.Close(), j.lock.Close())
	j.file = nil
	return err
}
