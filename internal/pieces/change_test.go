package pieces

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// meddle hashes a file of many chunks and calls change in the middle: the
// kernel stops at its tenth chunk until change has happened.
func meddle(t *testing.T, change func(name string, f *os.File)) Sum {
	t.Helper()
	data := randomBytes(40*chunkBytes, 9)
	name := writeFile(t, data)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	// An old file: what is written now has other time stamps.
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(name, old, old); err != nil {
		t.Fatal(err)
	}
	waitForNewTick(t)
	p := New(1)
	p.newKernel = func() kernel {
		return &pausing{kernel: newPlainKernel(), at: 10, do: func() { change(name, f) }}
	}
	return hashOne(t, p, fileAt(name, int64(len(data)), 4*chunkBytes))
}

// waitForNewTick waits until the file system's clock has moved on.
func waitForNewTick(t *testing.T) {
	t.Helper()
	stamp := func() int64 {
		info, err := os.Stat(writeFile(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		return changeTime(info)
	}
	for first := stamp(); stamp() == first; {
		if t.Context().Err() != nil {
			t.Fatal("the file system's clock stands still")
		}
	}
}

type pausing struct {
	kernel
	at int
	do func()
}

func (p *pausing) write(chunks [][]byte) {
	if p.at--; p.at == 0 {
		p.do()
	}
	p.kernel.write(chunks)
}

func TestChangesWhileHashing(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		change func(name string, f *os.File)
		want   string
	}{
		{"truncated", func(_ string, f *os.File) { must(f.Truncate(5 * chunkBytes)) }, "ends at byte"},
		{"truncated behind the reader", func(_ string, f *os.File) { must(f.Truncate(0)) }, "ends at byte"},
		{"growing", func(_ string, f *os.File) { _, err := f.WriteAt([]byte("x"), 40*chunkBytes); must(err) }, "became"},
		{"overwritten", func(_ string, f *os.File) { _, err := f.WriteAt([]byte("x"), 0); must(err) }, "written"},
		{"overwritten and the time set back", func(name string, f *os.File) {
			info, err := f.Stat()
			must(err)
			_, err = f.WriteAt([]byte("x"), 0)
			must(err)
			must(os.Chtimes(name, time.Time{}, info.ModTime()))
		}, "attributes"},
		{"replaced by rename", func(name string, _ *os.File) {
			must(os.WriteFile(name+".new", []byte("other"), 0o644))
			must(os.Rename(name+".new", name))
		}, "attributes"}, // the old inode lost its name: its change time tells
	} {
		t.Run(c.name, func(t *testing.T) {
			s := meddle(t, c.change)
			if !errors.Is(s.Err, ErrChanged) || !strings.Contains(s.Err.Error(), c.want) || s.Pieces != nil {
				t.Fatalf("got error %v and %d bytes of hashes, want ErrChanged with %q", s.Err, len(s.Pieces), c.want)
			}
		})
	}
	t.Run("untouched", func(t *testing.T) {
		if s := meddle(t, func(string, *os.File) {}); s.Err != nil {
			t.Fatal(s.Err)
		}
	})
}

// A thousand and more files never hold more than a bounded number open.
func TestOpenFilesAreBounded(t *testing.T) {
	name := writeFile(t, []byte("abc"))
	var files []*File
	for range 2000 {
		files = append(files, fileAt(name, 3, 2))
	}
	p := New(2)
	p.newKernel = func() kernel { return newLanesKernel(16) }
	most := 0
	err := p.Hash(t.Context(), slices.Values(files), func(_ *File, s Sum) {
		if s.Err != nil {
			t.Error(s.Err)
		}
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, len(fds))
	})
	if err != nil {
		t.Fatal(err)
	}
	if limit := aheadFiles + 2*aheadPerWorker + 20; most > limit {
		t.Fatalf("%d files were open at once, more than %d", most, limit)
	}
}

// Whoever recovers from a panic in a callback finds nothing running.
func TestPanicInCallback(t *testing.T) {
	name := writeFile(t, randomBytes(1<<20, 4))
	files := slices.Repeat([]*File{fileAt(name, 1<<20, 1<<14)}, 100)
	for name, call := range map[string]func(){
		"done":  func() { _ = New(2).Hash(t.Context(), slices.Values(files), func(*File, Sum) { panic("done") }) },
		"files": func() { _ = New(2).Hash(t.Context(), func(func(*File) bool) { panic("files") }, func(*File, Sum) {}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got := recover(); got != name {
					t.Fatalf("recovered %v, want %v", got, name)
				}
			}()
			call()
		})
	}
}
