package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"seedtree/gitsource"
	"seedtree/manifests"
)

// gitVerb as the first argument makes this program a process that does one thing
// with a catalog, to be measured from outside.
const gitVerb = "catalog"

// The rows of a table about a catalog.
const (
	firstFetch = "first fetch"
	noNews     = "pass without news"
	tenChanges = "pass after 10 changes"
	everyEntry = "every entry read"
	byGit      = ", git"
)

// catalogs compares what seedtree does with the git repository of a large catalog
// with the git program on the same repository.
func (l *lab) catalogs(ctx context.Context) (string, error) {
	sizes := l.entries
	if l.quick {
		sizes = "500"
	}
	text := "## git at scale\n\n"
	for field := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(field)
		if err != nil {
			return "", fmt.Errorf("--entries: %w", err)
		}
		section, err := l.catalog(ctx, n)
		if err != nil {
			return "", fmt.Errorf("a catalog of %d entries: %w", n, err)
		}
		text += section
	}
	return text, nil
}

func (l *lab) catalog(ctx context.Context, n int) (string, error) {
	dir, err := l.empty("catalog")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	l.say("a catalog of %d entries", n)
	c := catalog{dir: dir, entries: n}
	if err := c.begin(ctx); err != nil {
		return "", err
	}
	got, err := l.alternate(ctx, comma(n)+" entries", c.contenders())
	if err != nil {
		return "", err
	}
	var rows [][]string
	for _, name := range []string{firstFetch, noNews, tenChanges, everyEntry} {
		a, b := got[name], got[name+byGit]
		rows = append(rows, []string{
			name, milliseconds(a, wall), milliseconds(a, cpu), peakText(a), milliseconds(b, wall), milliseconds(b, cpu), peakText(b),
		})
	}
	return fmt.Sprintf("### %s entries\n\n", comma(n)) +
		table([]string{"", "wall ms", "CPU ms", "peak MB", "git: wall ms", "CPU ms", "peak MB"}, rows), nil
}

// catalog is one that is measured. Each side has a remote of its own, with the same
// commits, and what it keeps of it.
type catalog struct {
	dir            string
	entries        int
	rounds, copies int
}

func (c *catalog) at(name string) string { return filepath.Join(c.dir, name) }

func (c *catalog) nowhere() string {
	c.copies++
	return c.at(fmt.Sprint("copy", c.copies))
}

// begin makes the remotes and the first copies of them.
func (c *catalog) begin(ctx context.Context) error {
	for _, repo := range []string{"ours.git", "theirs.git"} {
		if err := publish(ctx, c.at(repo), c.entries, 0); err != nil {
			return err
		}
	}
	for _, cmd := range []*exec.Cmd{
		gitCommand(ctx, c.dir, "clone", "--quiet", "--bare", "--no-local", "theirs.git", "clone.git"),
		c.self(ctx, "list", c.at("mirror")),
	} {
		if says, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", cmd.Args, err, says)
		}
	}
	return nil
}

func (c *catalog) pull(ctx context.Context) *exec.Cmd {
	return gitCommand(ctx, c.at("clone.git"), "fetch", "--quiet", c.at("theirs.git"), "+main:main")
}

// self is a process of ours.
func (c *catalog) self(ctx context.Context, what, mirror string) *exec.Cmd {
	return exec.CommandContext(ctx, os.Args[0], gitVerb, what, c.at("ours.git"), mirror)
}

// change commits ten changes to a remote.
func (c *catalog) change(ctx context.Context, repo string) error {
	c.rounds++
	return publish(ctx, c.at(repo), c.entries, c.rounds)
}

func (c *catalog) contenders() []contender {
	type prepare = func(context.Context) (*exec.Cmd, error)
	just := func(make func(context.Context) *exec.Cmd) prepare {
		return func(ctx context.Context) (*exec.Cmd, error) { return make(ctx), nil }
	}
	pass := func(ctx context.Context) *exec.Cmd { return c.self(ctx, "list", c.at("mirror")) }
	return []contender{
		{name: firstFetch, prepare: just(func(ctx context.Context) *exec.Cmd { return c.self(ctx, "fetch", c.nowhere()) })},
		{name: firstFetch + byGit, prepare: just(func(ctx context.Context) *exec.Cmd {
			return gitCommand(ctx, c.dir, "clone", "--quiet", "--bare", "--no-local", "theirs.git", c.nowhere())
		})},
		{name: noNews, prepare: just(pass)},
		{name: noNews + byGit, prepare: just(c.pull)},
		{name: tenChanges, prepare: func(ctx context.Context) (*exec.Cmd, error) { return pass(ctx), c.change(ctx, "ours.git") }},
		{name: tenChanges + byGit, prepare: func(ctx context.Context) (*exec.Cmd, error) {
			return c.pull(ctx), c.change(ctx, "theirs.git")
		}},
		{name: everyEntry, prepare: func(ctx context.Context) (*exec.Cmd, error) {
			return pass(ctx), os.RemoveAll(c.at("mirror/listing.cache"))
		}},
		{name: everyEntry + byGit, prepare: just(func(ctx context.Context) *exec.Cmd {
			cmd := exec.CommandContext(ctx, "sh", "-c", "git ls-tree -r main | cut -c13-52 | git cat-file --batch")
			cmd.Dir = c.at("clone.git")
			return cmd
		})},
	}
}

func milliseconds(s []sample, what func(sample) float64) string {
	return comma(int(1000*medianOf(s, what) + 0.5))
}

// catalogCommand is the life of a process that fetches, or fetches and lists.
func catalogCommand(ctx context.Context, args []string) (err error) {
	if len(args) != 3 {
		return fmt.Errorf("want: %s fetch|list REPOSITORY MIRROR", gitVerb)
	}
	src, err := gitsource.Open(gitsource.Config{URLs: []string{args[1]}, Dir: args[2]})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	head, err := src.Fetch(ctx)
	if err != nil || args[0] == "fetch" {
		return err
	}
	_, err = head.Listing(ctx)
	return err
}

// publish makes a repository with n entries, or changes ten of them in round 1 and
// on. The same number makes the same bytes on every machine.
func publish(ctx context.Context, repo string, n, round int) (err error) {
	if round == 0 {
		if err := gitsource.InitBare(repo); err != nil {
			return err
		}
	}
	src, err := gitsource.Open(gitsource.Config{URLs: []string{repo}, Dir: repo + ".writer"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	var head *gitsource.Revision
	step := 1
	if round > 0 {
		step = max(1, n/10)
		if head, err = src.Fetch(ctx); err != nil {
			return err
		}
	}
	batch, err := src.Batch(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, batch.Close()) }()
	c := gitsource.Commit{Message: fmt.Sprint("Round ", round)}
	for i := 0; i < n; i += step {
		name, data := synthetic(i, round)
		id, err := batch.Blob(data)
		if err != nil {
			return err
		}
		c.Put = append(c.Put, gitsource.File{Name: name, Blob: id})
	}
	next, err := batch.Commit(ctx, head, c)
	if err != nil {
		return err
	}
	return src.Push(ctx, next)
}

// synthetic is the i-th .torrent of a catalog: fifty to a directory, a hundred
// directories in one, 1.3 KB on average.
func synthetic(i, round int) (name string, data []byte) {
	rnd := rand.New(rand.NewPCG(uint64(i), uint64(round)))
	m := manifests.Metainfo{
		Tree: "photos", Path: manifests.Path(fmt.Sprintf("y%03d/m%02d/IMG_%07d.jpg", i/5000, i/50%100, i)),
		Length: int64(1+rnd.IntN(108)) * 256 << 10, ModTime: time.Unix(1_700_000_000+int64(i+round), 12345).UTC(),
	}
	m.PieceLength = manifests.PieceLength(m.Length)
	m.Pieces = make([]byte, 20*m.NumPieces())
	for j := range m.Pieces {
		m.Pieces[j] = byte(rnd.Uint32())
	}
	return manifests.CatalogName(m.Entry(false)), m.Encode()
}
