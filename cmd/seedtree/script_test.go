package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptCommands are what the scripts know beside testscript's own commands.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"code":      cmdCode,
		"mode":      cmdMode,
		"cmp-names": cmdNames,
	}
}

// cmdCode runs a program and wants one particular exit code:
// code 6 seedtree build
func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N program arguments...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cmdMode wants a file's permissions: mode 600 file
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode OCTAL file")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// cmdNames compares the modes and names that `git ls-tree -r` wrote with a
// file: cmp-names stdout file
func cmdNames(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cmp-names stdout file")
	}
	var got strings.Builder
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		mode, rest, _ := strings.Cut(line, " ")
		_, name, _ := strings.Cut(rest, "\t")
		got.WriteString(mode + " " + name)
	}
	if want := ts.ReadFile(args[1]); got.String() != want {
		ts.Fatalf("got:\n%swant:\n%s", got.String(), want)
	}
}
