package enginetest

import (
	"bytes"
	"crypto/sha1"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"seedtree/manifests"
)

// File is one listed file together with its bytes.
type File struct {
	Entry    manifests.Entry
	Metainfo []byte // the catalog's .torrent
	Data     []byte
}

// epoch is the modification time of every file that a test does not date.
func epoch() time.Time { return time.Date(2019, 7, 14, 10, 20, 30, 123456789, time.UTC) }

// NewFile makes a file with the catalog's piece length and a fixed time.
func NewFile(t testing.TB, tree, path string, data []byte) File {
	t.Helper()
	return NewFileAt(t, tree, path, data, epoch())
}

// NewFileAt makes a file with the given modification time.
func NewFileAt(t testing.TB, tree, path string, data []byte, modTime time.Time) File {
	t.Helper()
	p, err := manifests.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	m := manifests.Metainfo{
		Tree: tree, Path: p, Length: int64(len(data)),
		PieceLength: manifests.PieceLength(int64(len(data))), ModTime: modTime,
	}
	for rest := data; len(rest) > 0; {
		n := min(int64(len(rest)), m.PieceLength)
		sum := sha1.Sum(rest[:n])
		m.Pieces = append(m.Pieces, sum[:]...)
		rest = rest[n:]
	}
	return File{Entry: m.Entry(false), Metainfo: m.Encode(), Data: data}
}

// Random returns n bytes that depend on seed alone.
func Random(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	return out
}

// Name returns where the file's bytes stand below root.
func (f File) Name(root string) string {
	return filepath.Join(root, filepath.FromSlash(string(f.Entry.Path)))
}

// Write puts the file below root with its listed time.
func (f File) Write(t testing.TB, root string) {
	t.Helper()
	f.WriteData(t, root, f.Data)
}

// WriteData puts other bytes at the file's place, with the file's listed time.
func (f File) WriteData(t testing.TB, root string, data []byte) {
	t.Helper()
	name := f.Name(root)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, f.Entry.ModTime, f.Entry.ModTime); err != nil {
		t.Fatal(err)
	}
}

// Full is the bitfield of a complete file.
func (f File) Full() []byte {
	have := make([]byte, (f.pieces()+7)/8)
	for i := range f.pieces() {
		have[i/8] |= 0x80 >> (i % 8)
	}
	return have
}

// Without is the bitfield of a file that lacks the given pieces.
func (f File) Without(missing ...int) []byte {
	have := f.Full()
	for _, i := range missing {
		have[i/8] &^= 0x80 >> (i % 8)
	}
	return have
}

func (f File) pieceLength() int64 { return manifests.PieceLength(f.Entry.Length) }

func (f File) pieces() int {
	return int((f.Entry.Length + f.pieceLength() - 1) / f.pieceLength())
}

// requireSame fails unless the file below root holds exactly the given bytes.
func requireSame(t testing.TB, f File, root string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(f.Name(root))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s holds %d bytes that differ from the %d expected", f.Name(root), len(got), len(want))
	}
}
