package gitsource

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// timeZero dates forged commits.
var timeZero = time.Unix(1_000_000_000, 0)

func TestHistoryMovesForwardOnly(t *testing.T) {
	t.Parallel()
	_, overTLS, served := overHTTPS(t)
	here := bareRepo(t)
	for name, c := range map[string]struct {
		cfg  Config
		repo string
	}{"local": {Config{URLs: []string{here}}, here}, "https": {overTLS, served}} {
		t.Run(name, func(t *testing.T) {
			w := with(t, c.cfg)
			first := publish(t, w, nil, Commit{Put: some(t, 3)})
			second := publish(t, w, first, Commit{Put: []File{torrent(t, "x", 1)}})
			s := with(t, c.cfg)
			fetched(t, s)

			git(t, c.repo, "update-ref", "refs/heads/main", first.ID()) // a rewind
			wantRewound(t, s, second.ID(), first.ID())

			clone := filepath.Join(t.TempDir(), "clone") // a rewrite
			git(t, "", "clone", "-q", c.repo, clone)
			git(t, clone, "commit", "-q", "--amend", "-m", "Rewritten")
			git(t, clone, "push", "-q", "--force")
			forged := git(t, clone, "rev-parse", "HEAD")
			wantRewound(t, s, second.ID(), forged)

			// Not even a mirror that has to be made anew forgets where history stood.
			rewrite(t, onlyOrNewest(t, s), none)
			must(t, s.Close())
			wantRewound(t, s, second.ID(), forged)
			if names, err := packNames(filepath.Join(s.cfg.Dir, gitName)); err != nil || len(names) != 1 {
				t.Errorf("it was not made anew: %v, %v", names, err)
			}
			if _, err := s.Head(); !errors.Is(err, ErrRewound) {
				t.Errorf("head: %v", err)
			}

			git(t, c.repo, "update-ref", "-d", "refs/heads/main")
			wantRewound(t, s, second.ID(), "")

			git(t, c.repo, "update-ref", "refs/heads/main", forged)
			if err := s.Accept(t.Context(), strings.Repeat("1", 40)); !errors.Is(err, ErrNotFound) {
				t.Errorf("accept of nothing: %v", err)
			}
			must(t, s.Accept(t.Context(), forged[:10]))
			if r := fetched(t, s); r.ID() != forged {
				t.Errorf("head %s", r.ID())
			}
		})
	}
}

// onlyOrNewest is some pack of the mirror.
func onlyOrNewest(t *testing.T, s *Source) string {
	t.Helper()
	names, err := packNames(filepath.Join(s.cfg.Dir, gitName))
	if err != nil || len(names) == 0 {
		t.Fatalf("packs %v, %v", names, err)
	}
	return filepath.Join(s.cfg.Dir, gitName, "objects", "pack", names[0]+".pack")
}

func wantRewound(t *testing.T, s *Source, from, to string) {
	t.Helper()
	for range 2 { // asking again is no consent
		_, err := s.Fetch(t.Context())
		var rewound *RewoundError
		if !errors.As(err, &rewound) || !errors.Is(err, ErrRewound) || rewound.From != from || rewound.To != to {
			t.Errorf("fetch: %v", err)
		}
		if s.st.Tip != from {
			t.Errorf("tip moved to %s", s.st.Tip)
		}
	}
}

func TestBranches(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 3)})
	cfg := Config{URLs: []string{repo}, Branch: "live"}
	s := with(t, cfg)
	if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrEmpty) || !strings.Contains(err.Error(), "main") {
		t.Errorf("unknown branch: %v", err)
	}
	git(t, repo, "branch", "-m", "main", "live")
	if got := paths(t, fetched(t, s)); len(got) != 3 {
		t.Errorf("renamed branch: %q", got)
	}
}

func TestAnotherRepositoryOverTheSameMirror(t *testing.T) {
	t.Parallel()
	one, two, dir := bareRepo(t), bareRepo(t), t.TempDir()
	publish(t, opened(t, one), nil, Commit{Put: some(t, 3)})
	other := publish(t, opened(t, two), nil, Commit{Put: some(t, 2)})
	s, _ := openedIn(t, dir, one)
	fetched(t, s)
	s, _ = openedIn(t, dir, two)
	if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrRewound) {
		t.Errorf("another history: %v", err)
	}
	must(t, s.Accept(t.Context(), other.ID()))
	if got := paths(t, fetched(t, s)); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

// A whole listing is counted first, so that it is made once in its size and does not
// grow to it.
func TestListingIsCounted(t *testing.T) {
	t.Parallel()
	r := publish(t, opened(t, bareRepo(t)), nil, Commit{Put: some(t, 400)})
	st, err := r.src.open()
	must(t, err)
	tree, err := st.lookup(r.tree, manifests.CatalogDir)
	must(t, err)
	l := &lister{ctx: t.Context(), st: st}
	for most, want := range map[int]int{1000: 400, 7: 4} { // three folders to the first file
		if n, err := l.count(tree.id, 0, &most); err != nil || n != want {
			t.Errorf("at most %d: %d, %v", most, n, err)
		}
	}
}

func TestListingCostsWhatChanged(t *testing.T) {
	t.Parallel()
	s := opened(t, bareRepo(t))
	first := publish(t, s, nil, Commit{Put: some(t, 400)})
	paths(t, first)
	second := publish(t, s, first, Commit{Put: []File{torrent(t, "d1/e1/new", 5)}, Delete: []string{torrent(t, "d0/e0/f0.jpg", 1).Name}})
	st, err := s.open()
	must(t, err)
	before := st.reads
	got := paths(t, second)
	// Old and new of: root, torrents, photos, d0, d0/e0, d1, d1/e1; and one blob.
	if n := st.reads - before; n > 16 {
		t.Errorf("%d objects read for two changes", n)
	}
	if !slices.Contains(got, "photos/d1/e1/new") || slices.Contains(got, "photos/d0/e0/f0.jpg") || len(got) != 400 {
		t.Errorf("%d entries: %q", len(got), got)
	}
	before = st.reads
	paths(t, first) // still in memory
	paths(t, second)
	if n := st.reads - before; n > 4 {
		t.Errorf("%d objects read for listings in memory", n)
	}
}

func TestRacingWritersLoseNothing(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	start := opened(t, repo)
	publish(t, start, nil, Commit{Put: some(t, 2)})
	const edits = 5
	var wg sync.WaitGroup
	g := testkit.ServeGitHTTPS(t, filepath.Dir(repo))
	served := Config{URLs: []string{g.URL + "/catalog.git"}, HTTPS: HTTPS{Username: g.Username, PasswordFile: g.PasswordFile, CAFile: g.CAFile}}
	for w, s := range []*Source{opened(t, repo), opened(t, repo), with(t, served)} {
		wg.Go(func() {
			for i := range edits {
				if err := insist(t, s, torrent(t, fmt.Sprintf("w%d/%d", w, i), int64(i+1))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, "", "clone", "-q", repo, clone)
	wg.Go(func() { // the real git among them
		for i := range 4 {
			git(t, clone, "commit", "-q", "--allow-empty", "-m", fmt.Sprint("git ", i))
			for {
				if _, err := tryGit(t, clone, "push", "-q"); err == nil {
					break
				}
				git(t, clone, "pull", "-q", "--rebase")
			}
		}
	})
	wg.Wait()
	if got := paths(t, fetched(t, start)); len(got) != 2+3*edits {
		t.Errorf("%d entries, want %d: %q", len(got), 2+3*edits, got)
	}
	if n := git(t, repo, "rev-list", "--count", "main"); n != fmt.Sprint(1+3*edits+4) {
		t.Errorf("%s commits", n)
	}
	git(t, repo, "fsck", "--strict")
}

// insist commits and pushes until nobody is faster.
func insist(t *testing.T, s *Source, f File) error {
	for {
		head, err := s.Fetch(t.Context())
		if err != nil {
			return err
		}
		r, err := s.Commit(t.Context(), head, Commit{Message: "Add " + f.Name, Put: []File{f}})
		if err != nil {
			return err
		}
		if err := s.Push(t.Context(), r); !errors.Is(err, ErrMoved) {
			return err
		}
	}
}

func TestManyPacksAreMerged(t *testing.T) {
	t.Parallel()
	_, cfg, repo := overHTTPS(t)
	const limit, commits = 5, 16
	w, s := opened(t, repo), with(t, cfg)
	w.lim.packs, s.lim.packs = limit, limit
	var head *Revision
	for i := range commits {
		f := []File{torrent(t, fmt.Sprintf("a/f%03d", i), int64(i+1)), {Name: fmt.Sprintf("torrents/photos/e%03d.empty", i)}}
		if i == 0 {
			f = append(f, some(t, 30)...)
		}
		head = publish(t, w, head, Commit{Put: f})
		fetched(t, s)
	}
	git(t, repo, "gc", "-q", "--prune=now") // what is fetched anew comes with deltas
	fetched(t, with(t, cfg))
	want := paths(t, head)
	if got := paths(t, fetched(t, s)); !slices.Equal(got, want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
	for _, x := range []*Source{s, w} {
		fetched(t, x)
		dir := filepath.Join(x.cfg.Dir, gitName)
		if names, err := packNames(dir); err != nil || len(names) > limit {
			t.Errorf("%d packs, %v", len(names), err)
		}
		git(t, dir, "fsck", "--strict", "--full")
		fresh, _ := openedIn(t, x.cfg.Dir, x.cfg.URLs...)
		if r, err := fresh.Head(); err != nil || !slices.Equal(paths(t, r), want) {
			t.Errorf("head after merging: %v", err)
		}
	}
	if log, err := s.Log(t.Context(), "", 1000); err != nil || len(log) != commits {
		t.Errorf("log has %d, %v", len(log), err)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	repo, dir := bareRepo(t), t.TempDir()
	w := opened(t, repo)
	head := publish(t, w, nil, Commit{Put: some(t, 40)})
	a, _ := openedIn(t, dir, repo)
	b, _ := openedIn(t, dir, repo) // as another process would
	fetched(t, a)
	var wg sync.WaitGroup
	for _, s := range []*Source{a, b, a, b} {
		wg.Go(func() {
			for range 6 {
				r, err := s.Fetch(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				l, err := r.Listing(t.Context())
				if err != nil || l.Len() < 40 {
					t.Errorf("listing %v, %v", l, err)
					return
				}
				e, _ := l.Get(manifests.Key{Tree: "photos", Path: "d0/e0/f0.jpg"})
				if _, err := r.Metainfo(t.Context(), e); err != nil {
					t.Error(err)
				}
				if _, err := s.Head(); err != nil {
					t.Error(err)
				}
				_ = s.URL()
			}
		})
	}
	wg.Go(func() {
		for i := range 6 {
			head = publish(t, w, head, Commit{Put: []File{torrent(t, fmt.Sprintf("more/%d", i), 5)}})
		}
	})
	wg.Wait()
}

// A remote that fell back to where a commit began would take its push; the
// mirror has seen more since.
func TestPushNeverTakesTheMirrorBack(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	w := with(t, Config{URLs: []string{repo}})
	first := publish(t, w, nil, Commit{Put: some(t, 2)})
	late, err := w.Commit(t.Context(), first, Commit{Put: []File{torrent(t, "late", 1)}})
	must(t, err)

	other := with(t, Config{URLs: []string{repo}})
	second := publish(t, other, fetched(t, other), Commit{Put: []File{torrent(t, "faster", 1)}})
	if r := fetched(t, w); r.ID() != second.ID() {
		t.Fatalf("head %s", r.ID())
	}
	git(t, repo, "update-ref", "refs/heads/main", first.ID())

	if err := w.Push(t.Context(), late); !errors.Is(err, ErrMoved) {
		t.Errorf("push: %v", err)
	}
	if now := git(t, repo, "rev-parse", "main"); now != first.ID() || w.st.Tip != second.ID() {
		t.Errorf("the remote is at %s, the mirror at %s", now, w.st.Tip)
	}
}
