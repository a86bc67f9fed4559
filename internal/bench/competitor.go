package main

import (
	"bytes"
	"context"
	"fmt"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"seedtree/internal/pieces"
	"seedtree/manifests"
)

// competitor makes one torrent per file.
type competitor struct {
	name    string
	version string // what it says itself; ours are those of this repository
	missing string // why it does not take part, and what would help; "" when it does
	sample  int    // runs on so many files only, when there are more; 0: on all
	command func(context.Context, *job) (*exec.Cmd, error)
}

// job is one corpus to make torrents of.
type job struct {
	corpus
	dir   string // of the corpus
	out   string // an empty directory
	files []file // ours take dir instead
}

func (j *job) path(i int) string { return filepath.Join(j.dir, filepath.FromSlash(j.files[i].name)) }

func (j *job) torrent(i int) string { return filepath.Join(j.out, strconv.Itoa(i)+".torrent") }

// pieceLength is the same for all files of a corpus, and for all competitors.
func (j *job) pieceLength() int64 { return manifests.PieceLength(j.files[0].size) }

// rival is the one that all others are compared with.
const rival = "mkbrr"

// announce is a tracker for those that insist on one. Nobody calls it.
const announce = "http://tracker.example/announce"

// competitors lists all, those that are missing too.
func (l *lab) competitors(ctx context.Context) []competitor {
	ours := func(name string, env ...string) competitor {
		return competitor{name: name, command: func(ctx context.Context, j *job) (*exec.Cmd, error) { return l.seedtree(ctx, j, env) }}
	}
	all := []competitor{ours("seedtree"), ours("seedtree, crypto/sha1", pieces.Variable+"=plain")}
	if pieces.CheckVariable("shani") == nil {
		all = append(all, ours("seedtree, two SHA-NI streams", pieces.Variable+"=shani"))
	}
	return append(
		all,
		competitor{name: "torrent_tree", command: func(ctx context.Context, j *job) (*exec.Cmd, error) {
			return exec.CommandContext(ctx, filepath.Join(l.bin, "torrent_tree"), "-q", j.dir, j.out, announce), nil
		}},
		foreign(ctx, competitor{name: rival, command: l.mkbrrCommand, missing: ".ci/fetch-mkbrr"}, l.mkbrrPath(), "version"),
		foreign(ctx, competitor{name: "mktorrent", command: mktorrent, sample: 1000, missing: "apt-get install mktorrent"}, "mktorrent", "-h"),
		foreign(ctx, competitor{name: "transmission-create", command: transmissionCreate, sample: 10, missing: "apt-get install transmission-cli"},
			"transmission-create", "--version"),
		competitor{name: "torrenttools", missing: "not measured: Debian has no package of it"},
	)
}

var versionText = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

// foreign asks a program for its version, which shows that it is there;
// c.missing says how to get it.
func foreign(ctx context.Context, c competitor, program, flag string) competitor {
	path, err := exec.LookPath(program)
	if err != nil {
		c.missing = "not here: `" + c.missing + "`"
		return c
	}
	c.missing = ""
	says, _ := exec.CommandContext(ctx, path, flag).CombinedOutput() // the help of some is a failure
	c.version = versionText.FindString(string(says))
	return c
}

func (l *lab) mkbrrPath() string {
	if abs, err := filepath.Abs(l.mkbrr); err == nil {
		if _, err := os.Stat(abs); err == nil {
			return abs
		}
	}
	return "mkbrr"
}

// seedtree builds into a catalog and a state of its own. Where the commit is
// not measured it is left out: the rest is scan, hashes and metainfo.
func (l *lab) seedtree(ctx context.Context, j *job, env []string) (*exec.Cmd, error) {
	s, err := l.newSite(ctx, j.dir, j.out)
	if err != nil {
		return nil, err
	}
	args := []string{"build"}
	if !j.commit {
		args = append(args, "--dry-run")
	}
	return s.command(ctx, env, args...), nil
}

// site is main with one tree, and a catalog on the same disk.
type site struct{ program, dir string }

func (l *lab) newSite(ctx context.Context, tree, dir string) (*site, error) {
	s := &site{filepath.Join(l.bin, "seedtree"), dir}
	init := s.command(ctx, nil, "init", "--site", "bench", "--catalog", s.catalog(), "--tree", "photos="+tree,
		"--state", filepath.Join(dir, "state"))
	if says, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("seedtree init: %w\n%s", err, says)
	}
	return s, nil
}

func (s *site) catalog() string { return filepath.Join(s.dir, "catalog.git") }

func (s *site) command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, s.program, append(args, "--config", filepath.Join(s.dir, "config.yaml"))...)
	c.Env = append(append(os.Environ(), "HOME="+s.dir), env...)
	return c
}

// mkbrrCommand hands many files over at once: that is its fastest way.
func (l *lab) mkbrrCommand(ctx context.Context, j *job) (*exec.Cmd, error) {
	power := bits.Len64(uint64(j.pieceLength())) - 1
	if len(j.files) == 1 {
		return exec.CommandContext(ctx, l.mkbrrPath(), "create", "-q", "--no-date", "-l", strconv.Itoa(power),
			"-o", j.torrent(0), j.path(0)), nil
	}
	var batch bytes.Buffer
	batch.WriteString("version: 1\njobs:\n")
	for i := range j.files {
		fmt.Fprintf(&batch, "  - output: %q\n    path: %q\n    piece_length: %d\n    private: true\n    no_date: true\n",
			j.torrent(i), j.path(i), power)
	}
	list := j.out + ".yaml"
	if err := os.WriteFile(list, batch.Bytes(), 0o644); err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, l.mkbrrPath(), "create", "-q", "-b", list), nil
}

// mktorrent takes one file, and all cores for it; of many files it runs as
// many at once as there are cores.
func mktorrent(ctx context.Context, j *job) (*exec.Cmd, error) {
	power := bits.Len64(uint64(j.pieceLength())) - 1
	return eachFile(ctx, j, "mktorrent", "-p", "-d", "-a", announce, "-l", strconv.Itoa(power), "-o"), nil
}

func transmissionCreate(ctx context.Context, j *job) (*exec.Cmd, error) {
	return eachFile(ctx, j, "transmission-create", "-p", "-t", announce, "-s", strconv.FormatInt(j.pieceLength()>>10, 10), "-o"), nil
}

// eachFile runs a program once per file, with the .torrent and the file as its
// last arguments.
func eachFile(ctx context.Context, j *job, argv ...string) *exec.Cmd {
	var list bytes.Buffer
	for i := range j.files {
		list.WriteString(j.torrent(i) + "\x00" + j.path(i) + "\x00")
	}
	c := exec.CommandContext(ctx, "xargs", append([]string{"-0", "-n", "2", "-P", strconv.Itoa(runtime.NumCPU())}, argv...)...)
	c.Stdin = strings.NewReader(list.String())
	return c
}

// compare lets everybody make the torrents of one corpus.
func (l *lab) compare(ctx context.Context, c corpus) (string, error) {
	dir := filepath.Join(l.dir, c.letter)
	l.say("corpus %s: %s", c.letter, c.what)
	files, err := c.make(ctx, dir)
	if err != nil {
		return "", fmt.Errorf("corpus %s: %w", c.letter, err)
	}
	if err := warm(dir); err != nil {
		return "", err
	}
	var all []contender
	for _, p := range l.peers {
		if p.missing == "" {
			all = append(all, l.enter(p, job{corpus: c, dir: dir, files: files}))
		}
	}
	got, err := l.alternate(ctx, "corpus "+c.letter, all)
	if err != nil {
		return "", err
	}
	return c.table(l.peers, got), nil
}

// enter lets a competitor take part, with a fresh directory each time.
func (l *lab) enter(p competitor, j job) contender {
	e := contender{name: p.name}
	if p.sample > 0 && p.sample < len(j.files) {
		e.scale = float64(len(j.files)) / float64(p.sample)
		j.files = j.files[:p.sample]
	}
	e.prepare = func(ctx context.Context) (*exec.Cmd, error) {
		out, err := l.empty(j.letter)
		if err != nil {
			return nil, err
		}
		one := j
		one.out = out
		return p.command(ctx, &one)
	}
	return e
}
