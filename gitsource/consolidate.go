package gitsource

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// consolidate merges the mirror's packs when they have become many. Objects are
// copied as they lie, one pack's after the other's: deltas refer to bases by
// distance within their pack or by id, and both still hold. A pack that is more
// than half of all is left alone, so that each byte is copied a few times in its life.
func (s *Source) consolidate() error {
	if len(s.packs) <= s.lim.packs {
		return nil
	}
	dir := filepath.Join(s.path(gitName), "objects", "pack")
	sizes, total := map[string]int64{}, int64(0)
	for _, name := range s.packs {
		st, err := os.Stat(filepath.Join(dir, name+".pack"))
		if err != nil {
			return err
		}
		sizes[name] = st.Size()
		total += st.Size()
	}
	var small []string
	for _, name := range s.packs {
		if sizes[name] <= total/2 {
			small = append(small, filepath.Join(dir, name))
		}
	}
	in, err := newIncoming(s.path(incomingName), s.lim)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := in.merge(small); err != nil {
		return err
	}
	if err := in.install(s.path(gitName)); err != nil {
		return err
	}
	// The pack goes before its index: an index alone is a leftover, a pack alone is damage.
	for _, base := range small {
		if err := errors.Join(os.Remove(base+".pack"), os.Remove(base+".idx")); err != nil {
			return err
		}
	}
	_, err = s.reopen()
	return err
}

// merge writes the objects of several packs as one.
func (in *incoming) merge(bases []string) error {
	index := &packIndex{}
	offset := int64(packHeader)
	if _, err := in.pack.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	for _, base := range bases {
		if err := index.read(base+".idx", offset-packHeader); err != nil {
			return err
		}
		copied, err := copyObjects(in.pack, base+".pack")
		if err != nil {
			return err
		}
		offset += copied
	}
	sum, err := sealPack(in.pack, offset, index.n)
	if err != nil {
		return err
	}
	return in.seal(sum, index)
}

// copyObjects appends what is between a pack's header and trailer.
func copyObjects(w io.Writer, name string) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	size := st.Size() - packHeader - packTrailer
	return io.Copy(w, io.NewSectionReader(f, packHeader, size))
}
