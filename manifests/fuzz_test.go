package manifests

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// seeds hands a fuzzer what the table tests hold; the largest only slow it down.
func seeds(f *testing.F, texts ...string) {
	for _, s := range texts {
		if len(s) < 32<<10 {
			f.Add([]byte(s))
		}
	}
}

// Whatever is accepted is exactly what Encode writes: no torrent has two
// spellings, so no two blobs claim to be the same file.
func FuzzDecodeMetainfo(f *testing.F) {
	seeds(f, string(sample().Encode()))
	for _, c := range hostileTorrents(f) {
		seeds(f, c[0])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeMetainfo(data)
		if err != nil {
			return
		}
		if again := m.Encode(); !bytes.Equal(again, data) {
			t.Fatalf("%q is read as %+v, which is written %q", data, m, again)
		}
		if _, err := ParsePath(string(m.Path)); err != nil {
			t.Fatal(err)
		}
		e, err := DecodeEntry(CatalogName(m.Entry(false)), false, data)
		if err != nil || !e.Equal(m.Entry(false)) {
			t.Fatalf("%+v, %v", e, err)
		}
	})
}

// Whatever is accepted is exactly what CatalogName writes.
func FuzzParseCatalogName(f *testing.F) {
	f.Add("torrents/photos/2019/%2Egit/a%25.jpg.torrent")
	for name := range hostileNames() {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		key, kind, err := ParseCatalogName(name)
		if err != nil {
			return
		}
		if again := CatalogName(Entry{Tree: key.Tree, Path: key.Path, Kind: kind}); again != name {
			t.Fatalf("%q is read as %v %v, which is written %q", name, key, kind, again)
		}
		if _, err := ParsePath(string(key.Path)); err != nil {
			t.Fatal(err)
		}
	})
}

// Every name that a file system can hold survives the catalog.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"a", ".git", "GIT~1", ".g\u200cit\uffff", "a.torrent", "%2E", "\xff\xfe", "~1000000", "a\\b", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, '/') || checkComponent(s) != nil {
			return
		}
		if got, err := UnescapeDir(EscapeDir(s)); err != nil || got != s {
			t.Fatalf("dir %q: %q, %v", s, got, err)
		}
		for k := Regular; k <= EmptyDir; k++ {
			name := EscapeLeaf(s, k)
			if got, kind, err := UnescapeLeaf(name); err != nil || got != s || kind != k {
				t.Fatalf("%v %q: %q, %v, %v", k, s, got, kind, err)
			}
			if gitRefuses(name) || name == EscapeDir(s) {
				t.Fatalf("%v %q is written %q", k, s, name)
			}
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	seeds(f, fullManifest, editable)
	for _, c := range trickyYAML() {
		seeds(f, c[0])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseManifest(data)
		var problems Problems
		if err != nil {
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if ValidSiteName(m.Main) != nil || len(m.Sites) > 0 && !has(m.Sites, m.Main) {
			t.Fatalf("main is %q", m.Main)
		}
		for name := range m.Trees {
			if err := ValidTreeName(name); err != nil {
				t.Fatal(err)
			}
		}
		// Includes trusts that every glob was checked.
		for site := range m.Sites {
			m.Includes(site, Entry{Tree: "a", Path: "b/c"})
		}
	})
}

func has[V any](m map[string]V, key string) bool {
	_, ok := m[key]
	return ok
}

// An edit of any manifest says what was asked for, or changes nothing.
func FuzzEdits(f *testing.F) {
	seeds(f, fullManifest, editable, strings.ReplaceAll(editable, "\n", "\r\n"), "{apiVersion: seedtree/v1, main: b, sites: {b: , oslo: {peer: 'x:1', include: [a]}}}")
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		if _, err := ParseManifest(data); err != nil {
			return
		}
		if out, err := SetMain(data, "oslo"); err == nil {
			if m, err := ParseManifest(out); err != nil || m.Main != "oslo" {
				t.Fatalf("main: %v in %q", err, out)
			}
		}
		if out, err := SetApproved(data, "0123456"); err == nil {
			if m, err := ParseManifest(out); err != nil || m.Prune.Approved != "0123456" {
				t.Fatalf("approved: %v in %q", err, out)
			}
		}
		if out, err := AddSite(data, "zz-new", SiteSpec{Peer: "h:1"}); err == nil {
			back, err := RemoveSite(out, "zz-new")
			if err == nil {
				if _, err := ParseManifest(back); err != nil {
					t.Fatalf("removed again: %v in %q", err, back)
				}
			}
		}
		if !bytes.Equal(before, data) {
			t.Fatal("an edit wrote into its input")
		}
	})
}

// A report that is accepted can be passed on, and then stays as it is.
func FuzzDecodeStatus(f *testing.F) {
	seeds(f, string(fullStatus().Encode()), "{}", "[]", `{"site":"oslo","role":"main","time":"2026-01-01T00:00:00Z"}`)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := DecodeStatus(data)
		if err != nil {
			return
		}
		out := s.Encode()
		again, err := DecodeStatus(out)
		if err != nil || !bytes.Equal(again.Encode(), out) {
			t.Fatalf("%q becomes %q: %v", data, out, err)
		}
		for _, text := range append(s.Errors, s.MissingSample...) {
			if strings.ContainsAny(text, "\x1b\n\r\x00") {
				t.Fatalf("%q is not safe to print", text)
			}
		}
	})
}

func FuzzDecodeMarker(f *testing.F) {
	seeds(f, string(Marker{"photos", "oslo", RoleCopy, ""}.Encode()), "{}", `{"tree":"a","site":"b","role":"copy","x":1}`)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeMarker(data)
		if err != nil {
			return
		}
		if again, err := DecodeMarker(m.Encode()); err != nil || again != m {
			t.Fatalf("%+v, %v", again, err)
		}
	})
}
