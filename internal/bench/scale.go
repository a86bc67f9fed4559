package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The contenders of the scale tables.
const (
	unchanged   = "seedtree build, nothing changed"
	find        = "find DIR -printf '%s %T@ %p\\n'"
	firstBuild  = "seedtree build, the first"
	firstDryRun = "seedtree build --dry-run, the same without git"
	fastImport  = "git fast-import of the same blobs"
	fewChanged  = "seedtree build, 10 files changed"
)

// scale measures rebuilds and commits of very many small files.
func (l *lab) scale(ctx context.Context) (string, error) {
	c := scaleCorpus(l.files, l.quick)
	dir := filepath.Join(l.dir, c.letter)
	l.say("corpus %s: %s", c.letter, c.what)
	files, err := c.make(ctx, dir)
	if err != nil {
		return "", fmt.Errorf("corpus %s: %w", c.letter, err)
	}
	rebuild, err := l.rebuild(ctx, dir, len(files))
	if err != nil {
		return "", err
	}
	commit, err := l.commits(ctx, c, dir, files[:len(files)/2])
	return rebuild + commit, err
}

// rebuild compares a build that finds nothing to do with a walk that stats.
func (l *lab) rebuild(ctx context.Context, dir string, count int) (string, error) {
	s, err := l.builtSite(ctx, dir)
	if err != nil {
		return "", err
	}
	got, err := l.alternate(ctx, "rebuild", []contender{
		{name: unchanged, prepare: func(ctx context.Context) (*exec.Cmd, error) { return s.command(ctx, nil, "build"), nil }},
		{name: find, prepare: func(ctx context.Context) (*exec.Cmd, error) {
			return exec.CommandContext(ctx, "find", dir, "-printf", `%s %T@ %p\n`), nil
		}},
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("### Nothing changed in %s files\n\n", comma(count)) +
		scaleTable(got, "find", find, unchanged, find), nil
}

// builtSite is a site whose tree has been built, and looked at once since.
func (l *lab) builtSite(ctx context.Context, tree string) (*site, error) {
	dir, err := l.empty("site")
	if err != nil {
		return nil, err
	}
	s, err := l.newSite(ctx, tree, dir)
	if err != nil {
		return nil, err
	}
	if says, err := s.command(ctx, nil, "build").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the first build: %w\n%s", err, says)
	}
	return s, s.warmUp(ctx)
}

// warmUp builds once more after a build that pushed something: the next one
// looks that over and caches the listing, which is no part of an ordinary night.
func (s *site) warmUp(ctx context.Context) error {
	if says, err := s.command(ctx, nil, "build").CombinedOutput(); err != nil {
		return fmt.Errorf("the build to warm up: %w\n%s", err, says)
	}
	return nil
}

// commits compares first builds with git fast-import, and measures a build
// with ten changes.
func (l *lab) commits(ctx context.Context, c corpus, dir string, files []file) (string, error) {
	half := filepath.Join(dir, "half0")
	s, err := l.builtSite(ctx, half)
	if err != nil {
		return "", err
	}
	stream, err := l.exported(ctx, s)
	if err != nil {
		return "", err
	}
	fresh := func(args ...string) func(ctx context.Context) (*exec.Cmd, error) {
		return func(ctx context.Context) (*exec.Cmd, error) {
			out, err := l.empty("first")
			if err != nil {
				return nil, err
			}
			one, err := l.newSite(ctx, half, out)
			if err != nil {
				return nil, err
			}
			return one.command(ctx, nil, args...), nil
		}
	}
	round := byte(0)
	got, err := l.alternate(ctx, "commit", []contender{
		{name: firstBuild, prepare: fresh("build")},
		{name: firstDryRun, prepare: fresh("build", "--dry-run")},
		{name: fastImport, prepare: func(ctx context.Context) (*exec.Cmd, error) { return l.fastImport(ctx, stream) }},
		{name: unchanged, prepare: func(ctx context.Context) (*exec.Cmd, error) { return s.command(ctx, nil, "build"), nil }},
		{name: fewChanged, prepare: func(ctx context.Context) (*exec.Cmd, error) {
			round++
			return s.command(ctx, nil, "build"), touch(dir, files, round)
		}, after: func() error { return s.warmUp(ctx) }},
	})
	if err != nil {
		return "", err
	}
	n := comma(len(files))
	commit := difference(got[firstBuild], got[firstDryRun])
	return fmt.Sprintf("### %s files for the first time\n\n", n) +
		scaleTable(got, "fast-import", fastImport, firstBuild, firstDryRun, fastImport) +
		fmt.Sprintf("The commit and the push alone (first less second line): CPU %s s, %s of git fast-import's.\n\n",
			seconds(medianOf(commit, cpu)), times(ratio(commit, got[fastImport], cpu))) +
		fmt.Sprintf("### Ten changed files among %s\n\n", n) +
		scaleTable(got, "nothing changed", unchanged, unchanged, fewChanged) +
		fmt.Sprintf("Beyond the scan: CPU %s s.\n\n", seconds(medianOf(difference(got[fewChanged], got[unchanged]), cpu))), nil
}

func scaleTable(got map[string][]sample, short, base string, names ...string) string {
	var rows [][]string
	for _, name := range names {
		s := got[name]
		rows = append(rows, []string{
			"`" + strings.ReplaceAll(name, ", ", "`, "), seconds(medianOf(s, wall)), seconds(medianOf(s, cpu)), peakText(s),
			times(ratio(s, got[base], cpu)),
		})
		if !strings.Contains(name, ", ") {
			rows[len(rows)-1][0] += "`"
		}
	}
	return table([]string{"", "wall s", "CPU s", "peak MB", "CPU / " + short}, rows)
}

// exported is a catalog's whole history as git fast-import reads it.
func (l *lab) exported(ctx context.Context, s *site) (string, error) {
	name := s.dir + ".export"
	f, err := os.Create(name)
	if err != nil {
		return "", err
	}
	export := gitCommand(ctx, s.catalog(), "fast-export", "--all")
	export.Stdout, export.Stderr = f, os.Stderr
	return name, errors.Join(export.Run(), f.Close())
}

func (l *lab) fastImport(ctx context.Context, stream string) (*exec.Cmd, error) {
	out, err := l.empty("import")
	if err != nil {
		return nil, err
	}
	if says, err := gitCommand(ctx, out, "init", "--quiet", "--bare").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("git init: %w\n%s", err, says)
	}
	f, err := os.Open(stream)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = f.Close() })
	c := gitCommand(ctx, out, "fast-import", "--quiet")
	c.Stdin = f
	return c, nil
}

// touch gives ten files, far from each other, other bytes of the same number.
// That the corpus is then no longer what rule 1 makes is of no consequence.
func touch(dir string, files []file, round byte) error {
	for i := range 10 {
		f := files[i*len(files)/10]
		file, err := os.OpenFile(filepath.Join(dir, filepath.FromSlash(f.name)), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		var one [1]byte
		_, err = file.ReadAt(one[:], 0)
		if err == nil || errors.Is(err, io.EOF) {
			one[0] += round
			_, err = file.WriteAt(one[:], 0)
		}
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
		when := time.Now().Add(-time.Hour) // long enough ago not to be looked at twice
		if err := os.Chtimes(file.Name(), when, when); err != nil {
			return err
		}
	}
	return nil
}
