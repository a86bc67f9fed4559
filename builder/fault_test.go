package builder

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"seedtree/internal/testkit"
	"seedtree/manifests"
)

func TestPermissionDenied(t *testing.T) {
	f := newFixture(t)
	f.write("file", "11")
	f.write("d/a", "22")
	f.write("d/e/b", "33")
	f.write("noexec/a", "44")
	f.write("rules/a", "55")
	f.write("ok", "66")
	f.commit()
	f.unprivileged()
	f.write("file", "new bytes")
	f.write("d/c", "new file")
	f.write("rules/.seedtreeignore", "a\n")
	f.write("new", "never listed")
	for _, p := range []string{"file", "d", "rules/.seedtreeignore", "new"} {
		f.must(os.Chmod(f.path(p), 0))
	}
	f.must(os.Chmod(f.path("noexec"), 0o600)) // its names can be read, nothing else
	t.Cleanup(func() {
		for _, p := range []string{"d", "noexec"} {
			f.must(os.Chmod(f.path(p), 0o755))
		}
	})
	before := f.o.Previous
	r := f.commit()
	var failed []string
	for _, x := range r.Failed {
		failed = append(failed, string(x.Key.Path))
		if !errors.Is(x, fs.ErrPermission) {
			t.Errorf("%v: is not about a permission", x)
		}
	}
	if want := []string{"d", "file", "new", "noexec", "rules"}; !slices.Equal(failed, want) {
		t.Fatalf("failed %q, want %q", failed, want)
	}
	if d := before.Diff(r.Listing); !d.Empty() {
		t.Fatalf("unreadable entries changed: %+v", d)
	}
}

// A root whose own rules cannot be read stays as it was listed, all of it.
func TestRulesOfTheRootUnreadable(t *testing.T) {
	f := newFixture(t)
	f.write("a", "aa")
	f.write("d/b", "bb")
	f.commit()
	f.write("secret", "ss")
	f.must(os.Symlink("/etc/hostname", f.path(ignoreFile)))
	r := f.commit()
	f.wantFailed(r, "", "symbolic link")
	f.wantPaths(r, "a", "d/b")
}

func TestLinksAreData(t *testing.T) {
	f := newFixture(t)
	targets := map[string]string{
		"self": "self", "loop": ".", "up": "../../../..", "out": "/etc/passwd", "dangling": "no such thing",
		"odd": "a\nb\xff", "long": strings.Repeat("x/", 2000),
	}
	for name, target := range targets {
		f.must(os.Symlink(target, f.path(name)))
	}
	r := f.commit()
	if r.Listing.Len() != len(targets) || len(r.Failed) != 0 {
		t.Fatalf("listed %q, failed %v", paths(r.Listing), r.Failed)
	}
	for e := range r.Listing.All() {
		if e.Kind != manifests.Symlink || e.Target != targets[string(e.Path)] {
			t.Errorf("%s is listed as %s to %q", e.Path, e.Kind, e.Target)
		}
	}
}

func TestHostileNames(t *testing.T) {
	f := newFixture(t)
	names := []string{
		"\u00e9", "e\u0301", "new\nline", "tab\t", "bad\xff\xfeutf8", ".hidden", "-dash", " space ", "a", "A", "a.torrent/b", "a.torrent/b.torrent",
		".git/config", ".GIT/x", "git~1", ".gitmodules", "d/.git", "%41", "back\\slash", "x.empty", "y.dir/z.symlink", "...",
	}
	for _, n := range names {
		f.write(n, "bytes of "+n)
	}
	long := strings.Repeat("n", 255)
	f.write(long, "long")
	r := f.commit() // which decodes every catalog name
	f.wantPaths(r, append(names, long)...)
	if len(r.Warnings) != 1 || string(r.Warnings[0].Key.Path) != long || !strings.Contains(r.Warnings[0].Reason, "263 bytes") {
		t.Fatalf("warnings %v", r.Warnings)
	}
	for _, n := range names {
		f.wantContent(r.Listing, n, "bytes of "+n)
	}
}

// A path too long to be listed is reported where a path still can be.
func TestEndlessPath(t *testing.T) {
	f := newFixture(t)
	f.write("a", "aa")
	f.must(os.Chdir(f.dir))
	name := strings.Repeat("d", 250)
	t.Chdir(f.dir)
	for range 18 {
		f.must(os.Mkdir(name, 0o755))
		f.must(os.Chdir(name))
	}
	r := f.commit()
	f.wantPaths(r, "a")
	if len(r.Failed) != 1 || !strings.Contains(r.Failed[0].Error(), "longer than 4096") {
		t.Fatalf("failed %v", r.Failed)
	}
}

func TestTreeInsideATree(t *testing.T) {
	f := newFixture(t)
	f.write("inner/a", "aa")
	f.write("inner/"+manifests.PrivateDir+"/staging/half", "not whole yet")
	r := f.commit()
	f.wantPaths(r, "inner/a")
	if len(r.Skipped) != 1 || string(r.Skipped[0].Key.Path) != "inner/.seedtree" {
		t.Fatalf("skipped %v", r.Skipped)
	}
}

func TestSparseFile(t *testing.T) {
	f := newFixture(t)
	f.write("sparse", "head")
	f.must(os.Truncate(f.path("sparse"), 5<<20))
	f.must(os.Chtimes(f.path("sparse"), time.Time{}, time.Unix(1e9, 0)))
	f.wantContent(f.commit().Listing, "sparse", "head"+string(bytes.Repeat([]byte{0}, 5<<20-4)))
}

// A terabyte of which one byte is on the disk: it would take hours to hash the
// rest, and what is cheap to make should not be dear to list.
func TestLargeSparseFile(t *testing.T) {
	const size = 1 << 40
	f := newFixture(t)
	f.write("sparse", "x")
	f.must(os.Truncate(f.path("sparse"), size))
	f.must(os.Chtimes(f.path("sparse"), time.Time{}, time.Unix(1e9, 0)))
	r := f.commit()
	piece := make([]byte, manifests.PieceLength(size))
	zeros := sha1.Sum(piece)
	piece[0] = 'x'
	first := sha1.Sum(piece)
	sums := append(first[:], bytes.Repeat(zeros[:], size/len(piece)-1)...)
	e, _ := r.Listing.Get(manifests.Key{Tree: "t", Path: "sparse"})
	if want := manifests.ContentOf(size, int64(len(piece)), sums); e.Length != size || e.Content != want {
		t.Fatalf("listed with %d bytes and content %s, want %s", e.Length, e.Content, want)
	}
}

// A large file takes long; being told to stop must not.
func TestCancelled(t *testing.T) {
	f := newFixture(t)
	testkit.Speckled(t, f.path("huge"), 128<<30, 16<<20)
	f.must(os.Chtimes(f.path("huge"), time.Time{}, time.Unix(1e9, 0)))
	if err := f.buildUntil(1); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Build(ctx, f.o); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled before: %v", err)
	}
}

// More than fits in a torrent is one file's failure, not the build's.
func TestTooLarge(t *testing.T) {
	dir := "/dev/shm" // a file system that takes sparse files of any size
	if _, err := os.Stat(dir); err != nil {
		t.Fatal("this test needs a tmpfs at /dev/shm")
	}
	f := newFixture(t)
	f.write("a", "aa")
	tmp, err := os.MkdirTemp(dir, "seedtree")
	f.must(err)
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	f.must(os.Rename(f.dir, f.dir+".old"))
	f.must(os.CopyFS(filepath.Join(tmp, "t"), os.DirFS(f.dir+".old")))
	f.dir = filepath.Join(tmp, "t")
	f.o.Trees["t"] = f.dir
	f.write("huge", "x")
	f.must(os.Truncate(f.path("huge"), 1<<60))
	r := f.commit()
	f.wantFailed(r, "huge", fmt.Sprint(int64(1<<60)))
	f.wantPaths(r, "a")
}
