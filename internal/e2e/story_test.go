package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seedtree/internal/testkit"
)

// The main job with real clients: replicate, change, rename, delete, move
// main, take a bad commit back; byte-identical everywhere after each step, and
// the users' own torrents as they were.
func TestStory(t *testing.T) {
	versions := testkit.TransmissionVersions(t)
	newest, oldest := versions[len(versions)-1].Command, versions[0].Command
	for name, engines := range map[string][]string{
		"transmission " + versions[len(versions)-1].Name: {newest, newest, newest},
		"mixed": {embedded, newest, oldest},
	} {
		t.Run(name, func(t *testing.T) { story(t, engines) })
	}
}

func story(t *testing.T, engines []string) {
	f := newFleet(t, []string{"oslo", "lima", "attic"}, engines)
	oslo, lima := f.sites[0], f.sites[1]
	foreign := map[string]string{}
	for _, s := range f.sites {
		if s.daemon != nil {
			s.addForeign(t)
			testkit.Eventually(t, 30*time.Second, "the user's own torrent seeds", func() error { return seeding(t, s) })
			foreign[s.name] = s.foreign(t)
		}
	}
	furnish(t, oslo.tree)
	for _, s := range f.sites {
		f.initialize(t, s)
	}
	oslo.seedtree(t, "build")
	for _, s := range f.sites {
		s.startAgent(t)
	}
	f.settle(t, clone(t, oslo.tree), 2*time.Minute)

	change(t, oslo.tree)
	before := lima.downloaded(t)
	oslo.seedtree(t, "build")
	f.settle(t, clone(t, oslo.tree), 2*time.Minute)
	if moved := lima.downloaded(t) - before; moved > 800_000 {
		t.Errorf("lima transferred %d bytes for 300,000 new ones: the renamed folder travelled too", moved)
	}

	oslo.agent.Stop()
	mustWrite(t, filepath.Join(oslo.tree, "never-committed.txt"), "written while the agent was down")
	testkit.Eventually(t, time.Minute, "promote", func() error { return promote(t, lima, "lima") })
	oslo.startAgent(t)
	noise(t, filepath.Join(lima.tree, "from-lima.bin"), 40, 100_000)
	testkit.Eventually(t, time.Minute, "lima builds", func() error { return try(t, lima, "build") })
	want := clone(t, lima.tree)
	f.complete(t, 2*time.Minute)
	must(t, os.Remove(filepath.Join(oslo.tree, "never-committed.txt"))) // still there: it was never listed
	f.settle(t, want, 2*time.Minute)

	good := f.head(t)
	must(t, os.Rename(filepath.Join(lima.tree, "2019/big.bin"), filepath.Join(t.TempDir(), "big.bin")))
	lima.seedtree(t, "build")
	f.settle(t, clone(t, lima.tree), 2*time.Minute)
	before = oslo.downloaded(t)
	lima.seedtree(t, "rollback", good, "--restore-source")
	f.settle(t, want, 2*time.Minute)
	if moved := oslo.downloaded(t) - before; moved > 50_000 {
		t.Errorf("oslo transferred %d bytes to take a deletion back; its trash had them", moved)
	}
	for _, s := range f.sites {
		if s.daemon != nil && s.foreign(t) != foreign[s.name] {
			t.Errorf("%s: the user's own torrents changed from\n%s\nto\n%s", s.name, foreign[s.name], s.foreign(t))
		}
	}
}

// furnish writes a tree with every kind of entry and awkward names.
func furnish(t *testing.T, tree string) {
	t.Helper()
	noise(t, filepath.Join(tree, "2019/big.bin"), 1, 3_000_000)
	noise(t, filepath.Join(tree, "2019/trip/ü & ö.jpg"), 2, 70_000)
	noise(t, filepath.Join(tree, "2019/trip/second.jpg"), 3, 700_000)
	noise(t, filepath.Join(tree, "2020/one.raw"), 4, 300_000)
	noise(t, filepath.Join(tree, "2020/two.raw"), 5, 1)
	mustWrite(t, filepath.Join(tree, "2020/empty"), "")
	mustMkdir(t, filepath.Join(tree, "2020/nothing here"))
	must(t, os.Symlink("one.raw", filepath.Join(tree, "2020/best")),
		os.Chmod(filepath.Join(tree, "2020/two.raw"), 0o755))
}

// change adds, edits, renames a folder and deletes.
func change(t *testing.T, tree string) {
	t.Helper()
	noise(t, filepath.Join(tree, "2021/new.bin"), 20, 200_000)
	noise(t, filepath.Join(tree, "2020/one.raw"), 21, 100_000)
	must(t, os.Rename(filepath.Join(tree, "2019/trip"), filepath.Join(tree, "2019/journey")),
		os.Remove(filepath.Join(tree, "2020/two.raw")),
		os.Remove(filepath.Join(tree, "2020/best")),
		os.Symlink("../2021/new.bin", filepath.Join(tree, "2020/best")))
}

func try(t *testing.T, s *site, args ...string) error {
	t.Helper()
	if out, code := s.host.Try(t, "seedtree '"+strings.Join(args, "' '")+"'"); code != 0 {
		return exitError{code, out}
	}
	return nil
}

type exitError struct {
	code int
	out  string
}

func (e exitError) Error() string { return e.out }

// promote succeeds once the candidate's status has reached the catalog.
func promote(t *testing.T, s *site, to string) error { return try(t, s, "promote", to) }

func seeding(t *testing.T, s *site) error {
	t.Helper()
	if got := s.foreign(t); !strings.Contains(got, `"Status":6`) {
		return exitError{0, got}
	}
	return nil
}
