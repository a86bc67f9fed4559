package main

import (
	"context"
	"crypto/sha1"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seedtree/internal/testkit"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		list []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 100}, 3}} {
		if got := median(c.list); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.list, got, c.want)
		}
	}
}

// A ratio pairs the runs of one round: on a machine that becomes three times
// slower in the middle, twice as fast stays twice as fast.
func TestRatioIsPaired(t *testing.T) {
	runs := func(ms ...int) (out []sample) {
		for i, m := range ms {
			if m > 0 { // it did not hang
				out = append(out, sample{wall: time.Duration(m) * time.Millisecond, round: i})
			}
		}
		return out
	}
	if got := ratio(runs(10, 30, 10), runs(20, 60, 60), wall); got != 0.5 {
		t.Errorf("got %v, want 0.5", got)
	}
	if got := ratio(runs(10), runs(20, 60), wall); got != 0.5 { // who ran once
		t.Errorf("got %v, want 0.5", got)
	}
	if got := ratio(runs(10, 0, 30), runs(20, 20, 60), wall); got != 0.5 { // who hung once
		t.Errorf("got %v, want 0.5", got)
	}
	if got := difference(runs(0, 50, 30), runs(20, 20, 20)); len(got) != 2 || wall(got[0]) != 0.03 || wall(got[1]) != 0.01 {
		t.Errorf("got %v", got)
	}
}

func TestTable(t *testing.T) {
	got := table([]string{"", "a"}, [][]string{{"x", "1"}, {"missing"}})
	if want := "|  | a |\n| --- | ---: |\n| x | 1 |\n| missing |  |\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Who is missing, or sampled, is told as such and not compared as if not.
func TestCorpusTable(t *testing.T) {
	c := corpora(true)[1]
	fast, slow := sample{time.Second, time.Second, 1 << 40, 0}, sample{4 * time.Second, 2 * time.Second, 1, 0}
	got := c.table([]competitor{
		{name: "ours"},
		{name: rival, version: "1.2"},
		{name: "sleepy", sample: 10},
		{name: "absent", missing: "not here: `apt-get install absent`"},
	}, map[string][]sample{"ours": {fast}, rival: {slow}, "sleepy": {slow}})
	for _, want := range []string{
		"| ours | 1.00 | 1.00 | 1099512 | 1 | 0.25 | 0.50 |", "| mkbrr 1.2 | 4.00 |", "| sleepy (10 files, scaled) |", "| absent | not here: `apt-get install absent` |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// A result replaces the one before and nothing else; a document without a
// place for it is left alone.
func TestReplaceResult(t *testing.T) {
	name := filepath.Join(t.TempDir(), "doc.md")
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func() string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	write("before\n" + resultBegins + "old\n" + resultEnds + "after\n")
	for _, text := range []string{"one", "two"} {
		if err := replaceResult(name, text); err != nil {
			t.Fatal(err)
		}
		if got, want := read(), "before\n"+resultBegins+"\n"+text+"\n\n"+resultEnds+"after\n"; got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	write("by hand\n")
	if err := replaceResult(name, "three"); err == nil || read() != "by hand\n" {
		t.Errorf("%v, %q", err, read())
	}
}

// The corpora are the same everywhere: their bytes are written down here. Half
// a corpus is made again, a complete one is not.
func TestCorpus(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "S")
	c := corpus{letter: "S", what: "twenty", count: 20, size: between(1, 5000), perDir: 4}
	made := func() string {
		if _, err := c.make(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		h, n := sha1.New(), 0
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			rel, _ := filepath.Rel(dir, path)
			fmt.Fprintf(h, "%s\n%d\n%s", filepath.ToSlash(rel), len(data), data)
			n++
			return err
		})
		if err != nil || n != c.count {
			t.Fatalf("%d files, %v", n, err)
		}
		return fmt.Sprintf("%x", h.Sum(nil))
	}
	const want = "dec3af8b5aa1a939d2424eb015cb67c82d9f1258"
	if got := made(); got != want {
		t.Fatalf("got %s, want %s: figures are no longer comparable with those before", got, want)
	}
	one := filepath.Join(dir, filepath.FromSlash(c.files()[7].name))
	if err := os.WriteFile(one, []byte("touched"), 0o644); err != nil {
		t.Fatal(err)
	}
	if made() == want {
		t.Error("a complete corpus was made again")
	}
	if err := os.Remove(dir + ".complete"); err != nil {
		t.Fatal(err)
	}
	if got := made(); got != want {
		t.Errorf("made again: %s, want %s", got, want)
	}
}

// Everybody runs in every round, except who is slow or stands for more.
func TestAlternate(t *testing.T) {
	var order []string
	runs := func(name string, scale float64) contender {
		return contender{name: name, scale: scale, prepare: func(ctx context.Context) (*exec.Cmd, error) {
			order = append(order, name)
			return exec.CommandContext(ctx, "true"), nil
		}}
	}
	l := &lab{options: options{rounds: 2, patience: time.Minute}}
	got, err := l.alternate(t.Context(), "test", []contender{runs("a", 0), runs("b", 1e9)})
	if err != nil || strings.Join(order, "") != "abba" {
		t.Fatalf("%v, %v", order, err)
	}
	if len(got["a"]) != 2 || len(got["b"]) != 2 || got["b"][0].wall < 1000*time.Second {
		t.Errorf("%+v", got)
	}
	broken := contender{name: "c", prepare: func(ctx context.Context) (*exec.Cmd, error) {
		return exec.CommandContext(ctx, "sh", "-c", "echo why >&2; exit 3"), nil
	}}
	if _, err := l.alternate(t.Context(), "test", []contender{broken}); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("a failure is told as %v", err)
	}
}

// A peer that hangs costs its own row, not everybody's: it is stopped with all
// that it started.
func TestHanging(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	l := &lab{options: options{rounds: 1, patience: 300 * time.Millisecond}}
	got, err := l.alternate(t.Context(), "test", []contender{
		{name: "hangs", prepare: func(ctx context.Context) (*exec.Cmd, error) {
			return exec.CommandContext(ctx, "sh", "-c", "sleep 1000 & echo $! >"+pid+"; wait"), nil
		}},
		{name: "ends", prepare: func(ctx context.Context) (*exec.Cmd, error) { return exec.CommandContext(ctx, "true"), nil }},
	})
	if err != nil || len(got["hangs"]) != 0 || len(got["ends"]) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	child, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 10*time.Second, "its child has ended", func() error {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(child)) + "/stat")
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			return fmt.Errorf("%s", stat)
		}
		return nil
	})
}

// The whole program on small corpora: every table has its rows, everything it
// made is gone, and what else stands in the directory is not.
func TestQuickRun(t *testing.T) {
	testkit.Need(t, "git", "git")
	testkit.Need(t, "mktorrent", "mktorrent")
	testkit.Need(t, "transmission-create", "transmission-cli")
	t.Setenv("PATH", withoutMkbrr())
	dir := t.TempDir()
	doc := filepath.Join(dir, "doc.md")
	if err := os.WriteFile(doc, []byte(resultBegins+resultEnds), 0o644); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), options{dir: dir, write: doc, mkbrr: "nowhere/mkbrr", rounds: 1, quick: true, patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"### One core's limits", "### A: ", "### B: ", "### C: ", "### D: ", "### Nothing changed in 2,000 files",
		"### 1,000 files for the first time", "### Ten changed files among 1,000", "### 500 entries", "| mktorrent 1", "| torrent_tree | ", "| mkbrr | not here: `.ci/fetch-mkbrr` |",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), dir) {
		t.Errorf("names a place of this machine:\n%s", text)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// withoutMkbrr is the PATH with the folders left out where one may be.
func withoutMkbrr() string {
	var kept []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, rival)); err != nil {
			kept = append(kept, dir)
		}
	}
	return strings.Join(kept, string(filepath.ListSeparator))
}

// The document has a place for the result, and speaks of what is there.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), resultBegins)
	if !found || !strings.Contains(rest, resultEnds) {
		t.Error("no place for the result")
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil || !strings.Contains(string(makefile), "\nbench:") {
		t.Errorf("make bench: %v", err)
	}
	for _, command := range []string{"make bench ", "go run ./internal/bench --write docs/benchmarks.md", "go run ./internal/bench --quick"} {
		if !strings.Contains(string(text), "\n"+command) {
			t.Errorf("no %q", command)
		}
	}
	for _, script := range []string{".ci/install-test-tools", ".ci/fetch-mkbrr"} {
		if _, err := os.Stat("../../" + script); err != nil || !strings.Contains(string(text), "`"+script+"`") {
			t.Errorf("%s: %v", script, err)
		}
	}
}
