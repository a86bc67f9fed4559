package gitsource

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
)

// A refusal in riddles, as a hostile server words it in a report.
func TestWordsOfAReport(t *testing.T) {
	t.Parallel()
	for _, lines := range [][]string{
		{"unpack \x1b[2Jno\u202e\n", "ng refs/heads/main x\n"},
		{"unpack ok\n", "ng refs/heads/main \x1b]0;owned\x07hook declined\u009b\n"},
	} {
		var b strings.Builder
		e := pktline.NewEncoder(&b)
		must(t, e.EncodeString(lines...))
		must(t, e.Flush())
		err := readReport(strings.NewReader(b.String()), false, func() {})
		if err == nil || strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q: %q", lines, err)
		}
	}
}

// Branches of a remote that has not ours are named, a few and plainly.
func TestNamesOfOtherBranches(t *testing.T) {
	t.Parallel()
	s := opened(t, bareRepo(t))
	heads := map[string]hash{"\x1b[31mevil\x07": {1}}
	for _, name := range strings.Fields("a b c d e f g h i j k l") {
		heads[name] = hash{1}
	}
	err := s.noBranch(heads)
	if !errors.Is(err, ErrEmpty) || !strings.Contains(err.Error(), "[31mevil, a, b, c, d, e, f, g, h, i and 3 more") || strings.ContainsAny(err.Error(), "\x1b\x07") {
		t.Errorf("%q", err)
	}
}
