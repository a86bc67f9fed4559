package gitsource

import (
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
// It is not safe for concurrent use.
type store struct {
	dir   string
	fault error // what unreadable objects are called: ErrDamaged for our mirror
	packs map[string]*pack
	obj   *filesystem.ObjectStorage // go-git's, for what is in no pack of ours; nil where all is
	hash  hasher
	reads int    // objects read so far, which is what a listing costs
	under *store // is asked for what is not here; nil: nobody is
	beat  func() // is told of each object read, copied or made

	// Trees read lately: one torrent after the other is asked for by name, and a
	// directory may have a million of them.
	trees       map[hash][]treeEntry
	treeEntries int
}

// openStore opens any git directory. Packs that cannot be read are left to go-git,
// which says what is wrong with them when one of their objects is asked for.
func openStore(dir string, fault error) *store {
	s := &store{dir: dir, fault: fault, packs: map[string]*pack{}, trees: map[hash][]treeEntry{}, beat: func() {}}
	names, err := packNames(dir)
	onlyPacks := err == nil && !hasMore(dir)
	for _, name := range names {
		p, err := openPack(filepath.Join(dir, "objects", "pack", name))
		if err != nil {
			onlyPacks = false
			continue
		}
		s.packs[name] = p
	}
	if !onlyPacks {
		s.obj = openLoose(dir)
	}
	return s
}

// openMirror opens our own mirror, whose packs must all be whole. Those of an earlier
// store are taken over.
func openMirror(dir string, names []string, old *store) (*store, error) {
	s := &store{dir: dir, fault: ErrDamaged, packs: map[string]*pack{}, trees: map[hash][]treeEntry{}, beat: func() {}}
	if old != nil {
		s.trees, s.treeEntries = old.trees, old.treeEntries
	}
	for _, name := range names {
		if old != nil && old.packs[name] != nil {
			s.packs[name] = old.packs[name]
			delete(old.packs, name)
			continue
		}
		p, err := openPack(filepath.Join(dir, "objects", "pack", name))
		if err == nil && p.name() != name {
			err = errors.Join(fmt.Errorf("its index belongs to %s", p.name()), p.close())
		}
		if err != nil {
			return nil, errors.Join(s.bad("%s.pack: %w", name, err), s.Close())
		}
		s.packs[name] = p
	}
	if hasMore(dir) {
		s.obj = openLoose(dir)
	}
	return s, nil
}

// hasMore reports whether a git directory has objects outside of packs.
func hasMore(dir string) bool {
	files, err := os.ReadDir(filepath.Join(dir, "objects"))
	for _, f := range files {
		if name := f.Name(); name != "pack" && name != "info" {
			return true
		}
	}
	_, noAlternates := os.Lstat(filepath.Join(dir, "objects", "info", "alternates"))
	return err != nil || noAlternates == nil
}

func openLoose(dir string) *filesystem.ObjectStorage {
	lru := cache.NewObjectLRU(cache.FileSize(objectCache))
	// Exclusive access makes go-git list the loose objects once, instead of asking
	// the file system for each object before it looks into the packs. What comes
	// later is not seen: whoever installs a pack opens the store again.
	dot := dotgit.NewWithOptions(osfs.New(dir), dotgit.Options{ExclusiveAccess: true})
	return filesystem.NewObjectStorageWithOptions(dot, lru, filesystem.Options{ExclusiveAccess: true, KeepDescriptors: true})
}

// Close lets go of the files.
func (s *store) Close() (err error) {
	for _, p := range s.packs {
		err = errors.Join(err, p.close())
	}
	clear(s.packs)
	if s.obj != nil {
		err = errors.Join(err, s.obj.Close())
	}
	return err
}

// bad describes what is wrong with the objects here.
func (s *store) bad(format string, args ...any) error { return broken(s.fault, format, args...) }

// unreadable reports whether an error is about objects here, or below: about what they
// are kept in, and not about what they say.
func (s *store) unreadable(err error) bool {
	return errors.Is(err, s.fault) || s.under != nil && s.under.unreadable(err)
}

func broken(fault error, format string, args ...any) error {
	return fmt.Errorf("%w: %w", fault, fmt.Errorf(format, args...))
}

// has reports whether the object is here. Errors read as absence. (HasEncodedObject
// does not find packed objects under exclusive access in go-git v5.19.3.)
func (s *store) has(id hash) bool {
	if p, _ := s.find(id); p != nil {
		return true
	}
	if s.obj == nil {
		return false
	}
	_, err := s.obj.EncodedObjectSize(id)
	return err == nil
}

// find returns the pack an object is in, and where; nil for none.
func (s *store) find(id hash) (*pack, int64) {
	for _, p := range s.packs {
		if offset, ok := p.find(id); ok {
			return p, offset
		}
	}
	return nil, 0
}

// read returns an object's bytes. Its size is looked up before anything is
// inflated, and its id is computed anew: go-git finds a flipped bit only if
// the compressed stream happens to break.
func (s *store) read(id hash, t plumbing.ObjectType) ([]byte, error) {
	return s.readUpTo(id, t, sizeLimit(t))
}

func (s *store) readUpTo(id hash, t plumbing.ObjectType, limit int64) ([]byte, error) {
	data, is, err := s.readObject(id, limit)
	if err == nil && is != t {
		return nil, fmt.Errorf("object %s is a %s, a %s was expected", id, is, t)
	}
	return data, err
}

// readAny returns an object of whatever kind.
func (s *store) readAny(id hash) ([]byte, plumbing.ObjectType, error) {
	return s.readObject(id, maxTree)
}

func (s *store) readObject(id hash, limit int64) (data []byte, t plumbing.ObjectType, err error) {
	defer func() {
		// Parsers of packs have panicked on rotten input before.
		if p := recover(); p != nil {
			err = s.bad("object %s: %v", id, p)
		}
	}()
	s.reads++
	s.beat()
	var o packObject
	if p, offset := s.find(id); p != nil {
		o, err = p.read(offset, limit)
	} else {
		o, err = s.readLoose(id, limit)
	}
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound) && s.under != nil:
		return s.under.readObject(id, limit)
	case errors.Is(err, plumbing.ErrObjectNotFound):
		return nil, t, s.bad("object %s is missing", id)
	case errors.Is(err, ErrTooLarge):
		return nil, t, fmt.Errorf("object %s: %w", id, err)
	case err != nil:
		return nil, t, s.bad("object %s: %w", id, err)
	}
	is, err := s.hash.of(o.t, o.data)
	if err != nil {
		return nil, t, s.bad("object %s: %w", id, err)
	}
	if is != id {
		return nil, t, s.bad("object %s does not have the contents its id stands for", id)
	}
	return o.data, o.t, nil
}

// readLoose has go-git read an object.
func (s *store) readLoose(id hash, limit int64) (o packObject, err error) {
	if s.obj == nil {
		return o, plumbing.ErrObjectNotFound
	}
	size, err := s.obj.EncodedObjectSize(id)
	if err != nil {
		return o, err
	}
	if size > limit {
		return o, tooLarge(size, limit)
	}
	e, err := s.obj.EncodedObject(plumbing.AnyObject, id)
	if err != nil {
		return o, err
	}
	r, err := e.Reader()
	if err != nil {
		return o, err
	}
	defer r.Close()
	o = packObject{e.Type(), make([]byte, size)}
	_, err = io.ReadFull(r, o.data)
	return o, err
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

// keptTreeEntries bounds the memory of parsed trees to some tens of megabytes.
const keptTreeEntries = 256 << 10

// tree returns a tree's entries, which the caller must not change.
func (s *store) tree(id hash) ([]treeEntry, error) {
	if entries, ok := s.trees[id]; ok {
		return entries, nil
	}
	entries, err := s.treeOnce(id)
	if err != nil {
		return nil, err
	}
	if s.treeEntries += len(entries); s.treeEntries > keptTreeEntries {
		clear(s.trees)
		s.treeEntries = len(entries)
	}
	s.trees[id] = entries
	return entries, nil
}

// treeOnce is tree for one that nobody will ask for soon again.
func (s *store) treeOnce(id hash) ([]treeEntry, error) {
	data, err := s.read(id, plumbing.TreeObject)
	if err != nil {
		return nil, err
	}
	entries, err := parseTree(data)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", id, err)
	}
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

// sweepPacks removes what a crash left between our mirror's packs.
func sweepPacks(dir string) error {
	packs := filepath.Join(dir, "objects", "pack")
	files, err := os.ReadDir(packs)
	if err != nil {
		return broken(ErrDamaged, "%w", err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".pack") {
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
