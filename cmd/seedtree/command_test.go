package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"seedtree/apply"
	"seedtree/builder"
	"seedtree/gitsource"
	"seedtree/internal/agent"
)

// Every verb explains itself: a sentence, an example that names it, and only
// flags with a help text.
func TestVerbsExplainThemselves(t *testing.T) {
	var names []string
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		if c.RunE != nil {
			names = append(names, c.Name())
			if c.Short == "" || !strings.Contains(c.Example, c.CommandPath()) {
				t.Errorf("%s: short %q, example %q", c.CommandPath(), c.Short, c.Example)
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newApp(streams{strings.NewReader(""), io.Discard, io.Discard}).root())
	want := "init build plan sync agent promote rollback approve status list restore empty tracker demo version"
	for _, name := range strings.Fields(want) {
		found := false
		for _, n := range names {
			found = found || n == name
		}
		if !found {
			t.Errorf("verb %s is missing; there are %v", name, names)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
		hint string
	}{
		{nil, 0, ""},
		{errors.New("any"), 1, ""},
		{errChanges, 2, ""},
		{errHeld, 3, ""},
		{&builder.LimitError{}, 3, "--allow-removals"},
		{builder.ErrEmpty, 3, "--allow-removals"},
		{&gitsource.RewoundError{From: "a", To: "0123456789abcdef"}, 4, "seedtree sync --accept-rewrite 0123456789ab"},
		{&gitsource.RewoundError{From: "a", To: "0123456789abcdef", Undone: true}, 4, "set the branch there"},
		{gitsource.ErrUnreachable, 5, ""},
		{apply.ErrEngineUnreachable, 5, ""},
		{errNotMain, 6, ""},
		{builder.ErrNotReady, 6, "seedtree sync --wait"},
		{errPartial, 7, ""},
		{errInterrupted, 130, ""},
		{agent.ErrBusy, 1, "kill -HUP"},
		{builder.ErrNotMounted, 1, "mount its drive"},
		{gitsource.ErrEmpty, 1, "seedtree init"},
		{withHint(errors.New("any"), "do %s", "this"), 1, "do this"},
	} {
		for _, err := range []error{c.err, fmt.Errorf("around: %w", c.err), errors.Join(c.err, nil)} {
			if c.err == nil {
				err = nil
			}
			if got := exitCode(err); got != c.want {
				t.Errorf("%v: code %d, want %d", err, got, c.want)
			}
			var out strings.Builder
			a := newApp(streams{nil, io.Discard, &out})
			a.lookup = func() []string { return nil }
			a.report(err)
			if c.hint != "" && !strings.Contains(out.String(), "\nhint: ") || !strings.Contains(out.String(), c.hint) {
				t.Errorf("%v is told as %q, want the hint %q", err, out.String(), c.hint)
			}
		}
	}
}

func TestTable(t *testing.T) {
	tb := table{head: []string{"NAME", "N", "LAST"}, right: map[int]bool{1: true}}
	tb.add("東京", "1", "x")
	tb.add("longer name", "1,000", "")
	var b strings.Builder
	tb.write(&b)
	want := "NAME             N  LAST\n東京             1  x\nlonger name  1,000\n"
	if b.String() != want {
		t.Errorf("got:\n%swant:\n%s", b.String(), want)
	}
}

func TestShown(t *testing.T) {
	for in, want := range map[string]string{
		"photos/2019/été 1.jpg": "photos/2019/été 1.jpg",
		"a\x1b[31mb":            `"a\x1b[31mb"`,
		"a\nb":                  `"a\nb"`,
		"a\xffb":                `"a\xffb"`,
		"gpj.\u202eexe":         `"gpj.\u202eexe"`,
		"family 👩\u200d👧":       "family 👩\u200d👧",
		"a ":                    `"a "`,
		" a":                    `" a"`,
	} {
		if got := shown(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestLineDiff(t *testing.T) {
	got := lineDiff([]byte("a\nmain: x\nb\n"), []byte("a\nmain: y\nnew\nb\n"))
	if strings.Join(got, "|") != "- main: x|+ main: y|+ new" {
		t.Error(got)
	}
}
