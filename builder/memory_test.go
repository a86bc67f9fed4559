package builder

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// What a first build has in memory is its listing, which is some 200 bytes per
// file, and little beside it: a second copy of anything, or a map of all files,
// is what makes it impossible with millions.
func TestMemoryOfAFirstBuild(t *testing.T) {
	const files, perDir = 16_000, 100
	f := newFixture(t)
	for i := range files {
		name := f.path(fmt.Sprintf("folder %04d/a picture %06d.jpg", i/perDir, i))
		if i%perDir == 0 {
			f.must(os.MkdirAll(filepath.Dir(name), 0o755))
		}
		f.must(os.WriteFile(name, []byte("x"), 0o644))
	}
	j := f.openJournal(filepath.Join(t.TempDir(), "journal"))
	kept := func() int64 {
		runtime.GC()
		runtime.GC() // what has a finalizer goes with the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, stored := kept(), 0
	check := func(when string, most int64) {
		j.mu.Lock()
		waits := int64(cap(j.buf)) // a megabyte at most
		j.mu.Unlock()
		got := (kept() - before - waits) / files
		t.Logf("%s: %d bytes per file", when, got)
		if got > most {
			t.Errorf("%s: %d bytes per file, at most %d are expected", when, got, most)
		}
	}
	f.o.Store = func([]byte) (Ref, error) {
		switch stored++; stored {
		case 1: // room for all entries, and what has to be read
			check("when all is found", 340)
		case files:
			check("when all is read", 240)
		}
		return Ref{1, byte(stored), byte(stored >> 8)}, nil
	}
	r, err := f.build()
	f.must(err)
	check("in the end", 300)
	if stored != files || r.Put.Len() != files {
		t.Errorf("stored %d and put %d files", stored, r.Put.Len())
	}
	runtime.KeepAlive(r)
}
