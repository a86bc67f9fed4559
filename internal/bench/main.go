// Command bench measures seedtree's builder against other makers of torrents,
// against find and git fast-import, and against the machine's own limits, all
// in one alternating run. It prints Markdown; --write replaces the marked part
// of a document with it. `make bench` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options is a command line.
type options struct {
	dir, write, mkbrr string
	only, entries     string
	rounds, files     int
	patience          time.Duration
	keep, quick       bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == gitVerb {
		if err := catalogCommand(ctx, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.StringVar(&o.dir, "dir", os.TempDir(), "where a folder seedtree-bench with files to measure with is made; 13 GB")
	flag.StringVar(&o.write, "write", "", "a Markdown `file` whose marked part becomes the result")
	flag.StringVar(&o.mkbrr, "mkbrr", ".cache/mkbrr", "the mkbrr to measure against, if there is one; else it is looked for in PATH")
	flag.StringVar(&o.only, "only", "", "measure these only: letters of corpora, S for scale and G for git at scale, such as \"AB\"")
	flag.StringVar(&o.entries, "entries", "20000,100000", "sizes of the catalogs for git at scale; 1000000 takes 15 minutes and 15 GB")
	flag.IntVar(&o.files, "files", 200_000, "size of the scale corpus, half of which is built for the first time; 800000 shows the memory of 400,000")
	flag.IntVar(&o.rounds, "rounds", 5, "how often everything runs; medians are reported")
	flag.DurationVar(&o.patience, "patience", 5*time.Minute, "how long one run may take before it counts as hanging and is left out")
	flag.BoolVar(&o.keep, "keep", false, "keep the files to measure with: the next run finds them")
	flag.BoolVar(&o.quick, "quick", false, "small corpora: shows that it works, says little about speed")
	flag.Parse()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if flag.NArg() > 0 || o.rounds < 1 || !o.quick && o.files < 2000 {
		return errors.New("want no arguments, at least one round and 2000 files; -h lists the flags")
	}
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	if !o.keep {
		defer func() { _ = os.RemoveAll(l.dir) }()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "`%s`, %d rounds.\n\n%s\n", strings.Join(append([]string{"go run ./internal/bench"}, shownFlags()...), " "),
		o.rounds, machine())
	text.WriteString(l.limits())
	for _, c := range corpora(o.quick) {
		if o.only != "" && !strings.Contains(o.only, c.letter) {
			continue
		}
		section, err := l.compare(ctx, c)
		if err != nil {
			return err
		}
		text.WriteString(section)
	}
	if o.only == "" || strings.Contains(o.only, "S") {
		section, err := l.scale(ctx)
		if err != nil {
			return err
		}
		text.WriteString(section)
	}
	if o.only == "" || strings.Contains(o.only, "G") {
		section, err := l.catalogs(ctx)
		if err != nil {
			return err
		}
		text.WriteString(section)
	}
	if o.write != "" {
		return replaceResult(o.write, text.String())
	}
	_, err = os.Stdout.WriteString(text.String())
	return err
}

// shownFlags are the flags given, without those that only name places here.
func shownFlags() []string {
	var all []string
	flag.Visit(func(f *flag.Flag) {
		if f.Name != "dir" && f.Name != "mkbrr" {
			all = append(all, fmt.Sprintf("--%s=%s", f.Name, f.Value))
		}
	})
	return all
}

// lab is where everything is measured.
type lab struct {
	options
	bin   string // our programs
	peers []competitor
	fresh int // directories handed out so far
}

// newLab makes the scratch directory and builds our programs, as released.
func newLab(ctx context.Context, o options) (*lab, error) {
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return nil, err
	}
	o.dir = filepath.Join(dir, "seedtree-bench") // a name of our own, which we may remove
	l := &lab{options: o, bin: filepath.Join(o.dir, "bin")}
	if err := os.MkdirAll(l.bin, 0o755); err != nil {
		return nil, err
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("go list -m: %w: run this inside seedtree's repository", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", l.bin, "./cmd/...")
	build.Dir, build.Env = strings.TrimSpace(string(root)), append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build the programs to measure: %w", err)
	}
	l.peers = l.competitors(ctx)
	return l, nil
}

// empty returns a directory that nothing ever was in: creating files right
// after deleting many in the same place can be many times slower.
func (l *lab) empty(purpose string) (string, error) {
	l.fresh++
	dir := filepath.Join(l.dir, "out", fmt.Sprintf("%d-%d-%s", os.Getpid(), l.fresh, purpose))
	return dir, os.MkdirAll(dir, 0o755)
}

func (l *lab) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
