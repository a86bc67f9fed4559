package main

import (
	"fmt"
	"strings"
	"testing"

	"seedtree/manifests"
)

// listingOf makes a listing of lines such as "a=1": a path and its content. A
// star makes the file executable.
func listingOf(t *testing.T, text string) *manifests.Listing {
	t.Helper()
	var entries []manifests.Entry
	for field := range strings.FieldsSeq(text) {
		name, content, _ := strings.Cut(field, "=")
		content, executable := strings.CutSuffix(content, "*")
		m := manifests.Metainfo{Tree: "t", Path: manifests.Path(name), Length: 1, PieceLength: manifests.PieceLength(1), Pieces: []byte(fmt.Sprintf("%020s", content))}
		entries = append(entries, m.Entry(executable))
	}
	l, err := manifests.NewListing(entries)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestFindUndo(t *testing.T) {
	for name, c := range map[string]struct{ known, built, head, source, came, gone string }{
		"nothing foreign":                                   {"a=1", "a=1", "a=1", "a=1", "", ""},
		"own removal":                                       {"a=1 b=2", "a=1 b=2", "a=1 b=2", "a=1", "", ""},
		"own change, addition and rename":                   {"a=1 b=2", "a=1 b=2", "a=1 b=2", "a=3 c=2 d=4", "", ""},
		"came back, not here":                               {"a=1", "a=1", "a=1 b=2", "a=1", "b", ""},
		"came back, put here by hand":                       {"a=1", "a=1", "a=1 b=2", "a=1 b=2", "", ""},
		"came back, here with other bytes":                  {"a=1", "a=1", "a=1 b=2", "a=1 b=3", "b", ""},
		"changed back":                                      {"a=2", "a=2", "a=1", "a=2", "a", ""},
		"changed back, edited since":                        {"a=2", "a=2", "a=1", "a=3", "a", ""},
		"executable again":                                  {"a=1", "a=1", "a=1*", "a=1", "a", ""},
		"went, still here":                                  {"a=1 b=2", "a=1 b=2", "a=1", "a=1 b=2", "", "b"},
		"went, gone here too":                               {"a=1 b=2", "a=1 b=2", "a=1", "a=1", "", ""},
		"went, something new in its place":                  {"a=1 b=2", "a=1 b=2", "a=1", "a=1 b=3", "", ""},
		"renamed back":                                      {"b=1", "b=1", "a=1", "b=1", "a", "b"},
		"followed since the last build":                     {"a=1 b=2", "a=1", "a=1 b=2", "a=1", "", ""},
		"never built here":                                  {"a=1", "", "a=1 c=3", "a=1 b=2", "c", ""},
		"built, complete at a commit that left a file here": {"a=1", "a=1 b=2", "a=1", "a=1 b=2", "", "b"},
	} {
		var built *manifests.Listing
		if c.built != "" {
			built = listingOf(t, c.built)
		}
		u := findUndo(listingOf(t, c.known), built, listingOf(t, c.head), listingOf(t, c.source))
		for _, side := range []struct {
			what, want string
			got        []manifests.Key
		}{{"came", c.came, u.came}, {"gone", c.gone, u.gone}} {
			var got []string
			for _, k := range side.got {
				got = append(got, string(k.Path))
			}
			if strings.Join(got, " ") != side.want {
				t.Errorf("%s: %s %q, want %q", name, side.what, got, side.want)
			}
		}
	}
	if u := findUndo(nil, nil, listingOf(t, "a=1"), listingOf(t, "b=1")); !u.empty() {
		t.Errorf("knowing nothing, it finds %v", u)
	}
}

// What would be lost by following is named; what is known or nobody's is not.
func TestUncommitted(t *testing.T) {
	for name, c := range map[string]struct{ before, wanted, source, want string }{
		"clean":                          {"a=1 b=2", "a=1", "a=1 b=2", ""},
		"a new file":                     {"a=1", "a=1 b=2", "a=1 n=9", ""},
		"a new file in the way":          {"a=1", "a=1 b=2", "a=1 b=9", "+ t/b  1 B"},
		"put back by hand":               {"a=1", "a=1 b=2", "a=1 b=2", ""},
		"changed back by hand":           {"a=2", "a=1", "a=1", ""},
		"edited":                         {"a=1", "a=1 b=2", "a=9", "~ t/a  1 B"},
		"removed":                        {"a=1 c=3", "a=1 c=3", "a=1", "- t/c  1 B"},
		"removed, as wanted":             {"a=1 c=3", "a=1", "a=1", ""},
		"renamed":                        {"a=1", "a=1", "n=1", "> t/a > t/n"},
		"renamed back by hand, as asked": {"b=1", "a=1", "a=1", ""},
	} {
		var got []string
		for _, l := range uncommitted(listingOf(t, c.before), listingOf(t, c.wanted), listingOf(t, c.source)) {
			got = append(got, l.String())
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
