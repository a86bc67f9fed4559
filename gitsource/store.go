package gitsource

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"

	"seedtree/internal/durable"
)

// Limits on what a catalog may ask of memory, in bytes.
const (
	maxBlob     = 64 << 20  // a .torrent of a petabyte file would still fit
	maxTree     = 256 << 20 // some four million names in one directory
	maxCommit   = 1 << 20
	objectCache = 8 << 20
)

// store reads objects of one git directory: our mirror or a local remote.
// It is not safe for concurrent use, for go-git's storage is not.
type store struct {
	dir   string
	fault error // what unreadable objects are called: ErrDamaged for our mirror
	obj   *filesystem.ObjectStorage
	reads int    // objects read so far, which is what a listing costs
	under *store // is asked for what is not here; nil: nobody is

	// Trees read lately: one torrent after the other is asked for by name, and a
	// directory may have a million of them.
	trees       map[hash][]treeEntry
	treeEntries int
}

func openStore(dir string, fault error) *store {
	lru := cache.NewObjectLRU(cache.FileSize(objectCache))
	// Exclusive access makes go-git list the loose objects once, instead of asking
	// the file system for each object before it looks into the packs. What comes
	// later is not seen: whoever installs a pack opens the store again.
	dot := dotgit.NewWithOptions(osfs.New(dir), dotgit.Options{ExclusiveAccess: true})
	return &store{dir: dir, fault: fault, trees: map[hash][]treeEntry{}, obj: filesystem.NewObjectStorageWithOptions(
		dot, lru, filesystem.Options{ExclusiveAccess: true, KeepDescriptors: true})}
}

func (s *store) Close() error { return s.obj.Close() }

// bad describes what is wrong with the objects here.
func (s *store) bad(format string, args ...any) error { return broken(s.fault, format, args...) }

func broken(fault error, format string, args ...any) error {
	return fmt.Errorf("%w: %w", fault, fmt.Errorf(format, args...))
}

// has reports whether the object is here. Errors read as absence. (HasEncodedObject
// does not find packed objects under exclusive access in go-git v5.19.3.)
func (s *store) has(id hash) bool {
	_, err := s.obj.EncodedObjectSize(id)
	return err == nil
}

// read returns an object's bytes. Its size is looked up before anything is
// inflated, and its id is computed anew: go-git finds a flipped bit only if
// the compressed stream happens to break.
func (s *store) read(id hash, t plumbing.ObjectType) ([]byte, error) {
	return s.readUpTo(id, t, sizeLimit(t))
}

func (s *store) readUpTo(id hash, t plumbing.ObjectType, limit int64) (data []byte, err error) {
	defer func() {
		// Parsers of packs have panicked on rotten input before.
		if p := recover(); p != nil {
			err = s.bad("object %s: %v", id, p)
		}
	}()
	s.reads++
	size, err := s.obj.EncodedObjectSize(id)
	if errors.Is(err, plumbing.ErrObjectNotFound) && s.under != nil {
		return s.under.readUpTo(id, t, limit)
	}
	if err != nil {
		return nil, s.readError(id, err)
	}
	if size > limit {
		return nil, fmt.Errorf("%s %s: %w: %d bytes, at most %d are read", t, id, ErrTooLarge, size, limit)
	}
	o, err := s.obj.EncodedObject(plumbing.AnyObject, id)
	if err != nil {
		return nil, s.readError(id, err)
	}
	r, err := o.Reader()
	if err != nil {
		return nil, s.readError(id, err)
	}
	defer r.Close()
	data = make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, s.readError(id, err)
	}
	if objectID(o.Type(), data) != id {
		return nil, s.bad("object %s does not have the contents its id stands for", id)
	}
	if t != plumbing.AnyObject && o.Type() != t {
		return nil, fmt.Errorf("object %s is a %s, a %s was expected", id, o.Type(), t)
	}
	return data, nil
}

func sizeLimit(t plumbing.ObjectType) int64 {
	switch t {
	case plumbing.BlobObject:
		return maxBlob
	case plumbing.CommitObject:
		return maxCommit
	}
	return maxTree
}

func (s *store) readError(id hash, err error) error {
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return s.bad("object %s is missing", id)
	}
	return s.bad("object %s: %w", id, err)
}

// keptTreeEntries bounds the memory of parsed trees to some tens of megabytes.
const keptTreeEntries = 256 << 10

// tree returns a tree's entries, which the caller must not change.
func (s *store) tree(id hash) ([]treeEntry, error) {
	if entries, ok := s.trees[id]; ok {
		return entries, nil
	}
	data, err := s.read(id, plumbing.TreeObject)
	if err != nil {
		return nil, err
	}
	entries, err := parseTree(data)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", id, err)
	}
	if s.treeEntries += len(entries); s.treeEntries > keptTreeEntries {
		clear(s.trees)
		s.treeEntries = len(entries)
	}
	s.trees[id] = entries
	return entries, nil
}

func (s *store) commit(id hash) (*commitObject, error) {
	data, err := s.read(id, plumbing.CommitObject)
	if err != nil {
		return nil, err
	}
	return parseCommit(id, data)
}

// packNames lists the packs of a git directory, sorted; only those with both
// files count.
func packNames(dir string) ([]string, error) {
	files, err := os.ReadDir(filepath.Join(dir, "objects", "pack"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), ".pack"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// checkPacks finds what a crash or a bad disk did to the packs of our mirror,
// as far as that can be told without reading all of them: a missing, cut or
// altered index, a cut pack, a pack that is not the one of the index. Rot inside
// a pack is found when the object is read. Leftovers are removed.
func checkPacks(dir string) error {
	packs := filepath.Join(dir, "objects", "pack")
	files, err := os.ReadDir(packs)
	if err != nil {
		return broken(ErrDamaged, "%w", err)
	}
	for _, f := range files {
		name, isPack := strings.CutSuffix(f.Name(), ".pack")
		if isPack {
			if err := checkPack(filepath.Join(packs, name)); err != nil {
				return broken(ErrDamaged, "%s: %w", f.Name(), err)
			}
			continue
		}
		if base, ok := strings.CutSuffix(f.Name(), ".idx"); ok {
			if _, err := os.Lstat(filepath.Join(packs, base+".pack")); err == nil {
				continue
			}
		}
		// An index comes before its pack; alone it is what a crash left.
		if err := os.RemoveAll(filepath.Join(packs, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

func checkPack(base string) error {
	idx, err := os.Open(base + ".idx")
	if err != nil {
		return err
	}
	defer idx.Close()
	st, err := idx.Stat()
	if err != nil {
		return err
	}
	if st.Size() < 8+1024+40 {
		return fmt.Errorf("its index has only %d bytes", st.Size())
	}
	h := sha1.New()
	if _, err := io.CopyN(h, idx, st.Size()-20); err != nil {
		return err
	}
	var tail [40]byte // the pack's checksum, then the index's own
	if _, err := idx.ReadAt(tail[:], st.Size()-40); err != nil {
		return err
	}
	if hash(h.Sum(nil)) != hash(tail[20:]) {
		return fmt.Errorf("its index does not match its own checksum")
	}
	if want := "pack-" + hash(tail[:20]).String(); filepath.Base(base) != want {
		return fmt.Errorf("its index belongs to %s", want)
	}
	return checkPackTail(base+".pack", tail[:20])
}

func checkPackTail(name string, sum []byte) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	var tail [20]byte
	if st.Size() < 32 {
		return fmt.Errorf("it has only %d bytes", st.Size())
	}
	if _, err := f.ReadAt(tail[:], st.Size()-20); err != nil {
		return err
	}
	if string(tail[:]) != string(sum) {
		return fmt.Errorf("it does not end in its checksum (cut short?)")
	}
	return nil
}

// InitBare makes a new, empty bare repository at dir that git itself accepts,
// with the branch main to be born. Anything that is already there is refused.
func InitBare(dir string) error {
	if old, err := os.ReadDir(dir); err == nil && len(old) > 0 {
		return fmt.Errorf("make a repository in %s: the folder is not empty", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make a repository: %w", err)
	}
	return initGitDir(dir, "main")
}

func initGitDir(dir, branch string) error {
	for _, d := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o777); err != nil {
			return fmt.Errorf("make a repository: %w", err)
		}
	}
	config := "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
	if err := durable.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o644); err != nil {
		return fmt.Errorf("make a repository: %w", err)
	}
	// HEAD comes last: without it git does not take the folder for a repository.
	if err := durable.WriteFile(filepath.Join(dir, "HEAD"), []byte("ref: refs/heads/"+branch+"\n"), 0o644); err != nil {
		return fmt.Errorf("make a repository: %w", err)
	}
	return nil
}
