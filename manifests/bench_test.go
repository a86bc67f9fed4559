package manifests

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// catalog makes the blobs of n files of 16 MiB, fifty in a directory.
func catalog(n int) (names []string, blobs [][]byte) {
	for i := range n {
		m := Metainfo{
			Tree: "photos", Path: Path(fmt.Sprintf("%04d/%02d/IMG_%06d.jpg", i/1000, i/50%20, i)), Length: 16<<20 - int64(i), PieceLength: 256 << 10,
			Pieces: bytes.Repeat([]byte{byte(i), byte(i >> 8), byte(i >> 16), 1}, 64*5), ModTime: time.Unix(int64(i), 0),
		}
		names, blobs = append(names, CatalogName(m.Entry(false))), append(blobs, m.Encode())
	}
	return names, blobs
}

func BenchmarkDecodeMetainfo(b *testing.B) {
	_, blobs := catalog(1)
	b.ReportAllocs()
	b.SetBytes(int64(len(blobs[0])))
	for b.Loop() {
		if _, err := DecodeMetainfo(blobs[0]); err != nil {
			b.Fatal(err)
		}
	}
}

// With the info hash, the content identity and the name.
func BenchmarkDecodeEntry(b *testing.B) {
	names, blobs := catalog(1)
	b.ReportAllocs()
	b.SetBytes(int64(len(blobs[0])))
	for b.Loop() {
		if _, err := DecodeEntry(names[0], false, blobs[0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	_, blobs := catalog(1)
	m, _ := DecodeMetainfo(blobs[0])
	b.ReportAllocs()
	for b.Loop() {
		m.Encode()
	}
}

// big is a listing of 100,000 files, and the same with ten changed.
func big(b *testing.B) (entries []Entry, before, after *Listing) {
	names, blobs := catalog(100_000)
	for i := range names {
		e, err := DecodeEntry(names[i], false, blobs[i])
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, e)
	}
	next := make([]Entry, len(entries))
	copy(next, entries)
	for i := range 10 {
		next[i*9999].Content[0]++
	}
	return entries, listing(b, entries...), listing(b, next...)
}

func BenchmarkListing100k(b *testing.B) {
	entries, _, _ := big(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewListing(entries); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDiff100k(b *testing.B) {
	_, before, after := big(b)
	b.ReportAllocs()
	for b.Loop() {
		if d := before.Diff(after); len(d.Changed) != 10 {
			b.Fatal(len(d.Changed))
		}
	}
}

func BenchmarkIndex100k(b *testing.B) {
	entries, _, _ := big(b)
	b.ReportAllocs()
	for b.Loop() {
		listing(b, entries...).HasContent(entries[0].Content)
	}
}

func BenchmarkCatalogName(b *testing.B) {
	e := Entry{Tree: "photos", Path: "2019/summer holidays/IMG_000123.jpg"}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ParseCatalogName(CatalogName(e)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseManifest(b *testing.B) {
	for b.Loop() {
		if _, err := ParseManifest([]byte(fullManifest)); err != nil {
			b.Fatal(err)
		}
	}
}
