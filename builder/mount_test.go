package builder

import (
	"errors"
	"os"
	"strings"
	"testing"

	"seedtree/manifests"
)

func TestNotMounted(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(f *fixture)
		want error
		says string
	}{
		{"folder gone", func(f *fixture) { f.must(os.RemoveAll(f.dir)) }, ErrNotMounted, "no such file"},
		{"empty mount point", func(f *fixture) { f.must(os.RemoveAll(f.dir)); f.must(os.Mkdir(f.dir, 0o755)) }, ErrNotMounted, "no marker"},
		{"a file", func(f *fixture) { f.must(os.RemoveAll(f.dir)); f.must(os.WriteFile(f.dir, nil, 0o644)) }, ErrNotMounted, "not a directory"},
		{"marker gone", func(f *fixture) { f.must(os.Remove(f.path(manifests.MarkerName))) }, ErrNotMounted, "no marker"},
		{"marker is garbage", func(f *fixture) { f.write(manifests.MarkerName, "{") }, ErrNotMounted, "marker"},
		{"marker is endless", func(f *fixture) { f.must(os.Truncate(f.path(manifests.MarkerName), 1<<40)) }, ErrNotMounted, "more than"},
		{"marker is a pipe", func(f *fixture) {
			f.must(os.Remove(f.path(manifests.MarkerName)))
			f.must(mkfifo(f.path(manifests.MarkerName)))
		}, ErrNotMounted, "not a regular file"},
		{"marker is a link out", func(f *fixture) {
			other := newFixture(f.t)
			f.must(os.RemoveAll(f.path(manifests.PrivateDir)))
			f.must(os.Symlink(other.path(manifests.PrivateDir), f.path(manifests.PrivateDir)))
		}, ErrNotMounted, "symbolic link"},
		{"another tree", func(f *fixture) {
			f.marker(manifests.Marker{Tree: "films", Site: "oslo", Role: manifests.RoleSource})
		}, ErrNotMounted, "tree films of site oslo"},
		{"another site's drive", func(f *fixture) {
			f.marker(manifests.Marker{Tree: "t", Site: "lima", Role: manifests.RoleSource})
		}, ErrNotMounted, "site lima"},
		{"a copy", func(f *fixture) {
			f.marker(manifests.Marker{Tree: "t", Site: "oslo", Role: manifests.RoleCopy})
		}, ErrNotReady, "copy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.write("a", "aa")
			f.commit()
			c.do(f)
			f.o.AllowRemovals = true // no wish makes a folder be there
			r, err := f.build()
			if r != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "tree t") {
				t.Fatalf("got %v, want %v with %q", err, c.want, c.says)
			}
		})
	}
}

// A drive that goes away in the middle takes no entry with it.
func TestUnmountedWhileReading(t *testing.T) {
	f := newFixture(t)
	f.write("a", "aa")
	f.write("b", "bb")
	f.commit()
	f.write("c", "cc")
	f.meddle(1, func() {
		f.must(os.Rename(f.dir, f.dir+".away"))
		f.must(os.Mkdir(f.dir, 0o755))
	})
	if r, err := f.build(); r != nil || !errors.Is(err, ErrNotMounted) {
		t.Fatalf("got %v", err)
	}
}

// Another drive with the same marker mounted over the first one is not it.
func TestRemountedWhileReading(t *testing.T) {
	f, g := newFixture(t), newFixture(t)
	f.write("a", "aa")
	f.meddle(1, func() {
		f.must(os.Rename(f.dir, f.dir+".away"))
		f.must(os.Rename(g.dir, f.dir))
	})
	if r, err := f.build(); r != nil || !errors.Is(err, ErrNotMounted) || !strings.Contains(err.Error(), "another folder") {
		t.Fatalf("got %v", err)
	}
}

func TestEmptied(t *testing.T) {
	f := newFixture(t)
	f.write("d/a", "aa")
	f.commit()
	f.must(os.RemoveAll(f.path("d")))
	if r, err := f.build(); r != nil || !errors.Is(err, ErrEmpty) {
		t.Fatalf("got %v", err)
	}
	f.o.AllowRemovals = true
	if r := f.commit(); r.Listing.Len() != 0 || len(r.Delete) != 1 {
		t.Fatalf("result %+v", r)
	}
	// Nothing before, nothing now: nothing to warn of.
	f.o.AllowRemovals = false
	if r := f.commit(); r.Listing.Len() != 0 {
		t.Fatalf("result %+v", r)
	}
}
