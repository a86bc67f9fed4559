package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// onlyPack returns the path of the mirror's pack without its suffix.
func onlyPack(t *testing.T, dir string) string {
	t.Helper()
	names, err := packNames(filepath.Join(dir, gitName))
	if err != nil || len(names) != 1 {
		t.Fatalf("packs %v, %v", names, err)
	}
	return filepath.Join(dir, gitName, "objects", "pack", names[0])
}

// rewrite changes a file's bytes.
func rewrite(t *testing.T, name string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err == nil {
		err = os.Remove(name)
	}
	if err == nil {
		err = os.WriteFile(name, change(data), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func half(b []byte) []byte { return b[:len(b)/2] }

func none([]byte) []byte { return nil }

// flip changes one bit at a fraction of the file.
func flip(at float64) func([]byte) []byte {
	return func(b []byte) []byte {
		b[int(float64(len(b))*at)] ^= 0x10
		return b
	}
}

func TestDamagedMirrorIsRemade(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	writer := opened(t, repo)
	first := publish(t, writer, nil, Commit{Put: some(t, 60)})
	want := paths(t, first)
	for name, damage := range map[string]func(t *testing.T, dir string){
		"pack cut":          func(t *testing.T, dir string) { rewrite(t, onlyPack(t, dir)+".pack", half) },
		"pack empty":        func(t *testing.T, dir string) { rewrite(t, onlyPack(t, dir)+".pack", none) },
		"pack rotten":       func(t *testing.T, dir string) { rewrite(t, onlyPack(t, dir)+".pack", flip(0.5)) },
		"pack rotten early": func(t *testing.T, dir string) { rewrite(t, onlyPack(t, dir)+".pack", flip(0.01)) },
		"pack and index lost": func(t *testing.T, dir string) {
			must(t, errors.Join(os.Remove(onlyPack(t, dir)+".idx"), os.RemoveAll(onlyPack(t, dir)+".pack")))
		},
		"pack lost":       func(t *testing.T, dir string) { must(t, os.Remove(onlyPack(t, dir)+".pack")) },
		"index lost":      func(t *testing.T, dir string) { must(t, os.Remove(onlyPack(t, dir)+".idx")) },
		"index cut":       func(t *testing.T, dir string) { rewrite(t, onlyPack(t, dir)+".idx", half) },
		"index empty":     func(t *testing.T, dir string) { rewrite(t, onlyPack(t, dir)+".idx", none) },
		"index rotten":    func(t *testing.T, dir string) { rewrite(t, onlyPack(t, dir)+".idx", flip(0.7)) },
		"repository lost": func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, gitName))) },
		"a file for the repository": func(t *testing.T, dir string) {
			must(t, errors.Join(os.RemoveAll(filepath.Join(dir, gitName)), os.WriteFile(filepath.Join(dir, gitName), nil, 0o644)))
		},
		"a file for a folder": func(t *testing.T, dir string) {
			packs := filepath.Join(dir, gitName, "objects", "pack")
			must(t, errors.Join(os.RemoveAll(packs), os.WriteFile(packs, nil, 0o644)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			before, _ := openedIn(t, dir, repo)
			fetched(t, before)
			damage(t, dir)
			s, log := openedIn(t, dir, repo)
			// What a fetch cannot see is found by the listing, and the next fetch repairs it.
			r, err := s.Fetch(t.Context())
			if err == nil {
				_, err = r.Listing(t.Context())
			}
			if err != nil && (!errors.Is(err, ErrDamaged) || !strings.HasPrefix(name, "pack rotten")) {
				t.Fatal(err)
			}
			again, moreLog := openedIn(t, dir, repo) // as the next run of a cron job would
			if got := paths(t, fetched(t, again)); !slices.Equal(got, want) {
				t.Errorf("lists %d entries, want %d", len(got), len(want))
			}
			if !strings.Contains(log.String()+moreLog.String(), "made anew") {
				t.Errorf("nobody was told: %s", log)
			}
			git(t, filepath.Join(dir, gitName), "fsck", "--strict", "--full")
		})
	}
}

// What a bad memory module does: all checksums fit, and the bytes are wrong.
func TestObjectsAreCheckedAgainstTheirIDs(t *testing.T) {
	t.Parallel()
	in, err := newIncoming(t.TempDir(), defaultLimits())
	must(t, err)
	defer in.Close()
	id := objectID(plumbing.BlobObject, []byte("right"))
	must(t, in.build(func(p *packWriter) error { return p.add(id, plumbing.BlobObject, []byte("wrong")) }))
	st := openStore(in.dir, ErrDamaged)
	defer st.Close()
	if data, err := st.blob(id, 100); !errors.Is(err, ErrDamaged) {
		t.Errorf("read %q, %v", data, err)
	}
}

func TestLeftoversDoNoHarm(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	first := publish(t, opened(t, repo), nil, Commit{Put: some(t, 20)})
	dir := t.TempDir()
	before, _ := openedIn(t, dir, repo)
	fetched(t, before)
	g := filepath.Join(dir, gitName)
	for name, data := range map[string]string{
		"HEAD": "", "HEAD.lock": "", "packed-refs": "garbage\n", "packed-refs.lock": "", "config": "[core\n", "config.lock": "", "index.lock": "",
		"refs/heads/main": "", "refs/heads/main.lock": "", "refs/heads/other": "zz",
		"objects/pack/tmp_pack_abc": "half a pack", "objects/pack/pack-" + strings.Repeat("0", 40) + ".idx": "half an index",
		"../incoming/pack-1.git/objects/pack/incoming": "half", "../batches/pack-1.git/objects/pack/incoming": "half",
		"../.listing.cache.1.tmp": "half", "shallow": "garbage",
	} {
		file := filepath.Join(g, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, []byte(data), 0o644))
	}
	s, log := openedIn(t, dir, repo)
	r := fetched(t, s)
	if r.ID() != first.ID() || len(paths(t, r)) != 20 {
		t.Errorf("head %s with %d entries", r.ID(), len(paths(t, r)))
	}
	if log.Len() > 0 {
		t.Errorf("log: %s", log)
	}
	for _, name := range []string{"batches/pack-1.git", ".listing.cache.1.tmp", "incoming/pack-1.git"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was not cleared away (%v)", name, err)
		}
	}
}

// What was built here and not pushed stands on the mirror. When that has rotten it is
// the mirror's damage, not a catalog with bad entries.
func TestDamageBelowAnUnpushedCommit(t *testing.T) {
	t.Parallel()
	repo, dir := bareRepo(t), t.TempDir()
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 30)})
	s, log := openedIn(t, dir, repo)
	first := fetched(t, s)
	c := Commit{Message: "More", Put: []File{torrent(t, "more", 1)}}
	second, err := s.Commit(t.Context(), first, c)
	must(t, err)
	f, err := os.OpenFile(onlyPack(t, dir)+".pack", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrPermission) {
		must(t, os.Chmod(onlyPack(t, dir)+".pack", 0o600))
		f, err = os.OpenFile(onlyPack(t, dir)+".pack", os.O_WRONLY, 0)
	}
	must(t, err)
	defer f.Close()
	st, err := s.open()
	must(t, err)
	for _, p := range st.packs { // each torrent, in the middle
		for i := range p.n {
			if e, err := p.entry(p.offset(i)); err == nil && e.t == plumbing.BlobObject {
				_, err = f.WriteAt([]byte("rot"), e.data+e.size/2)
				must(t, err)
			}
		}
		p.win = nil
	}
	if _, err := second.Listing(t.Context()); !errors.Is(err, ErrDamaged) || errors.Is(err, ErrBadEntries) || !strings.Contains(err.Error(), "mirror is damaged") {
		t.Errorf("listing: %v", err)
	}
	if n := strings.Count(log.String(), "the mirror is damaged"); n == 0 {
		t.Errorf("log: %s", log)
	}
	// The next build looks at the head first.
	if r := fetched(t, s); r.ID() != first.ID() {
		t.Errorf("head %s", r.ID())
	}
	if !strings.Contains(log.String(), "the mirror is made anew") {
		t.Errorf("log: %s", log)
	}
	if got := paths(t, second); len(got) != 31 {
		t.Errorf("what was not pushed has %d entries", len(got))
	}
	third := publish(t, s, fetched(t, s), c)
	if got := paths(t, third); len(got) != 31 {
		t.Errorf("%d entries", len(got))
	}
	git(t, repo, "fsck", "--strict", "--full")
}

func TestHalfMadeMirrorIsFinished(t *testing.T) {
	t.Parallel()
	repo, dir := bareRepo(t), t.TempDir()
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 5)})
	must(t, os.WriteFile(filepath.Join(dir, lockName), nil, 0o644))
	must(t, os.MkdirAll(filepath.Join(dir, gitName, "objects", "pack"), 0o755))
	s, _ := openedIn(t, dir, repo)
	fetched(t, s)
	git(t, filepath.Join(dir, gitName), "fsck", "--strict", "--full")
}

func TestLostStateIsTold(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 5)})
	for _, garbage := range []string{"", "{", `{"version":9}`, `{"version":1,"tip":"zz"}`} {
		dir := t.TempDir()
		before, _ := openedIn(t, dir, repo)
		fetched(t, before)
		must(t, os.WriteFile(filepath.Join(dir, stateName), []byte(garbage), 0o644))
		s, log := openedIn(t, dir, repo)
		if got := paths(t, fetched(t, s)); len(got) != 5 || strings.Count(log.String(), "state is lost") != 1 {
			t.Errorf("state %q: %d entries, log %s", garbage, len(got), log)
		}
	}
}

func TestDamageWhileTheRemoteIsAway(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 30)})
	dir := t.TempDir()
	before, _ := openedIn(t, dir, repo)
	head := fetched(t, before)
	rewrite(t, onlyPack(t, dir)+".pack", flip(0.9))
	s, _ := openedIn(t, dir, repo)
	must(t, os.Rename(repo, repo+".away"))
	if _, err := s.Head(); err != nil {
		t.Errorf("head: %v", err)
	}
	r := &Revision{src: s, id: head.id, tree: head.tree}
	if _, err := r.Listing(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Fatalf("listing: %v", err)
	}
	if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("fetch: %v", err)
	}
	// Nothing was thrown away for nothing: what is readable stays so.
	if _, err := s.Head(); err != nil {
		t.Errorf("head: %v", err)
	}
	must(t, os.Rename(repo+".away", repo))
	if got := paths(t, fetched(t, s)); len(got) != 30 {
		t.Errorf("%d entries", len(got))
	}
}

// fetchForChild is the variable that makes this test binary a process that fetches.
const fetchForChild = "GITSOURCE_TEST_FETCH"

// childFetch is the whole life of that process.
func childFetch(dir string) int {
	cfg := Config{URLs: []string{os.Getenv("GITSOURCE_TEST_URL")}, Dir: dir, Timeout: 20 * time.Second}
	if ca := os.Getenv("GITSOURCE_TEST_CA"); ca != "" {
		cfg.HTTPS = HTTPS{Username: "seed", PasswordFile: os.Getenv("GITSOURCE_TEST_PASSWORD"), CAFile: ca}
	}
	s, err := Open(cfg)
	switch {
	case err != nil:
	case os.Getenv(batchForChild) != "":
		err = childBatch(s)
	default:
		_, err = s.Fetch(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestKilledFetch(t *testing.T) {
	t.Parallel()
	repo := bareRepo(t)
	writer := opened(t, repo)
	head := publish(t, writer, nil, Commit{Put: some(t, 1500)})
	dir := t.TempDir()
	started := time.Now()
	if out, err := child(t, t.TempDir(), repo).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	whole := time.Since(started)
	const kills = 12
	killed := 0
	for i := range kills {
		if i == kills/2 {
			// From here on with something in the mirror.
			s, _ := openedIn(t, dir, repo)
			fetched(t, s)
			must(t, s.Close())
			head = publish(t, writer, head, Commit{Put: some(t, 1600)[1:]})
		}
		cmd := child(t, dir, repo)
		must(t, cmd.Start())
		time.Sleep(whole * time.Duration(i%(kills/2)+1) / (kills/2 + 1)) // spread over a whole fetch
		_ = cmd.Process.Kill()
		if cmd.Wait() != nil {
			killed++
		}
		s, err := Open(Config{URLs: []string{repo}, Dir: dir})
		must(t, err)
		if _, err := s.Head(); err != nil && !errors.Is(err, ErrEmpty) {
			t.Errorf("after kill %d: %v", i, err)
		}
		must(t, s.Close())
	}
	s, log := openedIn(t, dir, repo)
	if r := fetched(t, s); r.ID() != head.ID() || len(paths(t, r)) != 1600 {
		t.Errorf("head %s with %d entries", r.ID(), len(paths(t, r)))
	}
	if log.Len() > 0 || killed == 0 {
		t.Errorf("%d kills; log: %s", killed, log)
	}
	git(t, filepath.Join(dir, gitName), "fsck", "--strict", "--full")
	if left, err := os.ReadDir(filepath.Join(dir, incomingName)); err == nil && len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func child(t *testing.T, dir, url string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), fetchForChild+"="+dir, "GITSOURCE_TEST_URL="+url)
	return cmd
}
