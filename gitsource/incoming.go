package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"seedtree/internal/durable"
	"seedtree/internal/pulse"
)

// limits bounds what a remote may cost us.
type limits struct {
	pack     int64 // bytes on the wire and on disk
	object   int64 // bytes of one object, inflated
	inflated int64 // bytes of all objects of a pack, inflated, deltas as such
	base     int64 // bytes that deltas may make whatever the size of the pack; see work
	memory   int   // bytes of bases that resolving deltas may keep, besides one
	entries  int   // of a listing
	packs    int   // in the mirror; more are merged, for every lookup asks one after the other
}

// defaultLimits leaves room for catalogs of several million entries.
func defaultLimits() limits {
	return limits{pack: 16 << 30, object: maxTree, inflated: 64 << 30, base: workBase, memory: 192 << 20, entries: 4 << 20, packs: 50}
}

// incoming is a scratch git directory for one pack. What is in it is no part of
// the mirror until install, so a crash leaves nothing but a folder to remove.
type incoming struct {
	parent string
	dir    string // "" until something comes
	lim    limits
	pack   *os.File
	count  int    // objects in a pack of our own
	own    bool   // made here, from objects that were read and checked
	name   string // of the pack once it is indexed, without suffix; "" if none came
	beat   func() // tells whoever watches that indexing gets on
	ctx    context.Context
}

func newIncoming(parent string, lim limits) (*incoming, error) {
	in := lateIncoming(parent, lim)
	return in, in.begin()
}

// lateIncoming is a scratch directory that is made when something comes: most
// looks at a remote find nothing new, and then nothing is written.
func lateIncoming(parent string, lim limits) *incoming {
	return &incoming{parent: parent, lim: lim, beat: func() {}, ctx: context.Background()}
}

// begin makes the directory, unless it is there.
func (in *incoming) begin() error {
	if in.pack != nil {
		return nil
	}
	err := os.MkdirAll(in.parent, 0o777)
	if err != nil {
		return err
	}
	if in.dir, err = os.MkdirTemp(in.parent, "pack-*.git"); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(in.dir, "objects", "pack"), 0o777); err != nil {
		return errors.Join(err, in.Close())
	}
	if in.pack, err = os.Create(filepath.Join(in.dir, "objects", "pack", "incoming")); err != nil {
		return errors.Join(err, in.Close())
	}
	return nil
}

// Close removes the scratch directory.
func (in *incoming) Close() error {
	if in.dir == "" {
		return nil
	}
	var err error
	if in.pack != nil {
		err = in.pack.Close()
	}
	return errors.Join(err, os.RemoveAll(in.dir))
}

// writer takes the raw pack of a remote.
func (in *incoming) writer() (io.Writer, error) {
	err := in.begin()
	return &limitWriter{in.pack, in.lim.pack, fmt.Errorf("the remote's pack: %w: more than %d bytes", ErrTooLarge, in.lim.pack)}, err
}

// base is the path of the indexed pack without its suffix.
func (in *incoming) base() string { return filepath.Join(in.dir, "objects", "pack", in.name) }

// index checks a raw pack, computes every object's id from its bytes and writes the
// index, which is thereby ours and not the remote's word.
func (in *incoming) index() error {
	st, err := in.pack.Stat()
	if err != nil || st.Size() == 0 {
		return err
	}
	sum, index, err := parsePack(in)
	if err != nil {
		return fmt.Errorf("the remote's pack: %w", err)
	}
	return in.seal(sum, index)
}

// lively says with each read that indexing gets on.
type lively struct {
	io.ReadSeeker
	beat func()
}

func (l lively) Read(p []byte) (int, error) {
	l.beat()
	return l.ReadSeeker.Read(p)
}

// livelyWriter says with each write that the index gets on.
type livelyWriter struct {
	io.Writer
	beat func()
}

func (l livelyWriter) Write(p []byte) (int, error) {
	l.beat()
	return l.Writer.Write(p)
}

// build fills the scratch directory with a pack of our own making: the objects
// that fill adds.
func (in *incoming) build(fill func(*packWriter) error) error {
	if err := in.begin(); err != nil {
		return err
	}
	p, err := newPackWriter(in.pack)
	if err != nil {
		return err
	}
	if err := fill(p); err != nil {
		return err
	}
	return in.finish(p)
}

// finish completes a pack of our own making.
func (in *incoming) finish(p *packWriter) error {
	p.beat = in.beat
	sum, err := p.finish()
	if err != nil {
		return fmt.Errorf("write pack: %w", err)
	}
	in.own, in.count = true, p.index.n
	return in.seal(sum, &p.index)
}

// unseal makes a sealed pack one that is being written again.
func (in *incoming) unseal() error {
	if in.name == "" {
		return nil
	}
	err := errors.Join(os.Remove(in.base()+".idx"), os.Rename(in.base()+".pack", in.pack.Name()))
	in.name = ""
	return err
}

// seal writes the index, syncs both files and gives them their names. When that fails
// the pack is what it was, to be written on or sealed again.
func (in *incoming) seal(sum hash, index *packIndex) (err error) {
	in.name = "pack-" + sum.String()
	defer func() {
		if err != nil {
			_ = os.Remove(in.base() + ".idx") // else the next try finds half of it in its way
			err = fmt.Errorf("complete %s: %w", in.name, err)
			in.name = ""
		}
	}()
	idx, err := os.OpenFile(in.base()+".idx", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	err = errors.Join(index.write(livelyWriter{idx, in.beat}, sum), pulse.WriteBack(idx, in.beat), pulse.WriteBack(in.pack, in.beat))
	err = errors.Join(err, idx.Sync(), idx.Close(), in.pack.Chmod(0o444), in.pack.Sync())
	if err != nil {
		return err
	}
	return os.Rename(in.pack.Name(), in.base()+".pack")
}

// install moves the pack into a git directory, index first: readers look for the
// pack, so they see it only when it is complete.
func (in *incoming) install(gitDir string) error {
	if in.name == "" {
		return nil
	}
	dir := filepath.Join(gitDir, "objects", "pack")
	for _, suffix := range []string{".idx", ".pack"} {
		if err := os.Rename(in.base()+suffix, filepath.Join(dir, in.name+suffix)); err != nil {
			return fmt.Errorf("install %s: %w", in.name, err)
		}
	}
	return durable.SyncDir(dir)
}

// reset empties the scratch directory for another try.
func (in *incoming) reset() error {
	if in.pack == nil {
		return nil
	}
	if _, err := in.pack.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return in.pack.Truncate(0)
}
