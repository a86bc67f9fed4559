package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"seedtree/internal/pieces"
	"seedtree/manifests"
)

// The bytes of "d/x": what is listed before, what the scan sees, and what is
// there when the file is hashed.
const listed, fresh, newer = "listed bytes", "fresh bytes, seen by the scan", "newer bytes"

type readerCase struct {
	name   string
	change func(f *fixture)
	want   string // content listed after; "": not listed
	failed string
}

func readerCases() []readerCase {
	return []readerCase{
		{"overwritten", func(f *fixture) { f.must(os.WriteFile(f.path("d/x"), []byte(newer), 0o644)) }, newer, ""},
		{"grown", func(f *fixture) {
			h, err := os.OpenFile(f.path("d/x"), os.O_APPEND|os.O_WRONLY, 0)
			f.must(err)
			_, err = h.WriteString("!")
			f.must(errors.Join(err, h.Close()))
		}, fresh + "!", ""},
		{"truncated", func(f *fixture) { f.must(os.Truncate(f.path("d/x"), 5)) }, fresh[:5], ""},
		{"truncated to nothing", func(f *fixture) { f.must(os.Truncate(f.path("d/x"), 0)) }, listed, "of 0 bytes now"},
		{"replaced", func(f *fixture) { f.write("y", newer); f.must(os.Rename(f.path("y"), f.path("d/x"))) }, newer, ""},
		{"removed", func(f *fixture) { f.must(os.Remove(f.path("d/x"))) }, "", ""},
		{"removed with its directory", func(f *fixture) { f.must(os.RemoveAll(f.path("d"))) }, "", ""},
		{"became a directory", func(f *fixture) { f.must(os.Remove(f.path("d/x"))); f.write("d/x/y", newer) }, listed, "a directory"},
		{"became a pipe", func(f *fixture) {
			f.must(os.Remove(f.path("d/x")))
			f.must(mkfifo(f.path("d/x")))
		}, listed, "a named pipe"},
		{"became a link to a file of the same size", func(f *fixture) {
			f.must(os.Rename(f.path("d/x"), f.path("z")))
			f.must(os.Symlink("../z", f.path("d/x")))
		}, listed, "a symlink"},
		{"its directory became a link out of the tree", func(f *fixture) {
			other := newFixture(f.t)
			other.write("x", strings.Repeat("s", len(fresh)))
			f.must(os.RemoveAll(f.path("d")))
			f.must(os.Symlink(other.dir, f.path("d")))
		}, listed, "symbolic link"},
		{"permission taken", func(f *fixture) { f.unprivileged(); f.must(os.Chmod(f.path("d/x"), 0)) }, listed, "permission denied"},
		{"its directory became a pipe", func(f *fixture) {
			f.must(os.RemoveAll(f.path("d")))
			f.must(mkfifo(f.path("d")))
		}, listed, "not a directory"},
	}
}

// What happens to a file between the scan and its hashing. What was listed
// stays so when the new bytes cannot be had.
func TestChangesUnderTheReader(t *testing.T) {
	for _, c := range readerCases() {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.write("keep", "kk")
			f.write("d/x", listed)
			f.commit()
			f.write("d/x", fresh)
			f.meddle(1, func() { c.change(f) })
			r := f.commit()
			if c.failed == "" && len(r.Failed) != 0 {
				t.Fatalf("failed %v", r.Failed)
			}
			if c.failed != "" {
				f.wantFailed(r, "d/x", c.failed)
			}
			if c.want == "" {
				f.wantPaths(r, "keep")
				return
			}
			f.wantContent(r.Listing, "d/x", c.want)
		})
	}
}

// A file that changes each time it is looked at is given up, named, and stays
// as it was listed.
func TestNeverStill(t *testing.T) {
	f := newFixture(t)
	f.write("log", "old line\n")
	f.write("other", "oo")
	f.commit()
	f.write("log", "new line\n")
	looks := 0
	f.o.Clock = func() time.Time {
		looks++
		f.write("log", strings.Repeat("line\n", looks))
		return time.Now()
	}
	r := f.commit()
	f.wantFailed(r, "log", "3 times")
	if !errors.Is(r.Failed[0], pieces.ErrChanged) {
		t.Fatalf("%v: is no ErrChanged", r.Failed[0])
	}
	f.wantContent(r.Listing, "log", "old line\n")
	if looks < maxTries || looks > 3*maxTries {
		t.Fatalf("looked %d times", looks)
	}
}

// A writer at work while the file is hashed: whatever is listed was on the
// disk as a whole at some moment. Each version is one letter from end to end,
// and is written backwards, towards the reader.
func TestNeverAMixture(t *testing.T) {
	const size, step = 32 << 20, 1 << 20
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		f := newFixture(t)
		f.write("x", strings.Repeat("a", size))
		h, err := os.OpenFile(f.path("x"), os.O_WRONLY, 0)
		f.must(err)
		var hashed atomic.Int64
		f.o.Pool = pieces.New(1).Counting(&hashed)
		var writer sync.WaitGroup
		writer.Go(func() {
			bs := bytes.Repeat([]byte("b"), step)
			for hashed.Load() == 0 {
				runtime.Gosched()
			}
			for at := int64(size - step); at >= 0; at -= step {
				if _, err := h.WriteAt(bs, at); err != nil {
					t.Error(err)
				}
			}
		})
		r, err := f.build()
		writer.Wait()
		f.must(errors.Join(err, h.Close()))
		if hashed.Load() == size {
			e, _ := r.Listing.Get(manifests.Key{Tree: "t", Path: "x"})
			if as := contentOf(strings.Repeat("a", size)); e.Content != as {
				t.Fatal("hashed once, and it is a mixture")
			}
			continue // the writer came too late: this tested nothing
		}
		f.wantContent(r.Listing, "x", strings.Repeat("b", size))
		return
	}
	t.Fatal("the writer never met the reader")
}

// Two writes within the resolution of the time stamp: the file is not hashed
// before its stamp is history, so the second write cannot keep the stamp.
func TestYoungFilesWait(t *testing.T) {
	f := newFixture(t)
	f.write("x", "first")
	stamp := time.Now().Truncate(time.Second) // as a coarse file system stamps
	f.must(os.Chtimes(f.path("x"), stamp, stamp))
	r := f.commit()
	if wait := time.Since(stamp); wait < maxResolution {
		t.Fatalf("hashed a file %v after a stamp that may stand for %v", wait, maxResolution)
	}
	f.wantContent(r.Listing, "x", "first")
}

// The end of the context ends the wait, too.
func TestWaitIsCancelled(t *testing.T) {
	f := newFixture(t)
	f.write("x", "first")
	stamp := time.Unix(time.Now().Unix()+1, 0)
	f.must(os.Chtimes(f.path("x"), stamp, stamp))
	ctx, cancel := context.WithCancel(t.Context())
	f.o.Clock = func() time.Time { cancel(); return time.Now() }
	if _, err := Build(ctx, f.o); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if !time.Now().Before(stamp.Add(maxResolution)) {
		t.Fatal("it waited to the end")
	}
}

// Time stamps of all ages are listed and recognized again, whatever the clock says.
func TestOddTimes(t *testing.T) {
	f := newFixture(t)
	for i, stamp := range []time.Time{
		time.Unix(0, 0), time.Unix(-1, 5), time.Date(1902, 1, 1, 0, 0, 0, 7, time.UTC), time.Now().AddDate(5, 0, 0),
		time.Date(2262, 4, 11, 0, 0, 0, 0, time.UTC), time.Date(2400, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1e9, 123456789),
	} {
		name := fmt.Sprint(i)
		f.write(name, "bytes of "+name)
		// Not os.Chtimes: it counts nanoseconds in 64 bits.
		ts := syscall.NsecToTimespec(0)
		ts.Sec, ts.Nsec = stamp.Unix(), int64(stamp.Nanosecond())
		f.must(syscall.UtimesNano(f.path(name), []syscall.Timespec{ts, ts}))
	}
	if r := f.commit(); r.HashedFiles != 7 {
		t.Fatalf("hashed %d", r.HashedFiles)
	}
	f.o.Clock = func() time.Time { return time.Unix(1e9, 0) } // set back by decades
	if r := f.commit(); r.HashedFiles != 0 || !r.Diff.Empty() {
		t.Fatalf("second build hashed %d, diff %+v", r.HashedFiles, r.Diff)
	}
}
