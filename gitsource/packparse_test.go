package gitsource

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// rawObject is an object as it lies in a pack; back is a delta's base, so many objects
// before, ref the base's id.
type rawObject struct {
	t    plumbing.ObjectType
	data []byte
	back int
	ref  hash
	size int // that it claims; 0: that of data
}

func rawPack(t *testing.T, objects ...rawObject) []byte {
	t.Helper()
	b := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(objects)))
	var at []int
	for _, o := range objects {
		at = append(at, len(b))
		p := packWriter{}
		size := o.size
		if size == 0 {
			size = len(o.data)
		}
		b = append(b, p.header(o.t, size)...)
		switch o.t {
		case plumbing.OFSDeltaObject:
			back := at[len(at)-1] - at[len(at)-1-o.back]
			ofs := []byte{byte(back & 0x7f)}
			for back >>= 7; back > 0; back >>= 7 {
				back--
				ofs = append([]byte{0x80 | byte(back&0x7f)}, ofs...)
			}
			b = append(b, ofs...)
		case plumbing.REFDeltaObject:
			b = append(b, o.ref[:]...)
		}
		var z bytes.Buffer
		w := zlib.NewWriter(&z)
		_, err := w.Write(o.data)
		must(t, errors.Join(err, w.Close()))
		b = append(b, z.Bytes()...)
	}
	sum := sha1.Sum(b)
	return append(b, sum[:]...)
}

// grow is a delta that makes size bytes out of the first of a base.
func grow(base, size int) []byte {
	d := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(base)), uint64(size))
	for size > 0 {
		n := min(size, base, 0xffffff)
		d = append(d, 0xf0, byte(n), byte(n>>8), byte(n>>16))
		size -= n
	}
	return d
}

// arrive has a pack indexed as one that a remote sent.
func arrive(t *testing.T, data []byte, lim limits) (*incoming, error) {
	t.Helper()
	in, err := newIncoming(t.TempDir(), lim)
	must(t, err)
	t.Cleanup(func() { must(t, in.Close()) })
	w, err := in.writer()
	must(t, err)
	_, err = w.Write(data)
	must(t, err)
	return in, in.index()
}

// The index of what git packs, with either kind of delta and with little memory, is
// the one that git makes.
func TestPackIndexAgainstGit(t *testing.T) {
	t.Parallel()
	dir, _ := deltified(t)
	for _, kind := range []string{"--delta-base-offset", "--no-delta-base-offset"} {
		cmd := exec.CommandContext(t.Context(), "git", "pack-objects", "--all", "--stdout", "-q", kind)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader("")
		data, err := cmd.Output()
		must(t, err)
		name := filepath.Join(t.TempDir(), "x.pack")
		must(t, os.WriteFile(name, data, 0o600))
		git(t, "", "index-pack", name)
		want, err := os.ReadFile(strings.TrimSuffix(name, ".pack") + ".idx")
		must(t, err)
		for _, memory := range []int{0, 3 << 10, 1 << 30} {
			lim := defaultLimits()
			lim.memory = memory
			in, err := arrive(t, data, lim)
			must(t, err)
			got, err := os.ReadFile(in.base() + ".idx")
			must(t, err)
			if !bytes.Equal(got, want) {
				t.Errorf("%s, %d bytes of memory: another index than git's", kind, memory)
			}
		}
	}
}

func TestHostilePacks(t *testing.T) {
	t.Parallel()
	base := rawObject{t: plumbing.BlobObject, data: []byte("0123456789")}
	ref := func(id byte, data []byte) rawObject {
		return rawObject{t: plumbing.REFDeltaObject, data: data, ref: hash{id}}
	}
	good := rawPack(t, base, base, rawObject{t: plumbing.OFSDeltaObject, data: grow(10, 20), back: 1})
	if in, err := arrive(t, good, defaultLimits()); err != nil || in.name == "" {
		t.Errorf("one object twice, and a delta: %v", err)
	}
	// Objects whose ids nobody can choose: a ring of deltas is one of missing bases.
	for name, data := range map[string][]byte{
		"a delta of nothing":         rawPack(t, ref(1, grow(10, 10))),
		"a ring":                     rawPack(t, ref(1, grow(10, 10)), ref(2, grow(10, 11))),
		"a delta of itself":          rawPack(t, rawObject{t: plumbing.OFSDeltaObject, data: grow(10, 10)}),
		"a delta of another's size":  rawPack(t, base, rawObject{t: plumbing.OFSDeltaObject, data: grow(11, 20), back: 1}),
		"a delta of less":            rawPack(t, base, rawObject{t: plumbing.OFSDeltaObject, data: grow(10, 20)[:3], back: 1}),
		"an empty delta":             rawPack(t, base, rawObject{t: plumbing.OFSDeltaObject, back: 1}),
		"type 5":                     rawPack(t, rawObject{t: 5, data: []byte("x")}),
		"less than it says":          rawPack(t, rawObject{t: plumbing.BlobObject, data: []byte("x"), size: 2}),
		"more than it says":          rawPack(t, rawObject{t: plumbing.BlobObject, data: []byte("xyz"), size: 2}),
		"bytes behind the end":       append(bytes.Clone(good), 0),
		"a pack behind the end":      append(bytes.Clone(good), good...),
		"a wrong sum":                append(bytes.Clone(good[:len(good)-1]), ^good[len(good)-1]),
		"four billion objects":       append([]byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff"), good[12:]...),
		"more objects than it says":  append([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01"), good[12:]...),
		"fewer objects than it says": append([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x09"), good[12:]...),
		"nothing but a head":         good[:12],
	} {
		in, err := arrive(t, data, defaultLimits())
		if err == nil || in.name != "" || !strings.Contains(err.Error(), "the remote's pack") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Little on the wire must not cost hours: deltas are of some fifty bytes whatever
// they make.
func TestDeltaBombs(t *testing.T) {
	t.Parallel()
	const size, n = 4 << 20, 64
	blob := rawObject{t: plumbing.BlobObject, data: make([]byte, size)}
	tree := rawObject{t: plumbing.TreeObject, data: make([]byte, size)}
	wide := func(base rawObject) []rawObject {
		objects := []rawObject{base}
		for i := range n {
			objects = append(objects, rawObject{t: plumbing.OFSDeltaObject, data: grow(size, size-i), back: i + 1})
		}
		return objects
	}
	chain := func(base rawObject, n int) []rawObject {
		objects := []rawObject{base}
		for i := range n {
			objects = append(objects, rawObject{t: plumbing.OFSDeltaObject, data: grow(size-i, size-i-1), back: 1})
		}
		return objects
	}
	lim := limits{pack: 1 << 30, object: 1 << 30, inflated: 1 << 30, memory: 4 << 20}
	roomy := lim
	roomy.base = 300 << 20
	for name, c := range map[string]struct {
		objects []rawObject
		bound   string // "": taken by the roomy limits
	}{
		"many of one base":          {wide(tree), ""},
		"each of the one before":    {chain(tree, n), ""},
		"blobs, in whatever order":  {chain(blob, n), "more than a catalog's"},
		"more than git would stack": {append(chain(rawObject{t: plumbing.TreeObject, data: make([]byte, 5000)}, 0), small(4096)...), "on each other"},
	} {
		data := rawPack(t, c.objects...)
		if c.bound == "" && lim.work(int64(len(data))) > n*size*9/10 {
			t.Fatalf("%s: %d bytes may make %d, so this shows nothing", name, len(data), lim.work(int64(len(data))))
		}
		if _, err := arrive(t, data, lim); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
		few := roomy
		if strings.HasPrefix(name, "blobs") {
			few.inflated = 256 << 20
		}
		switch _, err := arrive(t, data, few); {
		case c.bound == "" && err != nil:
			t.Errorf("%s with room: %v", name, err)
		case c.bound != "" && (!errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), c.bound)):
			t.Errorf("%s with room: %v", name, err)
		}
	}
}

// small is a chain of small deltas.
func small(n int) (objects []rawObject) {
	for i := range n {
		objects = append(objects, rawObject{t: plumbing.OFSDeltaObject, data: grow(5000-i, 5000-i-1), back: 1})
	}
	return objects
}

// A large flat directory with a history of small changes is what makes most of least,
// and is what we are for. It passes without anything granted beside what is sent.
func TestFlatHistoryIsNoBomb(t *testing.T) {
	t.Parallel()
	_, cfg, repo := overHTTPS(t)
	var b bytes.Buffer
	b.WriteString("blob\nmark :1\ndata 1\nx\n")
	for n := range 60 {
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter Ada <ada@example.org> %d +0000\ndata 1\nc\n", 1700000000+n)
		for i := range 20_000 {
			if n == 0 || i == n*331 {
				fmt.Fprintf(&b, "M 100644 :1 torrents/photos/IMG_%06d.%d.empty\n", i, n)
			}
		}
	}
	cmd := exec.CommandContext(t.Context(), "git", "fast-import", "--quiet")
	cmd.Dir, cmd.Stdin = repo, &b
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	git(t, repo, "repack", "-adfq")
	s := with(t, cfg)
	s.lim.base = 0
	fetched(t, s)
	if log, err := s.Log(t.Context(), "", 100); err != nil || len(log) != 60 {
		t.Errorf("%d commits, %v", len(log), err)
	}
}

// Indexing ends when it is told to.
func TestIndexingIsCancelled(t *testing.T) {
	t.Parallel()
	data := rawPack(t, rawObject{t: plumbing.BlobObject, data: []byte("0123456789")}, rawObject{t: plumbing.OFSDeltaObject, data: grow(10, 20), back: 1})
	in, err := newIncoming(t.TempDir(), defaultLimits())
	must(t, err)
	defer in.Close()
	_, err = in.pack.Write(data)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	in.ctx = ctx
	must(t, in.index())
	must(t, in.unseal())
	cancel()
	if err := in.index(); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Made of the files that were published as colliding, whose beginnings no git object has.
func TestCollisionIsRefused(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{true, false} {
		h := hasher{strict: strict}
		h.begin(plumbing.BlobObject, 0)
		h.sha.Reset()
		h.sha.Write(collidingBytes(t))
		if _, err := h.end(); errors.Is(err, errCollision) != strict {
			t.Errorf("strict %v: %v", strict, err)
		}
	}
	data := []byte("anything else")
	if id, err := (&hasher{strict: true}).of(plumbing.BlobObject, data); err != nil || id != objectID(plumbing.BlobObject, data) {
		t.Errorf("%s, %v", id, err)
	}
}

// collidingBytes is how both files of shattered.io begin.
func collidingBytes(t *testing.T) []byte {
	t.Helper()
	b, err := hex.DecodeString("255044462d312e330a25e2e3cfd30a0a0a312030206f626a0a3c3c2f57696474682032203020522f4865696768742033203020522f547970652034203020522f" +
		"537562747970652035203020522f46696c7465722036203020522f436f6c6f7253706163652037203020522f4c656e6774682038203020522f42697473506572" +
		"436f6d706f6e656e7420383e3e0a73747265616d0affd8fffe00245348412d3120697320646561642121212121852fec092339759c39b1a1c63c4c97e1fffe01" +
		"7346dc9166b67e118f029ab621b2560ff9ca67cca8c7f85ba84c79030c2b3de218f86db3a90901d5df45c14f26fedfb3dc38e96ac22fe7bd728f0e45bce046d2" +
		"3c570feb141398bb552ef5a0a82be331fea48037b8b5d71f0e332edf93ac3500eb4ddc0decc1a864790c782c76215660dd309791d06bd0af3f98cda4bc4629b1")
	must(t, err)
	return b
}
