package manifests

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// tricky builds components from the fragments that escaping treats specially.
func tricky() *rapid.Generator[string] {
	fragments := []string{
		".git", "git~1", ".GIT", "gitmodules", ".gitattributes", "gi7eba~1", "gitmod~2", "~1000000", ".mailmap",
		"\u200c", "\u202e", "\ufeff", "\uffff", "\ufffd", "\xff", "\xc3", "\x80", "\xed\xa0\x80", "é", "e\u0301", "日本",
		".torrent", ".empty", ".symlink", ".dir", ".", "..", " ", ":", "\\", "%", "%2E", "%25", "\x01", "\n", "\t", "\x7f", "a", "-", "~",
	}
	part := rapid.OneOf(rapid.SampledFrom(fragments), rapid.StringN(0, 4, 12),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 4), func(b []byte) string { return string(b) }))
	return rapid.Custom(func(t *rapid.T) string {
		s := strings.Join(rapid.SliceOfN(part, 1, 5).Draw(t, "parts"), "")
		return strings.NewReplacer("/", "", "\x00", "").Replace(s)
	}).Filter(func(s string) bool { return checkComponent(s) == nil })
}

func TestEscapeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := tricky().Draw(t, "component")
		dir := EscapeDir(s)
		if got, err := UnescapeDir(dir); err != nil || got != s {
			t.Fatalf("UnescapeDir(EscapeDir(%q) = %q) = %q, %v", s, dir, got, err)
		}
		if suffixOf(dir) != "" {
			t.Fatalf("EscapeDir(%q) = %q looks like a leaf", s, dir)
		}
		for k := Regular; k <= EmptyDir; k++ {
			leaf := EscapeLeaf(s, k)
			got, kind, err := UnescapeLeaf(leaf)
			if err != nil || got != s || kind != k {
				t.Fatalf("UnescapeLeaf(EscapeLeaf(%q, %v) = %q) = %q, %v, %v", s, k, leaf, got, kind, err)
			}
		}
	})
}

// The other direction: whatever name is accepted is the one that escaping makes.
func TestUnescapeRoundTrip(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		s := tricky().Draw(t, "name")
		if got, err := UnescapeDir(s); err == nil {
			accepted++
			if EscapeDir(got) != s {
				t.Fatalf("UnescapeDir(%q) = %q, which escapes to %q", s, got, EscapeDir(got))
			}
		}
		if got, k, err := UnescapeLeaf(s); err == nil {
			accepted++
			if EscapeLeaf(got, k) != s {
				t.Fatalf("UnescapeLeaf(%q) = %q, which escapes to %q", s, got, EscapeLeaf(got, k))
			}
		}
	})
	if accepted == 0 {
		t.Error("no name was accepted: the property was never tried")
	}
}

func TestCatalogNameRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOfN(tricky(), 1, 4).Draw(t, "components"), "/")
		p, err := ParsePath(s)
		if err != nil {
			t.Fatal(err)
		}
		e := Entry{Tree: "photos", Path: p, Kind: Kind(rapid.IntRange(0, 3).Draw(t, "kind"))}
		key, kind, err := ParseCatalogName(CatalogName(e))
		if err != nil || key != e.Key() || kind != e.Kind {
			t.Fatalf("%q: %v, %v, %v", CatalogName(e), key, kind, err)
		}
	})
}

func TestEscapeKnown(t *testing.T) {
	for _, c := range []struct{ raw, dir, leaf string }{
		{"2019", "2019", "2019.torrent"},
		{"a b é 日本", "a b é 日本", "a b é 日本.torrent"},
		{"a.torrent", "a%2Etorrent", "a.torrent.torrent"},
		{".torrent", "%2Etorrent", ".torrent.torrent"},
		{"x.dir", "x%2Edir", "x.dir.torrent"},
		{"x.TORRENT", "x.TORRENT", "x.TORRENT.torrent"},
		{"100%", "100%25", "100%25.torrent"},
		{"a\nb", "a%0Ab", "a%0Ab.torrent"},
		{"\x7f", "%7F", "%7F.torrent"},
		{"\xff\xfe", "%FF%FE", "%FF%FE.torrent"},
		{"caf\xe9", "caf%E9", "caf%E9.torrent"},
		{`a\b`, "a%5Cb", "a%5Cb.torrent"},
		{".git", "%2Egit", ".git.torrent"},
		{".GiT", "%2EGiT", ".GiT.torrent"},
		{".git. .", "%2Egit. .", ".git. ..torrent"},
		{".git::$INDEX_ALLOCATION", "%2Egit::$INDEX_ALLOCATION", "%2Egit::$INDEX_ALLOCATION.torrent"},
		{"git~1", "%67it~1", "git~1.torrent"},
		{"GIT~1 ", "%47IT~1 ", "GIT~1 .torrent"},
		{"git~2", "git~2", "git~2.torrent"},
		{".g\u200cit", "%2Eg\u200cit", ".g\u200cit.torrent"},
		{"\u200c.git\ufeff", "\u200c%2Egit\ufeff", "\u200c.git\ufeff.torrent"},
		{".gitmodules", "%2Egitmodules", ".gitmodules.torrent"},
		{"gitmod~4", "%67itmod~4", "gitmod~4.torrent"},
		{"gi7eba~9", "%67i7eba~9", "gi7eba~9.torrent"},
		{"~1000000", "%7E1000000", "~1000000.torrent"},
		{".gitignore", ".gitignore", ".gitignore.torrent"},
		{".github", ".github", ".github.torrent"},
		{".gitkeep", ".gitkeep", ".gitkeep.torrent"},
	} {
		if got := EscapeDir(c.raw); got != c.dir {
			t.Errorf("EscapeDir(%q) = %q, want %q", c.raw, got, c.dir)
		}
		if got := EscapeLeaf(c.raw, Regular); got != c.leaf {
			t.Errorf("EscapeLeaf(%q) = %q, want %q", c.raw, got, c.leaf)
		}
	}
}
