package gitsource

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	gohash "hash"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/pjbgf/sha1cd"
)

// hash is a git object id. Repositories with SHA-256 ids are refused.
type hash = plumbing.Hash

var errSHA256 = fmt.Errorf("repositories with SHA-256 object ids are not supported")

// modes of tree entries, as git writes them
const (
	modeDir     = 0o40000
	modeRegular = 0o100644
	modeExec    = 0o100755
	modeLink    = 0o120000
	modeModule  = 0o160000
)

// treeEntry is one line of a tree object.
type treeEntry struct {
	mode uint32
	name string
	id   hash
}

func (e treeEntry) isDir() bool { return e.mode == modeDir }

// sortKey orders as git does: a directory as if its name ended in a slash.
func (e treeEntry) sortKey() string {
	if e.isDir() {
		return e.name + "/"
	}
	return e.name
}

// hasher computes ids, one after the other without allocating. Plain SHA-1 will do
// for objects of our own making and for finding rot. What comes from others is read
// strictly: bytes of which somebody made others with the same id are refused, or the
// mirrors of two sites could hold different catalogs under one revision.
type hasher struct {
	strict bool
	sha    gohash.Hash
	head   [32]byte
}

// begin returns what an object's bytes are written to.
func (h *hasher) begin(t plumbing.ObjectType, size int) io.Writer {
	switch {
	case h.sha != nil:
		h.sha.Reset()
	case h.strict:
		h.sha = sha1cd.New()
	default:
		h.sha = sha1.New()
	}
	h.sha.Write(appendObjectHeader(h.head[:0], t, size))
	return h.sha
}

var errCollision = errors.New("it is made to have the id of another object (SHA-1 collision)")

// end returns the object's id; the error is a strict one's.
func (h *hasher) end() (id hash, err error) {
	careful, ok := h.sha.(sha1cd.CollisionResistantHash)
	if !ok {
		h.sha.Sum(id[:0])
		return id, nil
	}
	if _, collides := careful.CollisionResistantSum(id[:0]); collides {
		return hash{}, errCollision
	}
	return id, nil
}

func (h *hasher) of(t plumbing.ObjectType, data []byte) (hash, error) {
	_, _ = h.begin(t, len(data)).Write(data)
	return h.end()
}

// sum is of for a hasher that is not strict.
func (h *hasher) sum(t plumbing.ObjectType, data []byte) hash {
	id, _ := h.of(t, data)
	return id
}

func objectID(t plumbing.ObjectType, data []byte) hash { return new(hasher).sum(t, data) }

func objectHeader(t plumbing.ObjectType, size int) []byte { return appendObjectHeader(nil, t, size) }

func appendObjectHeader(b []byte, t plumbing.ObjectType, size int) []byte {
	b = append(append(b, t.String()...), ' ')
	return append(strconv.AppendInt(b, int64(size), 10), 0)
}

// parseTree reads a tree object. It accepts any mode and name that can be
// told apart; what they mean is judged by whoever walks the tree.
func parseTree(data []byte) ([]treeEntry, error) {
	entries := make([]treeEntry, 0, len(data)/48)
	for len(data) > 0 {
		sp := bytes.IndexByte(data, ' ')
		if sp < 1 || sp > 7 {
			return nil, fmt.Errorf("malformed tree: no mode")
		}
		mode, err := strconv.ParseUint(string(data[:sp]), 8, 32)
		if err != nil {
			return nil, fmt.Errorf("malformed tree: mode %q", data[:sp])
		}
		data = data[sp+1:]
		nul := bytes.IndexByte(data, 0)
		if nul < 1 || len(data) < nul+21 {
			return nil, fmt.Errorf("malformed tree: cut short or without a name")
		}
		e := treeEntry{mode: uint32(mode), name: string(data[:nul])}
		copy(e.id[:], data[nul+1:])
		if strings.Contains(e.name, "/") {
			return nil, fmt.Errorf("malformed tree: name %q has a slash", e.name)
		}
		entries = append(entries, e)
		data = data[nul+21:]
	}
	return entries, nil
}

// encodeTree writes entries, which must be sorted by sortKey.
func encodeTree(entries []treeEntry) []byte {
	var b []byte
	for _, e := range entries {
		b = appendTreeEntry(b, e)
	}
	return b
}

// commitObject is what we read of a commit.
type commitObject struct {
	id, tree hash
	parents  []hash
	author   string // name <email>
	when     time.Time
	message  string
}

// parseCommit reads a commit object; headers it does not know are skipped.
func parseCommit(id hash, data []byte) (*commitObject, error) {
	c := &commitObject{id: id}
	head, message, _ := bytes.Cut(data, []byte("\n\n"))
	c.message = string(message)
	for line := range strings.SplitSeq(string(head), "\n") {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "tree":
			c.tree = plumbing.NewHash(value)
		case "parent":
			c.parents = append(c.parents, plumbing.NewHash(value))
		case "author":
			c.author, _ = splitSignature(value)
		case "committer":
			_, c.when = splitSignature(value)
		}
	}
	if c.tree.IsZero() {
		return nil, fmt.Errorf("commit %s names no tree", id)
	}
	return c, nil
}

// splitSignature takes "Name <mail> 1700000000 +0100" apart.
func splitSignature(s string) (who string, when time.Time) {
	end := strings.LastIndexByte(s, '>')
	if end < 0 {
		return s, time.Time{}
	}
	if f := strings.Fields(s[end+1:]); len(f) > 0 {
		if sec, err := strconv.ParseInt(f[0], 10, 64); err == nil {
			when = time.Unix(sec, 0).UTC()
		}
	}
	return s[:end+1], when
}

// encodeCommit writes a commit object. Signing adds a gpgsig header over exactly
// these bytes.
func encodeCommit(tree hash, parents []hash, author Author, when time.Time, message string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", tree)
	for _, p := range parents {
		fmt.Fprintf(&b, "parent %s\n", p)
	}
	sig := fmt.Sprintf("%s %d +0000", author, when.Unix())
	fmt.Fprintf(&b, "author %s\ncommitter %s\n\n", sig, sig)
	message = strings.ReplaceAll(strings.TrimSpace(message), "\x00", "")
	b.WriteString(message)
	b.WriteByte('\n')
	return []byte(b.String())
}
