package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// corpus is a set of files, the same on every machine.
type corpus struct {
	letter string
	what   string // for people
	count  int
	size   func(*rand.Rand) int64
	commit bool // ours is measured with the commit to git
	// Directories hold this many files each.
	perDir int
}

func exactly(n int64) func(*rand.Rand) int64 { return func(*rand.Rand) int64 { return n } }

func between(low, high int64) func(*rand.Rand) int64 {
	return func(r *rand.Rand) int64 { return low + r.Int64N(high-low+1) }
}

// corpora lists what the makers of torrents are compared on.
func corpora(quick bool) []corpus {
	if quick {
		return []corpus{
			{"A", "one file of 64 MiB", 1, exactly(64 * mib), false, 1},
			{"B", "300 files of 1 to 64 KiB", 300, between(kib, 64*kib), true, 100},
			{"C", "5 files of 16 MiB", 5, exactly(16 * mib), false, 5},
			{"D", "40 files of 1 MiB", 40, exactly(mib), false, 20},
		}
	}
	return []corpus{
		{"A", "one file of 4 GiB", 1, exactly(4 << 30), false, 1},
		{"B", "20,000 files of 1 to 64 KiB", 20_000, between(kib, 64*kib), true, 200},
		{"C", "200 files of 16 MiB", 200, exactly(16 * mib), false, 50},
		{"D", "2,000 files of 1 MiB", 2000, exactly(mib), false, 100},
	}
}

// scaleCorpus is what rebuilds and commits are measured on: all of it, and its
// first half.
func scaleCorpus(n int, quick bool) corpus {
	if quick {
		n = 2000
	}
	return corpus{"S", fmt.Sprintf("%s files of 1 to 100 bytes", comma(n)), n, between(1, 100), true, 250}
}

// file is one file of a corpus.
type file struct {
	name string // below the corpus, slash separated
	size int64
}

// files lists the corpus: names and sizes follow from its letter alone.
func (c corpus) files() []file {
	r := rand.New(rand.NewPCG(uint64(c.letter[0]), 1))
	all := make([]file, c.count)
	for i := range all {
		half := 2 * i / c.count
		all[i] = file{fmt.Sprintf("half%d/%04d/file %06d.bin", half, i/c.perDir, i), c.size(r)}
	}
	return all
}

// make writes the corpus below dir, or finds it there complete, and returns
// its files.
func (c corpus) make(ctx context.Context, dir string) ([]file, error) {
	all := c.files()
	done := dir + ".complete" // beside it: the corpus is somebody's source folder
	want := fmt.Sprintf("%s, made by rule 1\n", c.what)
	if have, err := os.ReadFile(done); err == nil && string(have) == want {
		return all, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	for i, f := range all {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := c.write(filepath.Join(dir, filepath.FromSlash(f.name)), uint64(i), f.size); err != nil {
			return nil, err
		}
	}
	return all, os.WriteFile(done, []byte(want), 0o644)
}

// write makes one file of bytes that nothing compresses and no other file has.
func (c corpus) write(path string, number uint64, size int64) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	var seed [32]byte
	seed[0] = c.letter[0]
	binary.LittleEndian.PutUint64(seed[8:], number)
	_, err = io.CopyBuffer(onlyWriter{f}, io.LimitReader(rand.NewChaCha8(seed), size), make([]byte, min(size, mib)))
	return errors.Join(err, f.Close())
}

// onlyWriter hides *os.File's ReadFrom, which would ignore the buffer.
type onlyWriter struct{ io.Writer }

// warm reads everything once, so that all competitors find it in memory.
func warm(dir string) error {
	buf := make([]byte, mib)
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.CopyBuffer(onlyWriter{io.Discard}, struct{ io.Reader }{f}, buf)
		return errors.Join(err, f.Close())
	})
}
