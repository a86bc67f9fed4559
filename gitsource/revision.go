package gitsource

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"seedtree/manifests"
)

// Revision is one commit of the catalog. Its methods read from the mirror.
type Revision struct {
	Time    time.Time // of the commit, UTC
	Author  string    // "Name <mail>"
	Message string
	Parents []string // full ids

	src  *Source
	id   hash
	tree hash
	made *Batch // of a revision that was committed here and is not pushed
}

// ID returns the full commit id, 40 hexadecimal digits.
func (r *Revision) ID() string { return r.id.String() }

// Short returns the first ten digits of the id, for people.
func (r *Revision) Short() string { return r.id.String()[:10] }

// revision reads a commit; the lock is held and the store open.
func (s *Source) revision(id hash) (*Revision, error) {
	st, err := s.open()
	if err != nil {
		return nil, err
	}
	c, err := st.commit(id)
	if err != nil {
		s.noteDamage(err)
		return nil, err
	}
	return s.newRevision(c), nil
}

func (s *Source) newRevision(c *commitObject) *Revision {
	r := &Revision{src: s, id: c.id, tree: c.tree, Time: c.when, Author: c.author, Message: strings.TrimSpace(c.message)}
	for _, p := range c.parents {
		r.Parents = append(r.Parents, p.String())
	}
	return r
}

// store returns what the revision's objects can be read from; the lock is held.
func (r *Revision) store() (*store, error) {
	st, err := r.src.open()
	if err != nil || r.made == nil {
		return st, err
	}
	if r.made.head != r.id {
		return nil, errNotInMirror
	}
	return r.made.store(st), nil
}

// Descends reports whether the revision is another, or has it in its history.
func (r *Revision) Descends(ctx context.Context, from *Revision) (bool, error) {
	unlock, err := r.src.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	st, err := r.store()
	if err != nil {
		return false, err
	}
	in, err := descends(ctx, st, r.id, from.id)
	r.src.noteDamage(err)
	return in, err
}

// Revision finds a commit in the mirror: a full id, a unique beginning of at least
// four digits, HEAD, or HEAD~N (the Nth first parent).
func (s *Source) Revision(ctx context.Context, rev string) (*Revision, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return s.resolve(ctx, rev)
}

func (s *Source) resolve(ctx context.Context, rev string) (*Revision, error) {
	st, err := s.open()
	if err != nil {
		return nil, err
	}
	if back, ok := headOffset(rev); ok {
		r, err := s.head()
		for ; err == nil && back > 0; back-- {
			if len(r.Parents) == 0 {
				return nil, fmt.Errorf("revision %s: history ends at %s: %w", rev, r.Short(), ErrNotFound)
			}
			if err = ctx.Err(); err == nil {
				r, err = s.revision(plumbing.NewHash(r.Parents[0]))
			}
		}
		return r, err
	}
	ids, err := st.commitsWithPrefix(strings.ToLower(rev))
	if err != nil {
		return nil, fmt.Errorf("revision %q: %w", rev, err)
	}
	switch len(ids) {
	case 0:
		return nil, fmt.Errorf("revision %q: %w in what was fetched", rev, ErrNotFound)
	case 1:
		return s.revision(ids[0])
	}
	return nil, fmt.Errorf("revision %q is not unique: %s and %s begin with it", rev, ids[0], ids[1])
}

func headOffset(rev string) (int, bool) {
	rest, ok := strings.CutPrefix(rev, "HEAD")
	if !ok || rest == "" {
		return 0, ok
	}
	if rest[0] != '~' && rest[0] != '^' {
		return 0, false
	}
	if strings.Trim(rest, "^") == "" {
		return len(rest), true
	}
	n, err := strconv.Atoi(rest[1:])
	if rest == "~" {
		n, err = 1, nil
	}
	return n, err == nil && n >= 0 && rest[0] == '~'
}

// commitsWithPrefix finds commits by the beginning of their id.
func (s *store) commitsWithPrefix(prefix string) ([]hash, error) {
	if len(prefix) < 4 || len(prefix) > 40 || strings.Trim(prefix, "0123456789abcdef") != "" {
		return nil, errors.New("want HEAD, HEAD~N, or 4 to 40 hexadecimal digits")
	}
	if len(prefix) == 40 {
		if id := plumbing.NewHash(prefix); s.has(id) {
			_, err := s.commit(id)
			return []hash{id}, err
		}
		return nil, nil
	}
	even := plumbing.NewHash(prefix[:len(prefix)&^1] + strings.Repeat("0", 40-len(prefix)&^1))
	found := map[hash]bool{}
	for _, p := range s.packs {
		for _, id := range p.withPrefix(even[:len(prefix)/2]) {
			found[id] = true
		}
	}
	if s.obj != nil {
		loose, err := s.obj.HashesWithPrefix(even[:len(prefix)/2])
		if err != nil {
			return nil, s.bad("%w", err)
		}
		for _, id := range loose {
			found[id] = true
		}
	}
	var ids []hash
	for id := range found {
		if !strings.HasPrefix(id.String(), prefix) {
			continue
		}
		if _, t, err := s.readAny(id); err == nil && t == plumbing.CommitObject {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Log lists up to n revisions, newest first, that are reachable from the named one
// ("" is the head).
func (s *Source) Log(ctx context.Context, from string, n int) ([]*Revision, error) {
	if from == "" {
		from = "HEAD"
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	first, err := s.resolve(ctx, from)
	if err != nil {
		return nil, err
	}
	queue := &byTime{first}
	seen := map[string]bool{first.ID(): true}
	var log []*Revision
	for queue.Len() > 0 && len(log) < n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r := heap.Pop(queue).(*Revision)
		log = append(log, r)
		for _, p := range r.Parents {
			if seen[p] {
				continue
			}
			seen[p] = true
			parent, err := s.revision(plumbing.NewHash(p))
			if err != nil {
				return nil, err
			}
			heap.Push(queue, parent)
		}
	}
	return log, nil
}

// byTime is a heap with the newest commit on top. Among equals the one that was
// found first comes first, so that a child never follows its parent.
type byTime []*Revision

func (q byTime) Len() int           { return len(q) }
func (q byTime) Less(i, j int) bool { return q[i].Time.After(q[j].Time) }
func (q byTime) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push is for container/heap.
func (q *byTime) Push(x any) { *q = append(*q, x.(*Revision)) }

// Pop is for container/heap.
func (q *byTime) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// manifestName is where the manifest stands in a revision.
const manifestName = "manifest.yaml"

// maxManifest is far beyond what thousands of sites need, in bytes.
const maxManifest = 4 << 20

// ManifestBytes returns manifest.yaml as committed.
func (r *Revision) ManifestBytes(ctx context.Context) ([]byte, error) {
	return r.file(ctx, manifestName, maxManifest)
}

// Manifest reads and checks manifest.yaml.
func (r *Revision) Manifest(ctx context.Context) (*manifests.Manifest, error) {
	data, err := r.ManifestBytes(ctx)
	if err != nil {
		return nil, err
	}
	m, err := manifests.ParseManifest(data)
	if err != nil {
		return nil, fmt.Errorf("%s of revision %s: %w", manifestName, r.Short(), err)
	}
	return m, nil
}

// Metainfo returns the .torrent of a listed regular file.
func (r *Revision) Metainfo(ctx context.Context, e manifests.Entry) ([]byte, error) {
	if e.Kind != manifests.Regular {
		return nil, fmt.Errorf("%s is a %s and has no metainfo", e.Key(), e.Kind)
	}
	return r.file(ctx, manifests.CatalogName(e), maxBlob)
}

// file reads a blob by its name in the git tree.
func (r *Revision) file(ctx context.Context, name string, limit int64) (data []byte, err error) {
	unlock, err := r.src.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	defer func() {
		if err != nil {
			r.src.noteDamage(err)
			err = fmt.Errorf("%s of revision %s: %w", name, r.Short(), err)
		}
	}()
	st, err := r.store()
	if err != nil {
		return nil, err
	}
	e, err := st.lookup(r.tree, name)
	if err != nil {
		return nil, err
	}
	if e.mode != modeRegular && e.mode != modeExec {
		return nil, fmt.Errorf("it is no regular file (mode %o)", e.mode)
	}
	return st.blob(e.id, limit)
}

// lookup finds a name below a tree.
func (s *store) lookup(tree hash, name string) (treeEntry, error) {
	first, rest, more := strings.Cut(name, "/")
	entries, err := s.tree(tree)
	if err != nil {
		return treeEntry{}, err
	}
	// A name can stand as a file or as a directory, which git sorts apart.
	for _, probe := range []treeEntry{{name: first}, {mode: modeDir, name: first}} {
		i, ok := slices.BinarySearchFunc(entries, probe.sortKey(), func(e treeEntry, key string) int {
			return strings.Compare(e.sortKey(), key)
		})
		switch {
		case !ok:
		case !more:
			return entries[i], nil
		case entries[i].isDir():
			return s.lookup(entries[i].id, rest)
		}
	}
	return treeEntry{}, ErrNotFound
}

// blob reads a blob of at most limit bytes.
func (s *store) blob(id hash, limit int64) ([]byte, error) {
	return s.readUpTo(id, plumbing.BlobObject, limit)
}
