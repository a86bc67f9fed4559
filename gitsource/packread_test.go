package gitsource

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// deltified is a repository whose only pack has everything git puts into one: chains
// of deltas, a large blob, an empty one, a tag.
func deltified(t *testing.T) (dir, base string) {
	t.Helper()
	dir = bareRepo(t)
	head := publish(t, opened(t, dir), nil, Commit{Put: some(t, 120)})
	history(t, dir, 60)
	git(t, dir, "update-ref", "refs/heads/main", "work")
	git(t, dir, "tag", "-a", "-m", "A tag", "v1", head.ID())
	noise := make([]byte, 1<<20)
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	blob := forge(t, dir, "blob", noise)
	git(t, dir, "update-ref", "refs/tags/large", blob.String())
	git(t, dir, "update-ref", "refs/tags/changed", forge(t, dir, "blob", append(noise, 1)).String())
	git(t, dir, "update-ref", "refs/tags/empty", forge(t, dir, "blob", nil).String())
	git(t, dir, "repack", "-adfq", "--depth=50")
	packs, err := filepath.Glob(filepath.Join(dir, "objects/pack/*.pack"))
	must(t, err)
	if len(packs) != 1 {
		t.Fatalf("packs %q", packs)
	}
	if !strings.Contains(git(t, dir, "verify-pack", "-v", packs[0]), "chain length = 3") {
		t.Fatal("the chains are too short to prove anything")
	}
	return dir, strings.TrimSuffix(packs[0], ".pack")
}

func TestPackReaderAgainstGit(t *testing.T) {
	t.Parallel()
	dir, base := deltified(t)
	p, err := openPack(base)
	must(t, err)
	defer p.close()
	lines := strings.Split(git(t, dir, "cat-file", "--batch-all-objects", "--batch-check"), "\n")
	if len(lines) != p.n {
		t.Errorf("%d objects, git has %d", p.n, len(lines))
	}
	for _, line := range lines {
		f := strings.Fields(line)
		id := plumbing.NewHash(f[0])
		offset, ok := p.find(id)
		o, err := p.read(offset, 1<<30)
		if !ok || err != nil || objectID(o.t, o.data) != id || o.t.String() != f[1] || fmt.Sprint(len(o.data)) != f[2] {
			t.Errorf("%s: found %v, %s of %d bytes, %v", line, ok, o.t, len(o.data), err)
		}
		if ids := p.withPrefix(id[:3]); len(ids) == 0 {
			t.Errorf("%s is not found by its beginning", id)
		}
		if len(o.data) > 0 {
			if _, err := p.read(offset, int64(len(o.data)-1)); err == nil {
				t.Errorf("%s was read beyond the limit", line)
			}
		}
	}
	for _, id := range []hash{{}, {255, 255}, hash(bytes.Repeat([]byte{255}, 20))} {
		if _, ok := p.find(id); ok {
			t.Errorf("%s was found", id)
		}
	}
}

// Whatever rots, what is returned is right or an error, and never a panic.
func TestPackReaderOnRottenPacks(t *testing.T) {
	t.Parallel()
	_, base := deltified(t)
	good, err := os.ReadFile(base + ".pack")
	must(t, err)
	p, err := openPack(base)
	must(t, err)
	defer p.close()
	must(t, p.f.Close())
	rnd := rand.New(rand.NewPCG(5, 6))
	wrong := 0
	for range 300 {
		bad := bytes.Clone(good)
		i := rnd.IntN(p.n)
		id := hash(p.id(i))
		offset, _ := p.find(id)
		bad[int(offset)+rnd.IntN(min(40, len(bad)-int(offset)))] ^= 1 << rnd.IntN(8)
		name := filepath.Join(t.TempDir(), "pack")
		must(t, os.WriteFile(name, bad, 0o644))
		p.f, err = os.Open(name)
		must(t, err)
		p.win, p.baseBytes = nil, 0
		clear(p.bases)
		s := &store{fault: ErrDamaged, packs: map[string]*pack{"": p}}
		if data, is, err := s.readAny(id); err != nil {
			wrong++
		} else if objectID(is, data) != id {
			t.Errorf("%s: wrong bytes", id)
		}
		must(t, p.f.Close())
	}
	if wrong < 100 {
		t.Errorf("only %d of 300 were noticed", wrong)
	}
	p.f, err = os.Open(base + ".pack")
	must(t, err)
}

func withSHA1(b []byte) []byte {
	sum := sha1.Sum(b)
	return append(bytes.Clone(b), sum[:]...)
}

func TestMalformedIndexes(t *testing.T) {
	t.Parallel()
	_, base := deltified(t)
	good, err := os.ReadFile(base + ".idx")
	must(t, err)
	resummed := func(change func([]byte)) []byte {
		b := bytes.Clone(good)
		change(b)
		return withSHA1(b[:len(b)-20])
	}
	for name, bad := range map[string][]byte{
		"fan shrinks":   resummed(func(b []byte) { binary.BigEndian.PutUint32(b[8+4*7:], 1<<30) }),
		"count too big": resummed(func(b []byte) { binary.BigEndian.PutUint32(b[8+4*255:], 1<<30) }),
		"version 3":     resummed(func(b []byte) { b[7] = 3 }),
		"cut":           withSHA1(good[:2000]),
	} {
		must(t, os.Remove(base+".idx"))
		must(t, os.WriteFile(base+".idx", bad, 0o644))
		if p, err := openPack(base); err == nil {
			t.Errorf("%s: opened", name)
			must(t, p.close())
		}
	}
	// Offsets that lead nowhere are found when they are followed.
	bad := resummed(func(b []byte) {
		n := int(binary.BigEndian.Uint32(b[8+4*255:]))
		for i := range n {
			binary.BigEndian.PutUint32(b[idxNames+24*n+4*i:], 1<<31|uint32(i))
		}
	})
	must(t, os.Remove(base+".idx"))
	must(t, os.WriteFile(base+".idx", bad, 0o644))
	p, err := openPack(base)
	must(t, err)
	defer p.close()
	offset, ok := p.find(hash(p.id(3)))
	if _, err := p.read(offset, 100); !ok || err == nil {
		t.Errorf("an object at %d was read", offset)
	}
}

// Deltas of themselves, each a few kilobytes that inflate to megabytes: following
// them costs neither for ever nor memory for each round.
func TestRingOfDeltas(t *testing.T) { // counts allocations: not parallel
	in, err := newIncoming(t.TempDir(), defaultLimits())
	must(t, err)
	defer in.Close()
	ids := []hash{{1}, {2}}
	bomb := make([]byte, 1<<20)
	must(t, in.build(func(p *packWriter) error {
		for i, id := range ids {
			start := p.offset
			base := ids[1-i]
			_, _ = p.Write(append(p.header(plumbing.REFDeltaObject, len(bomb)), base[:]...))
			p.compress(bomb)
			p.index.add(id, start, p.crc)
		}
		return p.err
	}))
	st := openStore(in.dir, ErrDamaged)
	defer st.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = st.blob(ids[0], maxBlob)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrDamaged) || took > 32<<20 {
		t.Errorf("%d bytes of memory, %v", took, err)
	}
}
