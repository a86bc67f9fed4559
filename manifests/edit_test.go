package manifests

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const editable = `# Head comment.
apiVersion: seedtree/v1

main: oslo                       # the site whose files are the truth

sites:
  # the first
  oslo: {peer: "oslo.example:42069"}   # in a cellar

  lima:
    # dial at night
    peer: "lima.example:42069"
    exclude:
    - "**/*.raw"

# about removals
prune:
  # careful
  limit: {percent: 10, files: 1000}
  approved: ''   # nothing yet
revoked:
- 12
`

// Each edit changes these bytes and no others.
func TestEdits(t *testing.T) {
	setMain := func(s string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return SetMain(b, s) }
	}
	approve := func(s string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return SetApproved(b, s) }
	}
	add := func(s string, spec SiteSpec) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return AddSite(b, s, spec) }
	}
	remove := func(s string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return RemoveSite(b, s) }
	}
	const head = "apiVersion: seedtree/v1\n"
	attic := SiteSpec{Include: []string{"photos/**"}}
	for _, c := range []struct {
		name, text, old, new string // the one replacement that is wanted
		edit                 func([]byte) ([]byte, error)
	}{
		{"main", editable, "main: oslo ", "main: lima ", setMain("lima")},
		{"main, same", editable, "", "", setMain("oslo")},
		{"main in quotes", head + "main: \"oslo\" # x\n", `"oslo"`, `"lima"`, setMain("lima")},
		{"main in single quotes", head + "main: 'oslo' # x\n", "'oslo'", "'lima'", setMain("lima")},
		{"main named like a truth value", head + "main: oslo\n", "main: oslo", `main: "no"`, setMain("no")},
		{"main in a flow mapping", "{apiVersion: seedtree/v1, main: oslo}", "main: oslo", "main: a-1", setMain("a-1")},
		{"main behind wide characters", "{apiVersion: seedtree/v1, trees: {日本é: {}}, main: oslo}", "main: oslo", "main: a-1", setMain("a-1")},
		{"main behind a byte order mark", "\ufeff{main: oslo, apiVersion: seedtree/v1}", "main: oslo", "main: lima", setMain("lima")},
		{"approved", editable, "''", "'0123456789'", approve("0123456789")},
		{"approved, same", editable, "", "", approve("")},
		{"approved again", head + "main: oslo\nprune: {approved: 1234567}\n", "1234567", `"7654321"`, approve("7654321")},
		{"approved taken back", head + "main: oslo\nprune: {approved: abcdef1}\n", "abcdef1", `""`, approve("")},
		{"approved is null", head + "main: oslo\nprune:\n  approved:   # none\n", "approved:   #", "approved: abcdef1   #", approve("abcdef1")},
		{"approved is missing", head + "main: oslo\nprune:\n  trash: 3d  # short\n\n# end\n", "# short\n", "# short\n  approved: \"abcdef1\"\n", approve("abcdef1")},
		{"approved is missing in flow", head + "main: oslo\nprune: {trash: 3d}\n", "{trash", "{approved: \"abcdef1\", trash", approve("abcdef1")},
		{"prune is empty", head + "main: oslo\nprune: {}\n", "{}", "{approved: \"abcdef1\"}", approve("abcdef1")},
		{"prune is null", head + "prune: # later\nmain: oslo\n", "prune: #", "prune: {approved: \"abcdef1\"} #", approve("abcdef1")},
		{"prune is a tilde", head + "prune: ~ # later\nmain: oslo\n", "~", "{approved: \"abcdef1\"}", approve("abcdef1")},
		{"prune is missing", head + "main: oslo\nrevoked:\n- 12\n# end\n", "- 12\n", "- 12\nprune: {approved: \"abcdef1\"}\n", approve("abcdef1")},
		{"no newline at the end", head + "main: oslo", "oslo", "oslo\nprune: {approved: \"abcdef1\"}", approve("abcdef1")},
		{"site", editable, "raw\"\n", "raw\"\n  attic: {include: [\"photos/**\"]}\n", add("attic", attic)},
		{"site, same", editable, "", "", add("oslo", SiteSpec{Peer: "oslo.example:42069"})},
		{"site with a number's name", editable, "raw\"\n", "raw\"\n  \"7\": {}\n", add("7", SiteSpec{})},
		{"site in flow", head + "main: oslo\nsites: {oslo: {}}\n", "{oslo", "{attic: {include: [\"photos/**\"]}, oslo", add("attic", attic)},
		{"site in flow lines", head + "main: oslo\nsites: {\n  oslo: {},\n}\n", "sites: {\n", "sites: {attic: {include: [\"photos/**\"]},\n", add("attic", attic)},
		{"first site", head + "main: oslo\ntrackers:\n- [\"http://a\"]\n", "- [\"http://a\"]\n", "- [\"http://a\"]\nsites:\n  oslo: {}\n", add("oslo", SiteSpec{})},
		{"first site, sites empty", head + "sites: {}\nmain: oslo\n", "{}", "{oslo: {}}", add("oslo", SiteSpec{})},
		{"first site, all flow", "{apiVersion: seedtree/v1, main: oslo}", "{api", "{sites: {oslo: {}}, api", add("oslo", SiteSpec{})},
		{
			"site with every kind of text", editable, "raw\"\n", "raw\"\n  z: {peer: \"[::1]:1\", include: [\"a\\\\*\", \"é \\u200b\"], exclude: [\"q\\\"\"]}\n",
			add("z", SiteSpec{Peer: "[::1]:1", Include: []string{`a\*`, "é \u200b"}, Exclude: []string{`q"`}}),
		},
		{"site leaves", editable, "  lima:\n    # dial at night\n    peer: \"lima.example:42069\"\n    exclude:\n    - \"**/*.raw\"\n", "", remove("lima")},
		{"no such site leaves", editable, "", "", remove("nobody")},
		{"first in flow leaves", head + "main: b\nsites: {a: {peer: 'x:1'}, b: {}} # s\n", "a: {peer: 'x:1'}, ", "", remove("a")},
		{"last in flow leaves", head + "main: b\nsites: {b: {}, a: {peer: 'x:1'} }\n", ", a: {peer: 'x:1'}", "", remove("a")},
		{"last in flow with a comma leaves", head + "main: b\nsites: {b: {}, a: {},}\n", ", a: {}", "", remove("a")},
		{"quotes in flow", head + "main: b\nsites: {a: {include: ['it''s, \\}', \"\\\"{},{x},\"]}, b: {}}\n", "a: {include: ['it''s, \\}', \"\\\"{},{x},\"]}, ", "", remove("a")},
		{"lines in flow", head + "main: b\nsites: {\n  # of a\n  a: {},  # said of a\n  # of b\n  b: {} # said, of b\n}\n", "a: {},  ", "", remove("a")},
		{"a whole line in flow", head + "main: b\nsites: {\n  a: {},\n  # of b\n  b: {}\n}\n", "  a: {},\n", "", remove("a")},
	} {
		for _, nl := range []string{"\n", "\r\n"} {
			lines := func(s string) string { return strings.ReplaceAll(s, "\n", nl) }
			text := lines(c.text)
			want := strings.Replace(text, lines(c.old), lines(c.new), 1)
			if c.old != "" && want == text {
				t.Fatalf("%s: the test replaces nothing", c.name)
			}
			if nl == "\r\n" && !strings.Contains(text, nl) {
				continue // no line end to tell from
			}
			got, err := c.edit([]byte(text))
			if err != nil {
				t.Errorf("%s (%q): %v", c.name, nl, err)
				continue
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("%s (%q): %s", c.name, nl, diff)
			}
			if again, err := c.edit(got); err != nil || string(again) != string(got) {
				t.Errorf("%s (%q) is not idempotent: %v", c.name, nl, err)
			}
		}
	}
}

func TestEditsRefused(t *testing.T) {
	const head = "apiVersion: seedtree/v1\n"
	for _, c := range []struct {
		name, text, want string
		edit             func([]byte) ([]byte, error)
	}{
		{"main is no site", editable, `"paris" is no site; sites are lima, oslo`, func(b []byte) ([]byte, error) { return SetMain(b, "paris") }},
		{"main is no name", head + "main: a\n", "site name", func(b []byte) ([]byte, error) { return SetMain(b, "x: y") }},
		{"main as a block", head + "main: |-\n  oslo\n", "by hand", func(b []byte) ([]byte, error) { return SetMain(b, "lima") }},
		{"broken before", head + "main: oslo\nx: y\n", "manifest.yaml:3:1: manifest: unknown key", func(b []byte) ([]byte, error) { return SetMain(b, "lima") }},
		{"no revision", editable, "no revision", func(b []byte) ([]byte, error) { return SetApproved(b, "main") }},
		{"site differs", editable, "is there already", func(b []byte) ([]byte, error) { return AddSite(b, "oslo", SiteSpec{}) }},
		{"site's peer", editable, "no host:port", func(b []byte) ([]byte, error) { return AddSite(b, "x", SiteSpec{Peer: "x"}) }},
		{"site's glob", editable, "bad glob", func(b []byte) ([]byte, error) { return AddSite(b, "x", SiteSpec{Include: []string{"["}}) }},
		{"first site is not main", head + "main: oslo\n", `add "oslo" first`, func(b []byte) ([]byte, error) { return AddSite(b, "lima", SiteSpec{}) }},
		{"main leaves", editable, "is main", func(b []byte) ([]byte, error) { return RemoveSite(b, "oslo") }},
		{"site as a complex key", head + "main: a\nsites:\n  ? a\n  : {}\n  ? b\n  : {}\n", "by hand", func(b []byte) ([]byte, error) { return RemoveSite(b, "b") }},
		{"flow at no depth", head + "main: a\nsites:\n  a: {}\n  b: {include: [\nx]}\n", "by hand", func(b []byte) ([]byte, error) { return AddSite(b, "c", SiteSpec{}) }},
	} {
		got, err := c.edit([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || got != nil {
			t.Errorf("%s: got %q, %v; want an error with %q", c.name, got, err, c.want)
		}
	}
}

func TestNewManifest(t *testing.T) {
	sites := map[string]SiteSpec{"oslo": {Peer: "oslo.example:42069"}, "attic": {Exclude: []string{"**/*.raw"}}, "no": {}}
	trackers := [][]string{{"https://a/announce", "https://b/announce"}, {"udp://c:1"}}
	m, err := ParseManifest(NewManifest("oslo", []string{"photos", "My Music", "1999"}, trackers, sites))
	if err != nil {
		t.Fatal(err)
	}
	want := &Manifest{
		Main: "oslo", Trackers: trackers, Sites: sites, Prune: defaultPrune(),
		Trees: map[string]TreeSpec{"photos": {}, "My Music": {}, "1999": {}},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
	bare, err := ParseManifest(NewManifest("oslo", nil, nil, nil))
	if err != nil || bare.Main != "oslo" || len(bare.Sites)+len(bare.Trees)+len(bare.Trackers) > 0 {
		t.Errorf("bare starter: %+v, %v", bare, err)
	}
	// What the starter makes, the editor can change.
	data := NewManifest("oslo", []string{"photos"}, nil, nil)
	for _, edit := range []func([]byte) ([]byte, error){
		func(b []byte) ([]byte, error) { return AddSite(b, "oslo", SiteSpec{}) },
		func(b []byte) ([]byte, error) { return AddSite(b, "lima", SiteSpec{}) },
		func(b []byte) ([]byte, error) { return SetMain(b, "lima") },
		func(b []byte) ([]byte, error) { return SetApproved(b, "0123456") },
		func(b []byte) ([]byte, error) { return RemoveSite(b, "oslo") },
	} {
		if data, err = edit(data); err != nil {
			t.Fatal(err)
		}
	}
}

// Should a place ever be found wrongly, the result is not handed out.
func TestEditProvesItself(t *testing.T) {
	for want, text := range map[string]string{"more would change": "1001", "want a whole number": "x"} {
		e, err := newEditor([]byte(editable))
		if err != nil {
			t.Fatal(err)
		}
		at := strings.Index(editable, "1000")
		if got, err := e.finish("main", splice{at, at + 4, text, true}); err == nil || !strings.Contains(err.Error(), want) || got != nil {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}
