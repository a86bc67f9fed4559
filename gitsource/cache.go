package gitsource

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"time"

	"seedtree/internal/durable"
	"seedtree/manifests"
)

// The listing cache is a file beside the mirror with one whole listing, named by
// the id of the git tree it was read from, so that a new process need not read
// hundreds of thousands of blobs again. It may be older than the head: what
// changed since is read from git. Whatever is odd about it, it is not used.
//
//	magic and version
//	id of torrents/                   20 bytes
//	number of trees, of entries       4, 4
//	bytes of names                    8
//	for each tree: length of its name, entries in it       4, 4
//	names: of the trees; of each entry its path, then its link's target
//	for each entry: a record of cacheRecord bytes
//	checksum of all before            8
//
// Numbers are little endian. The checksum is two CRCs side by side: it is there for
// rot, and whoever can forge a file in the state folder need not bother with this
// one. Raise the version whenever a reader must not believe
// what an older program accepted.
const (
	cacheName   = "listing.cache"
	cacheMagic  = "seedtree listing 1\n"
	cacheHead   = len(cacheMagic) + 20 + 4 + 4 + 8
	cacheRecord = 2 + 2 + 1 + 1 + 8 + 8 + 4 + 20 + 32
	cacheSum    = 8
)

var errCache = errors.New("not a listing cache of this version, or rotten")

// loadListing reads the cache. An error means that there is none worth the name.
func loadListing(name string, limit int, beat func()) (c cachedListing, err error) {
	f, err := os.Open(name)
	if err != nil {
		return c, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return c, err
	}
	return decodeListing(lively{f, beat}, st.Size(), limit)
}

// decodeListing believes nothing: neither sizes, before memory is taken for them,
// nor contents, before the checksum was compared.
func decodeListing(from io.Reader, size int64, limit int) (c cachedListing, err error) {
	d := cacheReader{r: bufio.NewReaderSize(from, 1<<18)}
	head := make([]byte, cacheHead)
	if err := d.full(head); err != nil || string(head[:len(cacheMagic)]) != cacheMagic {
		return c, errCache
	}
	rest := head[len(cacheMagic):]
	copy(c.tree[:], rest)
	trees, count := int64(binary.LittleEndian.Uint32(rest[20:])), int64(binary.LittleEndian.Uint32(rest[24:]))
	names := binary.LittleEndian.Uint64(rest[28:])
	if count > int64(limit) || trees > count || names > uint64(size) ||
		size != int64(cacheHead)+8*trees+int64(names)+int64(cacheRecord)*count+cacheSum {
		return c, errCache
	}
	table := make([]byte, 8*trees)
	if err := d.full(table); err != nil {
		return c, errCache
	}
	var text strings.Builder
	text.Grow(int(names))
	if _, err := io.CopyN(&text, &d, int64(names)); err != nil {
		return c, errCache
	}
	entries, err := d.entries(make([]manifests.Entry, count), table, text.String())
	if err != nil {
		return c, err
	}
	want := d.sum.bytes()
	if err := d.full(head[:cacheSum]); err != nil || string(head[:cacheSum]) != string(want) {
		return c, errCache
	}
	if c.listing, err = manifests.NewListing(entries); err != nil {
		return c, fmt.Errorf("%w: %w", errCache, err)
	}
	return c, nil
}

// twoCRCs is the cache's checksum: both are one instruction per word on most
// machines, where SHA-1 took a quarter of all the loading.
type twoCRCs struct{ ieee, castagnoli uint32 }

func (s *twoCRCs) Write(p []byte) (int, error) {
	s.ieee = crc32.Update(s.ieee, crc32.IEEETable, p)
	s.castagnoli = crc32.Update(s.castagnoli, crc32.MakeTable(crc32.Castagnoli), p)
	return len(p), nil
}

func (s *twoCRCs) bytes() []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, s.ieee), s.castagnoli)
}

// cacheReader adds up what is read.
type cacheReader struct {
	r   *bufio.Reader
	sum twoCRCs
}

func (d *cacheReader) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	_, _ = d.sum.Write(p[:n])
	return n, err
}

func (d *cacheReader) full(p []byte) error {
	_, err := io.ReadFull(d, p)
	return err
}

// entries reads the records; every string is a piece of names.
func (d *cacheReader) entries(entries []manifests.Entry, table []byte, names string) ([]manifests.Entry, error) {
	cut := func(n int) (s string, ok bool) {
		if n > len(names) {
			return "", false
		}
		s, names = names[:n], names[n:]
		return s, true
	}
	trees := make([]string, len(table)/8)
	for i := range trees {
		name, ok := cut(int(binary.LittleEndian.Uint32(table[8*i:])))
		if !ok || manifests.ValidTreeName(name) != nil {
			return nil, errCache
		}
		trees[i] = name
	}
	block := make([]byte, cacheRecord*1024)
	tree, left := -1, uint32(0)
	for i := range entries {
		at := i % 1024
		if at == 0 {
			if err := d.full(block[:cacheRecord*min(1024, len(entries)-i)]); err != nil {
				return nil, errCache
			}
		}
		for left == 0 {
			if tree++; tree == len(trees) {
				return nil, errCache
			}
			left = binary.LittleEndian.Uint32(table[8*tree+4:])
		}
		left--
		rec := block[cacheRecord*at:]
		path, ok := cut(int(binary.LittleEndian.Uint16(rec)))
		target, ok2 := cut(int(binary.LittleEndian.Uint16(rec[2:])))
		if !ok || !ok2 || !decodeRecord(&entries[i], rec[4:], trees[tree], path, target) {
			return nil, errCache
		}
	}
	if left > 0 || tree+1 < len(trees) {
		return nil, errCache
	}
	return entries, nil
}

// decodeRecord reports whether the record is one that a catalog can hold.
func decodeRecord(e *manifests.Entry, rec []byte, tree, path, target string) bool {
	p, err := manifests.ParsePath(path)
	if err != nil {
		return false
	}
	e.Tree, e.Path, e.Target = tree, p, target
	e.Kind, e.Executable = manifests.Kind(rec[0]), rec[1] != 0
	if e.Kind != manifests.Regular {
		return e.Kind <= manifests.EmptyDir && (e.Kind == manifests.Symlink) == (target != "")
	}
	e.Length = int64(binary.LittleEndian.Uint64(rec[2:]))
	nanos := binary.LittleEndian.Uint32(rec[18:])
	e.ModTime = time.Unix(int64(binary.LittleEndian.Uint64(rec[10:])), int64(nanos)).UTC()
	copy(e.InfoHash[:], rec[22:])
	copy(e.Content[:], rec[42:])
	return e.Length > 0 && nanos < 1e9 && target == ""
}

// saveListing writes the cache. A listing it has no room for is left out.
func saveListing(name string, c cachedListing) error {
	table, names, ok := listingSizes(c.listing)
	if !ok {
		return nil
	}
	return durable.Write(name, 0o644, func(w io.Writer) error {
		var sum twoCRCs
		out := bufio.NewWriterSize(io.MultiWriter(w, &sum), 1<<18)
		head := append([]byte(cacheMagic), c.tree[:]...)
		head = binary.LittleEndian.AppendUint32(head, uint32(len(table)/8))
		head = binary.LittleEndian.AppendUint32(head, uint32(c.listing.Len()))
		head = binary.LittleEndian.AppendUint64(head, names)
		_, _ = out.Write(head) // the writer keeps its first error
		_, _ = out.Write(table)
		for _, tree := range c.listing.Trees() {
			_, _ = out.WriteString(tree)
		}
		for e := range c.listing.All() {
			_, _ = out.WriteString(string(e.Path))
			_, _ = out.WriteString(e.Target)
		}
		for e := range c.listing.All() {
			_, _ = out.Write(appendRecord(out.AvailableBuffer(), &e))
		}
		if err := out.Flush(); err != nil {
			return err
		}
		_, err := w.Write(sum.bytes())
		return err
	})
}

// listingSizes makes the table of trees and counts the bytes of all names.
func listingSizes(l *manifests.Listing) (table []byte, names uint64, ok bool) {
	tree, entries := "", uint32(0)
	end := func() {
		if entries > 0 {
			table = binary.LittleEndian.AppendUint32(table, uint32(len(tree)))
			table = binary.LittleEndian.AppendUint32(table, entries)
			names += uint64(len(tree))
		}
	}
	for e := range l.All() {
		if e.Tree != tree {
			end()
			tree, entries = e.Tree, 0
		}
		entries++
		names += uint64(len(e.Path) + len(e.Target))
		if len(e.Path) > math.MaxUint16 || len(e.Target) > math.MaxUint16 {
			return nil, 0, false
		}
	}
	end()
	return table, names, l.Len() <= math.MaxUint32
}

func appendRecord(b []byte, e *manifests.Entry) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(len(e.Path)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(e.Target)))
	executable := byte(0)
	if e.Executable {
		executable = 1
	}
	b = append(b, byte(e.Kind), executable)
	sec, nanos := e.ModTime.Unix(), e.ModTime.Nanosecond()
	if e.Kind != manifests.Regular {
		sec, nanos = 0, 0
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Length))
	b = binary.LittleEndian.AppendUint64(b, uint64(sec))
	b = binary.LittleEndian.AppendUint32(b, uint32(nanos))
	b = append(b, e.InfoHash[:]...)
	return append(b, e.Content[:]...)
}

// cacheDrift is the share of a listing, one in so many entries, that may have
// changed since the cache was written. Reading those again is cheap; writing all
// of it for each of them would not be.
const cacheDrift = 512

// remember takes a listing in, changed entries away from base, and writes the
// cache when it has grown old. A commit that was not pushed may never be one.
func (s *Source) remember(c, base cachedListing, changed int, pushed bool) {
	s.listings = append([]cachedListing{c}, s.listings...)
	s.listings = s.listings[:min(len(s.listings), keptListings)]
	if s.drift += changed; !pushed || base.listing != nil && s.drift*cacheDrift <= c.listing.Len() {
		return
	}
	if err := saveListing(s.path(cacheName), c); err != nil {
		s.log.Warn("the listing cannot be kept, the next start has to read more of it anew", "err", err)
		return // and the next change tries again
	}
	s.drift = 0
}

// recall makes the cached listing the one that the next is compared with, in a
// process that has none yet.
func (s *Source) recall() {
	if len(s.listings) > 0 {
		return
	}
	c, err := loadListing(s.path(cacheName), s.lim.entries, s.beat)
	if err == nil {
		s.listings, s.drift = []cachedListing{c}, 0
	} else if !errors.Is(err, fs.ErrNotExist) {
		s.log.Info("the listing is read anew", "cache", s.path(cacheName), "err", err)
	}
}
