package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"seedtree/internal/testkit"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"torrent_tree": main})
}

// The scripts drive the command as a person would and have what it writes
// read by Transmission.
func TestScripts(t *testing.T) {
	if _, err := exec.LookPath("transmission-show"); err != nil {
		t.Fatal("transmission-show is missing: apt-get install -y transmission-cli")
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"age":      age,
			"exitcode": exitCode,
		},
		RequireExplicitExec: true,
	})
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		args string
		want string // the options as text; "": an error
	}{
		{"s o a", "s o a"},
		{"-v s o a", "s o a v"},
		{"s o a -v", "s o a v"},
		{"s -vu o a", "s o a v u"},
		{"-vquf s o a", "s o a q f"},
		{"-q s o a more", "s o a v"},
		{"-fu s o a", "s o a u"},
		{"--ignore x --ignore=y --ign z s o a", "s o a x,y,z"},
		{"--ignore -v s o a", "s o a -v"},
		{"-- -s o a", "-s o a"},
		{"s - a", "s - a"},
		{"s o", ""},
		{"s o a b c", ""},
		{"-x s o a", ""},
		{"-vx s o a", ""},
		{"--ignored x s o a", ""},
		{"--verbose s o a", ""},
		{"s o a --ignore", ""},
		{"", ""},
	} {
		o, err := parse(strings.Fields(c.args))
		if (err != nil) != (c.want == "") || err == nil && describe(o) != c.want {
			t.Errorf("%q: got %q, %v; want %q", c.args, describe(o), err, c.want)
		}
	}
}

func describe(o options) string {
	out := []string{o.src, o.out, o.announce}
	if o.verbose {
		out = append(out, "v")
	}
	if o.quiet {
		out = append(out, "q")
	}
	out = append(out, [...]string{"", "u", "f"}[o.replace], strings.Join(o.ignore, ","))
	return strings.Join(slices.DeleteFunc(out, func(s string) bool { return s == "" }), " ")
}

func TestNothingIsOverwritten(t *testing.T) {
	if a, b := place("d/a.txt"), place("d/a.jpg"); a == b {
		t.Errorf("two files, one torrent: %s", a)
	}
	if a, b := place("a"), place("a.torrent/b"); a != "a.torrent" || strings.HasPrefix(b, a+"/") {
		t.Errorf("%s stands where %s needs a directory", a, b)
	}
	if got := place("x.torrent.torrent/.torrent/y.torrent"); got != "x.torrent%2Etorrent/%2Etorrent/y.torrent.torrent" {
		t.Errorf("got %s", got)
	}
}

// The end of the context, which is what Ctrl-C becomes, ends the work on a
// file that would take minutes.
func TestInterrupted(t *testing.T) {
	src, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	huge := filepath.Join(src, "huge")
	testkit.Speckled(t, huge, 128<<30, 16<<20)
	if err := os.Chtimes(huge, time.Time{}, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stderr strings.Builder
	if code := run(ctx, []string{"-v", src, out, "http://t/a"}, onWrite(cancel), &stderr); code != exitInterrupted {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 0 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
}

type onWrite func()

func (f onWrite) Write(p []byte) (int, error) { f(); return len(p), nil }

// age sets the time of files so many hours back: age 2 file...
func age(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: age hours file...")
	}
	hours, err := time.ParseDuration(args[0] + "h")
	ts.Check(err)
	for _, name := range args[1:] {
		then := time.Now().Add(-hours)
		ts.Check(os.Chtimes(ts.MkAbs(name), then, then))
	}
}

// exitCode runs a command that has to end with a certain exit code:
// exitcode 7 torrent_tree ...
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode code command...")
	}
	var exit *exec.ExitError
	err := ts.Exec(args[1], args[2:]...)
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("ended with %v, want exit code %s", err, args[0])
	}
}
