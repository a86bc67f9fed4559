package builder

import (
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"

	"seedtree/internal/dirat"
	"seedtree/manifests"
)

// A model of a file system with a clock of its own: whatever that shows, and
// however coarsely it stamps, a file that is written again after youth's wait
// has another stamp than the one that was listed.
func TestNoSecondWriteKeepsTheStamp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grain := rapid.SampledFrom([]time.Duration{1, 100, time.Microsecond, 4 * time.Millisecond, 10 * time.Millisecond, time.Second, 2 * time.Second}).Draw(t, "grain")
		offset := rapid.Int64Range(-1e18, 1e18).Draw(t, "its clock against ours")
		now := int64(1.7e18) + offset
		stamp := func() int64 { return now - now%int64(grain) }
		pass := func(what string) { now += rapid.Int64Range(0, int64(3*time.Second)).Draw(t, what) }

		var s dirat.Stat
		s.Modified = stamp()
		if rapid.Bool().Draw(t, "attributes were set later") {
			pass("until then")
		}
		s.Changed = stamp()
		newest := int64(0)
		if rapid.Bool().Draw(t, "others were written later") {
			pass("until those")
			newest = stamp()
		}
		pass("until the scan")
		now += int64(youth(&s, newest))
		if stamp() == s.Modified {
			t.Fatalf("read at %d, in the tick of its stamp %d (changed %d, newest %d)", now, s.Modified, s.Changed, newest)
		}
	})
}

func TestYouth(t *testing.T) {
	const ms, sec = int64(time.Millisecond), int64(time.Second)
	now := int64(1.7e18) + 500*ms
	for _, c := range []struct {
		name                      string
		modified, changed, newest int64
		want                      time.Duration
	}{
		{"just written", now, now, 0, 50 * time.Millisecond},
		{"written, and another long after", now, now, now + 60*ms, 0},
		{"written, and another at once", now, now, now + 20*ms, 30 * time.Millisecond},
		{"copied with its time", now - 3600*sec, now, 0, 0},
		{"attributes set after a while", now, now + 51*ms, 0, 0},
		{"whole seconds", now - 500*ms, now - 500*ms, 0, 2 * time.Second},
		{"whole seconds, later set", now - 500*ms, now, 0, 1500 * time.Millisecond},
		{"set a little ahead", now + sec, now, 0, 1050 * time.Millisecond},
		{"set far ahead", now + 3600*sec, now, 0, 0},
		{"before all time", -1 << 63, now, 0, 0},
		{"after all time", 1<<63 - 1, now, 0, 0},
		{"a system that does not tell", now, 0, 0, 50 * time.Millisecond},
	} {
		if got := youth(&dirat.Stat{Modified: c.modified, Changed: c.changed}, c.newest); got != c.want {
			t.Errorf("%s: waits %v, want %v", c.name, got, c.want)
		}
	}
}

// The race on the real file system: written, built, written again at once with
// the same length, built again. Our clock may say what it likes meanwhile.
func TestRewrittenAtOnce(t *testing.T) {
	for name, skew := range map[string]time.Duration{"right": 0, "ahead": time.Hour, "behind": -time.Hour, "wild": 1<<62 - 1} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			looks := time.Duration(0)
			f.o.Clock = func() time.Time {
				if looks++; name == "wild" && looks%2 == 0 {
					return time.Unix(0, 0)
				}
				return time.Now().Add(skew)
			}
			text := []byte("version 0000")
			for deadline := time.Now().Add(1500 * time.Millisecond); time.Now().Before(deadline); {
				for i := len(text) - 1; ; i-- {
					if text[i]++; text[i] <= '9' {
						break
					}
					text[i] = '0'
				}
				f.must(os.WriteFile(f.path("x"), text, 0o644))
				f.wantContent(f.commit().Listing, "x", string(text))
			}
		})
	}
}

// A file system in the network whose clock is behind ours: its stamps look old
// at once and are not.
func TestYoungBySomebodyElsesClock(t *testing.T) {
	for name, skew := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.must(os.WriteFile(f.path("x"), []byte("first"), 0o644)) // stamped by the file system
			info, err := os.Stat(f.path("x"))
			f.must(err)
			f.o.Clock = func() time.Time { return time.Now().Add(-skew) }
			r := f.commit()
			if age := time.Since(info.ModTime()); age < 50*time.Millisecond {
				t.Fatalf("hashed %v after it was written", age)
			}
			f.wantContent(r.Listing, "x", "first")
		})
	}
}

// Whole trees stay as they are without being compared, copied or read.
func TestNothingChanged(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"a", "a-b", "a.torrent/x", "a0/x", "d/e/f", "d.x/y", "d-", "d0"} {
		f.write(name, name)
	}
	f.write("none", "")
	f.must(os.MkdirAll(f.path("bare"), 0o755))
	f.write("bare-", "sorts between the directory and its slash")
	f.must(os.MkdirAll(f.path("a0/bare"), 0o755))
	f.must(os.Symlink("a", f.path("link")))
	first := f.commit()
	r := f.commit()
	if r.Listing != first.Listing || !r.Diff.Empty() || r.HashedFiles != 0 || r.Put.Len()+len(r.Delete) != 0 {
		t.Fatalf("changed: %+v", r)
	}
	// A change of one entry leaves all others as they are.
	f.write("d/e/f", "new")
	f.must(os.Remove(f.path("a-b")))
	r = f.commit()
	if r.HashedFiles != 1 || len(r.Diff.Changed) != 1 || len(r.Diff.Removed) != 1 || len(r.Diff.Added) != 0 {
		t.Fatalf("hashed %d, diff %+v", r.HashedFiles, r.Diff)
	}
}

// What a scan finds does not depend on who was faster, and every join of what
// was and what is comes out right: random trees, changed at random, built upon
// each other and once from nothing.
func TestAnyChangeIsFound(t *testing.T) {
	names := []string{"a", "a-", "a.torrent", "a0", "b", "b!", "c"}
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(t)
		defer func() { f.must(os.RemoveAll(f.dir)) }()
		f.o.AllowRemovals = true
		for range rapid.IntRange(1, 4).Draw(rt, "builds") {
			for range rapid.IntRange(1, 8).Draw(rt, "changes") {
				p := rapid.SampledFrom(names).Draw(rt, "name")
				for range rapid.IntRange(0, 2).Draw(rt, "depth") {
					p += "/" + rapid.SampledFrom(names).Draw(rt, "name")
				}
				f.change(rapid.IntRange(0, 4).Draw(rt, "kind"), p)
			}
			r := f.commit()
			again := f.o
			again.Previous = nil
			whole, err := Build(t.Context(), again)
			f.must(err)
			if d := whole.Listing.Diff(r.Listing); !d.Empty() {
				rt.Fatalf("built upon another and from nothing differ: %+v", d)
			}
		}
	})
}

// change makes something of a kind at a path, unless a file is in the way.
func (f *fixture) change(kind int, path string) {
	full := f.path(path)
	if kind == 0 {
		f.must(os.RemoveAll(f.path(string(manifests.Path(path).Components()[0]))))
		return
	}
	_ = os.RemoveAll(full)
	if os.MkdirAll(full, 0o755) != nil {
		return
	}
	if kind == 1 {
		return
	}
	f.must(os.Remove(full))
	switch kind {
	case 2:
		f.write(path, "bytes of "+path)
	case 3:
		f.write(path, "")
	default:
		f.must(os.Symlink("to", full))
	}
}
