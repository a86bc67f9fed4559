package apply_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/manifests"
)

// killed is what a step panics with: the process is gone at that moment.
type killed struct{ op string }

// saga is a revision change with something of everything in it.
type saga struct {
	*world
	old, next apply.Desired
	fresh     int64             // bytes that really have to be fetched
	visible   map[string]bool   // every "path\x00content" that may be seen in the tree
	precious  map[string]string // old bytes that must survive in tree or trash
	ops       []string
}

func newSaga(t *testing.T) *saga {
	w := newWorld(t)
	w.site.SetFsync(func(*os.File) error { return nil })
	w.manifest.Prune.Limit = manifests.Limit{Percent: 90, Files: 1000}
	piece := strings.Repeat("p", 1<<18)
	exe := w.file("tool", "tool")
	exe.Executable = true
	touched := w.know(enginetest.NewFileAt(t, "photos", "touched", []byte("touched"), time.Unix(1600000000, 0)))
	gone := w.file("gone", "goes to the trash first")
	w.sync(w.want(gone))
	old := []manifests.Entry{
		w.file("same", "stays"), w.file("dir/a", "moves a"), w.file("dir/b", "moves b"),
		w.file("swap1", "swap one"), w.file("swap2", "swap two!"),
		w.file("doc", piece+"tail 1"), w.file("removed", "removed"), w.file("sub/removed", "removed too"),
		w.file("wasfile", "a file becomes a directory"), w.file("wasdir/x", "x of wasdir"), w.file("wasdir/y", "y of wasdir"),
		w.file("inplace", "becomes a link"), w.file("tool", "tool"), w.file("touched", "touched"),
		w.file("dup", "duplicated"), w.file("drifted", "drifted"),
		empty("emptyold"), symlink("link", "same"), emptyDir("nothing"), symlink("linkdir", "dir"),
	}
	s := &saga{world: w}
	s.old = w.want(old...)
	w.sync(s.old)
	w.write("foreign", "not ours")
	w.write("dir/foreign", "not ours either")
	w.write("drifted", "edited by somebody")
	next := []manifests.Entry{
		w.file("same", "stays"), w.file("moved/a", "moves a"), w.file("moved/deep/b", "moves b"),
		w.file("swap1", "swap two!"), w.file("swap2", "swap one"),
		w.file("doc", piece+"tail 2"), w.file("wasfile/now", "a file becomes a directory"), w.file("wasdir", "wasdir is a file"),
		symlink("inplace", "same"), exe, touched, w.file("dup", "duplicated"), w.file("dup2", "duplicated"),
		w.file("drifted", "drifted"), w.file("gone", "goes to the trash first"), w.file("brand/new", "brand new"),
		empty("emptynew"), symlink("link", "elsewhere"), emptyDir("hollow/dir"), w.file("linkdir/inside", "inside"),
	}
	s.next = w.want(next...)
	s.fresh = int64(len("tail 2") + len("wasdir is a file") + len("brand new") + len("inside") + len("drifted"))
	s.visible, s.precious = map[string]bool{}, map[string]string{}
	for _, e := range append(old, next...) {
		s.visible[string(e.Path)+"\x00"+string(s.data[e.InfoHash])] = true
	}
	for name, text := range contents(t, w.roots["photos"]) {
		s.visible[name+"\x00"+text] = true
		if text != "" && !strings.HasPrefix(text, "-> ") {
			s.precious[name] = text
		}
	}
	s.precious["gone"] = "goes to the trash first"
	return s
}

// run goes from old to next with fresh processes, killed at the given steps.
func (s *saga) run(kill map[int]bool) {
	steps := 0
	start := s.downloaded()
	for range 12 {
		s.reopen()
		s.site.SetFsync(func(*os.File) error { return nil })
		s.site.SetStep(func(op string) {
			steps++
			s.ops = append(s.ops, op)
			if kill[steps] {
				panic(killed{op})
			}
		})
		if r := s.try(); r != nil && r.Complete && r.Applied {
			break
		}
		s.requireIntact()
		must(s.t, s.engine.Feed())
	}
	s.site.SetStep(nil)
	s.requireIntact()
	s.requireTree(s.next.Listing, "foreign", filepath.Join("dir", "foreign"))
	s.requireStagingEmpty()
	if got := s.downloaded() - start; got > s.fresh {
		s.t.Fatalf("%d bytes were fetched, %d are new", got, s.fresh)
	}
	if p := s.plan(s.again(s.next)); len(p.Actions)+len(p.Held) != 0 || p.Foreign != 2 {
		s.t.Fatalf("afterwards still to do: %s, foreign %d", kinds(p.Actions), p.Foreign)
	}
}

// try is one pass; nil when it was killed.
func (s *saga) try() (r *apply.Result) {
	defer func() {
		if k := recover(); k != nil {
			if _, ok := k.(killed); !ok {
				panic(k)
			}
		}
	}()
	r = s.pass(s.again(s.next))
	must(s.t, r.Err())
	return r
}

// requireIntact: nothing partial or strange is visible, nothing old is lost.
func (s *saga) requireIntact() {
	s.t.Helper()
	for name, text := range contents(s.t, s.roots["photos"]) {
		if !s.visible[name+"\x00"+text] && !strings.HasSuffix(name, "/") && !strings.HasPrefix(text, "-> ") && text != "" {
			s.t.Fatalf("%q is visible with %d bytes that are neither old nor new: %.40q", name, len(text), text)
		}
	}
	kept := s.kept()
	for name, text := range s.precious {
		if !kept[text] {
			s.t.Fatalf("the bytes of %s are neither in the tree nor in the trash", name)
		}
	}
}

// TestKilledAtEveryStep aborts the pass before each single change to the file
// system and to the engine, in every way of going on: invariants 1, 2, 3, 5.
func TestKilledAtEveryStep(t *testing.T) {
	s := newSaga(t)
	s.run(nil)
	total := len(s.ops)
	t.Logf("%d steps, %d bytes fetched", total, s.fresh)
	if total < 100 {
		t.Fatalf("only %d steps: the saga does not do what it should", total)
	}
	for n := 1; n <= total; n++ {
		t.Run(fmt.Sprintf("%03d", n), func(t *testing.T) {
			t.Parallel()
			newSaga(t).runNamed(map[int]bool{n: true})
		})
	}
}

// TestKilledAgainAndAgain kills the passes that repair, too.
func TestKilledAgainAndAgain(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			kill := map[int]bool{}
			at := 0
			for range 8 {
				at += 1 + r.IntN(40)
				kill[at] = true
			}
			newSaga(t).runNamed(kill)
		})
	}
}

// runNamed says at which operation a failing run was killed.
func (s *saga) runNamed(kill map[int]bool) {
	defer func() {
		if s.t.Failed() {
			for n := range kill {
				if n <= len(s.ops) {
					s.t.Logf("killed before step %d: %s", n, s.ops[n-1])
				}
			}
		}
	}()
	s.run(kill)
}
