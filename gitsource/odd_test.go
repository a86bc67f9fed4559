package gitsource

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Wherever the state is kept, the mirror works, and nothing beside it is touched.
func TestOddStateFolders(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	head := publish(t, opened(t, repo), nil, Commit{Put: some(t, 10)})
	want := paths(t, head)
	for name, folder := range map[string]func(t *testing.T, dir string) string{
		"absent":       func(_ *testing.T, dir string) string { return filepath.Join(dir, "a", "b") },
		"empty":        func(_ *testing.T, dir string) string { return dir },
		"climbing":     func(_ *testing.T, dir string) string { return dir + "/a/../../" + filepath.Base(dir) + "/./state//" },
		"strange name": func(_ *testing.T, dir string) string { return filepath.Join(dir, "-rf ~ $(x) \n '\"é\\ ;") },
		"a symlink": func(t *testing.T, dir string) string {
			must(t, os.Mkdir(filepath.Join(dir, "real"), 0o755))
			must(t, os.Symlink("real", filepath.Join(dir, "link")))
			return filepath.Join(dir, "link")
		},
		"inside a work tree": func(t *testing.T, dir string) string {
			git(t, dir, "init", "-q")
			return filepath.Join(dir, "state")
		},
		"inside a bare repository": func(t *testing.T, dir string) string {
			git(t, dir, "init", "-q", "--bare")
			return filepath.Join(dir, "objects", "state")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, t.TempDir())
			s, _ := openedIn(t, dir, repo)
			r := fetched(t, s)
			if got := paths(t, r); !slices.Equal(got, want) {
				t.Errorf("lists %q", got)
			}
			must(t, s.Close())
			rewrite(t, onlyPack(t, dir)+".pack", half)
			again, log := openedIn(t, dir, repo)
			if got := paths(t, fetched(t, again)); !slices.Equal(got, want) || !strings.Contains(log.String(), "made anew") {
				t.Errorf("after damage: %q; log: %s", got, log)
			}
			git(t, filepath.Join(dir, gitName), "fsck", "--strict", "--full")
		})
	}
}

// A new mirror is made beside the old one: if that fails, nothing is lost that was
// not lost before.
func TestRemakingThatFailsKeepsTheOldMirror(t *testing.T) {
	t.Parallel()
	repo, dir := bareRepo(t), t.TempDir()
	head := publish(t, opened(t, repo), nil, Commit{Put: some(t, 200)})
	s, _ := openedIn(t, dir, repo)
	fetched(t, s)
	must(t, s.Close())
	pack := onlyPack(t, dir) + ".pack"
	rewrite(t, pack, flip(0.3))
	theirs, err := filepath.Glob(filepath.Join(repo, "objects/pack/*.pack"))
	must(t, err)
	whole, err := os.ReadFile(theirs[0])
	must(t, err)
	rewrite(t, theirs[0], flip(0.6))
	s, _ = openedIn(t, dir, repo)
	r := fetched(t, s) // nothing new, and nothing was read
	if _, err := r.Listing(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Fatalf("listing: %v", err)
	}
	for range 2 {
		if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrRemoteDamaged) {
			t.Errorf("fetch: %v", err)
		}
		if now, err := s.Head(); err != nil || now.ID() != head.ID() {
			t.Errorf("head: %v", err)
		}
		if _, err := os.Stat(pack); err != nil {
			t.Errorf("the old mirror: %v", err)
		}
	}
	must(t, errors.Join(os.Remove(theirs[0]), os.WriteFile(theirs[0], whole, 0o644)))
	if got := paths(t, fetched(t, s)); len(got) != 200 {
		t.Errorf("%d entries", len(got))
	}
	for _, name := range []string{besideName, replacedName} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there (%v)", name, err)
		}
	}
}

// Files that are made as they are asked for cannot be sorted here: who gives them
// in another order hears of it, and no tree is made that git would call damaged.
func TestManyFilesInDisorder(t *testing.T) {
	t.Parallel()
	s := opened(t, bareRepo(t))
	a, b := File{Name: "a", Data: []byte("1")}, File{Name: "b"}
	for want, c := range map[string]Commit{
		"out of order": {Many: fileList{b, a}},
		"put twice":    {Many: fileList{a, a}},
		"both kinds":   {Many: fileList{a}, Put: []File{b}},
	} {
		if _, err := s.Commit(t.Context(), nil, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// A revision of another mirror is gone on from if it is here as well. That it is not is
// no damage.
func TestRevisionOfAnotherMirror(t *testing.T) {
	t.Parallel()
	theirs := opened(t, bareRepo(t))
	head := publish(t, theirs, nil, Commit{Put: some(t, 3)})
	ours := opened(t, bareRepo(t))
	was := publish(t, ours, nil, Commit{Put: some(t, 4)})
	_, commitErr := ours.Commit(t.Context(), head, Commit{Put: some(t, 1)})
	batch, err := ours.Batch(t.Context())
	must(t, err)
	defer batch.Close()
	_, batchErr := batch.Commit(t.Context(), head, Commit{Put: some(t, 1)})
	for what, err := range map[string]error{"commit": commitErr, "batch": batchErr} {
		if err == nil || !strings.Contains(err.Error(), "another mirror") || errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := fetched(t, ours); got.ID() != was.ID() {
		t.Errorf("at %s, want %s", got.ID(), was.ID())
	}
}
