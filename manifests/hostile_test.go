package manifests

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// hostileTorrents is every way we know to lie in a .torrent, each made from
// sample() by one replacement, with a part of the error it has to get.
func hostileTorrents(t testing.TB) map[string][2]string {
	good := string(sample().Encode())
	bad := map[string][2]string{}
	add := func(name, old, new, want string) {
		text := strings.Replace(good, old, new, 1)
		if text == good {
			t.Fatalf("%s: the test replaces nothing", name)
		}
		bad[name] = [2]string{text, want}
	}
	bad["empty"] = [2]string{"", "byte 0: ends"}
	bad["cut"] = [2]string{good[:len(good)-1], "ends"}
	bad["cut in pieces"] = [2]string{good[:strings.Index(good, "6:pieces")+20], "claims 40 bytes"}
	bad["trailing"] = [2]string{good + "e", "1 bytes follow"}
	bad["twice"] = [2]string{good + good, "follow the torrent"}
	bad["a list"] = [2]string{"l" + good[1:], "where a dictionary belongs"}
	bad["not bencode"] = [2]string{"<html>", `'<' where a dictionary belongs`}
	bad["announce"] = [2]string{string(sample().EncodeWith([][]string{{"http://a"}})), `key "announce" where key "created by" belongs`}

	// Paths.
	add("parent", "4:2019", "2:..", `has a component ".."`)
	add("here", "4:2019", "1:.", `has a component "."`)
	add("empty component", "4:2019", "0:", "empty component")
	add("slash", "5:a.jpg", "5:/a.pg", "has a slash")
	add("slashed parent", "5:a.jpg", "7:../a.jp", "has a slash")
	add("NUL", "5:a.jpg", "5:a.\x00pg", "NUL byte")
	add("no path", "l4:20195:a.jpge", "le", "path is empty")
	add("long component", "5:a.jpg", "256:"+strings.Repeat("a", 256), "256 bytes, longer than 255")
	add("long path", "4:2019", strings.Repeat("200:"+strings.Repeat("a", 200), 21), "longer than 4096")
	add("endless path", "4:2019", strings.Repeat("1:a", 1<<20), "longer than 4096")
	add("private folder", "4:2019", "9:.seedtree", "belongs to seedtree")
	add("path is text", "l4:20195:a.jpge", "5:a.jpg", "where the list of path components belongs")
	add("path holds a list", "4:2019", "l4:2019e", "where a path component belongs")

	// Names.
	add("name is parent", "6:photos", "2:..", "tree name")
	add("name has a slash", "6:photos", "6:pho/os", "tree name")
	add("name is absolute", "6:photos", "4:/etc", "tree name")
	add("name is empty", "6:photos", "0:", "tree name is empty")
	add("name is .git", "6:photos", "4:.git", "tree name")
	add("name is git~1", "6:photos", "5:git~1", "a name that git refuses")

	// Files.
	add("two files", "eee4:name", "eed6:lengthi1e4:pathl1:beee4:name", "second file")
	add("no files", "ld6:lengthi300000e4:pathl4:20195:a.jpgeee", "le", "where a file belongs")
	add("single-file layout", "5:filesld6:lengthi300000e4:pathl4:20195:a.jpgeee", "6:lengthi300000e", `key "length" where key "files" belongs`)

	// Lengths.
	add("length lies, more", "i300000e", "i600000e", "pieces has 40 bytes where a file of 600000")
	add("length lies, less", "i300000e", "i262144e", "needs 20")
	add("length 0", "i300000e", "i0e", "at least 1 byte")
	add("length negative", "i300000e", "i-1e", "at least 1 byte")
	add("length 2^62", "i300000e", "i4611686018427387904e", "is more than")
	add("length 2^63-1", "i300000e", "i9223372036854775807e", "is more than")
	add("length 2^63", "i300000e", "i9223372036854775808e", "no integer of 64 bits")
	add("length of many digits", "i300000e", "i"+strings.Repeat("9", 1000)+"e", "no integer of 64 bits")
	add("length leading zero", "i300000e", "i0300000e", "leading zero")
	add("length cut", "i300000e4:path", "i300000", "no integer")
	add("length -2^63", "i300000e", "i-9223372036854775808e", "at least 1 byte")
	add("length -2^63-1", "i300000e", "i-9223372036854775809e", "no integer of 64 bits")
	add("length -", "i300000e", "i-e", "no integer")
	add("length -0", "i300000e", "i-0e", "leading zero or a needless sign")
	add("length +", "i300000e", "i+300000e", "no integer")
	add("length nothing", "i300000e", "ie", "no integer")
	add("length float", "i300000e", "i3.5e", "no integer")
	add("length space", "i300000e", "i 300000e", "no integer")
	add("length is text", "i300000e", "6:300000", "where length belongs")

	// Pieces.
	add("piece length 0", "i262144e", "i0e", "piece length 0")
	add("piece length negative", "i262144e", "i-262144e", "piece length -262144")
	add("piece length 2^62", "i262144e", "i4611686018427387904e", "piece length 4611686018427387904")
	add("piece length 3", "i262144e", "i3e", "piece length 3")
	add("piece length no power of two", "i262144e", "i262143e", "piece length 262143")
	add("piece length 1", "i262144e", "i1e", "piece length 1 ")
	add("piece length 32 MiB", "i262144e", "i33554432e", "piece length 33554432")
	add("pieces one short", "40:"+string(sample().Pieces), "20:"+string(sample().Pieces[:20]), "pieces has 20 bytes")
	add("pieces ragged", "40:"+string(sample().Pieces), "39:"+string(sample().Pieces[:39]), "pieces has 39 bytes")
	add("pieces none", "40:"+string(sample().Pieces), "0:", "pieces has 0 bytes")
	add("pieces claim a gigabyte", "40:", "1073741824:", "claims more bytes")
	add("pieces claim 2^64", "40:", "18446744073709551656:", "claims more bytes")
	add("pieces leading zero", "40:", "040:", "leading zero")
	add("pieces negative", "40:", "-40:", "where pieces belongs")
	add("pieces endless length", "40:", strings.Repeat("0", 1<<20)+":", "leading zero")
	add("v2 key", "6:pieces", "9:file tree", `key "file tree" where key "pieces" belongs`)

	// Keys.
	add("duplicate key", "4:name6:photos", "4:name6:photos4:name6:photos", `key "name" where key "piece length" belongs`)
	add("duplicate at the end", "7:privatei1e", "7:privatei1e7:privatei1e", `"private" where the end of the info dictionary belongs`)
	add("unsorted keys", "4:name6:photos12:piece lengthi262144e", "12:piece lengthi262144e4:name6:photos", `key "piece length" where key "name" belongs`)
	add("missing key", "4:name6:photos", "", `where key "name" belongs`)
	add("unknown key", "7:private", "4:evil", `key "evil" where key "private" belongs`)
	add("extra key", "8:seedtreed", "8:seedtreed4:evil0:", `key "evil" where key "mtime" belongs`)
	add("not private", "7:privatei1e", "7:privatei0e", "private is 0")
	add("another maker", "8:seedtree4:info", "8:utorrent4:info", `created by "utorrent"`)
	add("key is a number", "4:name", "i4e", "where name belongs")

	// Bombs.
	deep := strings.Repeat("l", 1<<20)
	bad["deep"] = [2]string{deep, "where a dictionary belongs"}
	add("deep inside", "l4:2019", deep, "where a path component belongs")
	bad["deep dictionaries"] = [2]string{strings.Repeat("d", 1<<20), "where created by belongs"}
	return bad
}

func TestHostileTorrents(t *testing.T) {
	for name, c := range hostileTorrents(t) {
		m, err := DecodeMetainfo([]byte(c[0]))
		if err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: got %+v, %v; want an error with %q", name, m, err, c[1])
		} else if len(err.Error()) > 5000 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
	}
}

// Refusing costs next to nothing, whatever the input's size.
func TestHostileTorrentsAreCheap(t *testing.T) {
	huge := make([]byte, 100<<20)
	if _, err := DecodeMetainfo(huge); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("100 MiB of zeros: %v", err)
	}
	inputs := hostileTorrents(t)
	inputs["large"] = [2]string{string(sample().Encode()[:100]) + strings.Repeat("x", MaxMetainfo-100), ""}
	for name, c := range inputs {
		data := []byte(c[0])
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := DecodeMetainfo(data)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; err == nil || used > 64<<10 {
			t.Errorf("%s: %d bytes allocated for %d of input, error %v", name, used, len(data), err)
		}
	}
}

func TestDecodeEntry(t *testing.T) {
	torrent := string(sample().Encode())
	for name, c := range map[string]struct{ name, data, want string }{
		"regular":            {"torrents/photos/2019/a.jpg.torrent", torrent, ""},
		"other tree":         {"torrents/other/2019/a.jpg.torrent", torrent, `torrent is for "photos/2019/a.jpg", not for where it stands`},
		"other path":         {"torrents/photos/2019/b.jpg.torrent", torrent, "not for where it stands"},
		"empty":              {"torrents/photos/a.empty", "", ""},
		"empty with bytes":   {"torrents/photos/a.empty", "x", "an entry for an empty file holds 1 bytes"},
		"dir":                {"torrents/photos/a.dir", "", ""},
		"dir with bytes":     {"torrents/photos/a.dir", "x", "an entry for an empty directory holds 1 bytes"},
		"symlink":            {"torrents/photos/a.symlink", "../../etc/passwd", ""},
		"symlink to nothing": {"torrents/photos/a.symlink", "", "symlink target is empty"},
		"symlink NUL":        {"torrents/photos/a.symlink", "a\x00b", "NUL"},
		"symlink long":       {"torrents/photos/a.symlink", strings.Repeat("a", 4096), "4096 bytes"},
		"bad torrent":        {"torrents/photos/a.torrent", "x", "byte 0"},
		"bad name":           {"torrents/photos/a", "x", "ends in none of"},
	} {
		e, err := DecodeEntry(c.name, true, []byte(c.data))
		switch {
		case c.want == "" && (err != nil || CatalogName(e) != c.name):
			t.Errorf("%s: %+v, %v", name, e, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		case err == nil && e.Executable != (e.Kind == Regular || e.Kind == Empty):
			t.Errorf("%s: executable %v", name, e.Executable)
		}
	}
}

// hostileNames is every way we know to lie in a catalog's file names.
func hostileNames() map[string]string {
	return map[string]string{
		"":                                                            "not below torrents/",
		"manifest.yaml":                                               "not below torrents/",
		"torrents/":                                                   "names a tree",
		"torrents/photos":                                             "names a tree",
		"torrents/photos/":                                            "ends in none of",
		"torrents/photos/a":                                           "ends in none of",
		"torrents/photos/a.TORRENT":                                   "ends in none of",
		"torrents/../a.torrent":                                       "tree name",
		"torrents//a.torrent":                                         "tree name is empty",
		"torrents/.git/a.torrent":                                     "tree name",
		"torrents/photos/../../x.torrent":                             `component ".."`,
		"torrents/photos/./x.torrent":                                 `component "."`,
		"torrents/photos//x.torrent":                                  "empty component",
		"torrents/photos/.torrent":                                    "empty component",
		"torrents/photos/..torrent":                                   `component "."`,
		"torrents/photos/...torrent":                                  `component ".."`,
		"torrents/photos/%2E%2E/x.torrent":                            `component ".."`,
		"torrents/photos/%2E%2E%2Fx.torrent":                          "not canonical",
		"torrents/photos/a%2Fb.torrent":                               "not canonical",
		"torrents/photos/a%00b.torrent":                               "NUL",
		"torrents/photos/a%00b/c.torrent":                             "NUL",
		"torrents/photos/%61.torrent":                                 "not canonical",
		"torrents/photos/%0a.torrent":                                 "two upper-case hexadecimal digits",
		"torrents/photos/%ZZ.torrent":                                 "two upper-case hexadecimal digits",
		"torrents/photos/%.torrent":                                   "cut short",
		"torrents/photos/a%2.torrent":                                 "cut short",
		"torrents/photos/a%2":                                         "ends in none of",
		"torrents/photos/d%2/a.torrent":                               "cut short",
		"torrents/photos/%C3%A9.torrent":                              "not canonical", // a valid é stays readable
		"torrents/photos/\xff.torrent":                                "not canonical",
		"torrents/photos/a\n.torrent":                                 "not canonical",
		"torrents/photos/a\\b.torrent":                                "not canonical",
		"torrents/photos/.git/config.torrent":                         "not canonical",
		"torrents/photos/GIT~1/x.torrent":                             "not canonical",
		"torrents/photos/a.torrent/x.torrent":                         "not canonical",
		"torrents/photos/a.dir/x.torrent":                             "not canonical",
		"torrents/photos/a%2Edirs/x.torrent":                          "not canonical",
		"torrents/photos/%2Egit.torrent":                              "not canonical", // .git.torrent is harmless
		"torrents/photos/.seedtree/x.torrent":                         "belongs to seedtree",
		"torrents/photos/.seedtree.empty":                             "belongs to seedtree",
		"torrents/photos/" + strings.Repeat("a", 256) + ".torrent":    "256 bytes",
		"torrents/photos/" + strings.Repeat("a/", 4000) + "x.torrent": "4096 bytes",
	}
}

func TestHostileNames(t *testing.T) {
	for name, want := range hostileNames() {
		key, kind, err := ParseCatalogName(name)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: got %v, %v, %v; want an error with %q", name, key, kind, err, want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"photos", "My Music", "日本", "a.b", "2019", "a[1]", "x_-y", strings.Repeat("a", 100)} {
		if err := ValidTreeName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{
		"", ".", "..", ".hidden", "-x", " x", "x ", "x.", "a/b", `a\b`, "a:b", "a%b", "a\nb", "a\x00", "\xff", "a\u200cb", "a\u202eb",
		"x.torrent", "x.dir", ".git", "git~1", "GIT~1", "gitmod~1", "~1000000", "a*", "a?", strings.Repeat("a", 101),
	} {
		if ValidTreeName(name) == nil {
			t.Errorf("tree name %q is accepted", name)
		}
	}
	for _, name := range []string{"oslo", "a", "7", "nas-2", strings.Repeat("a", 63)} {
		if err := ValidSiteName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "-a", "A", "a.b", "a/b", "a_b", "é", "a b", "a\n", strings.Repeat("a", 64)} {
		if ValidSiteName(name) == nil {
			t.Errorf("site name %q is accepted", name)
		}
	}
}

func TestStoredTime(t *testing.T) {
	for _, c := range []struct{ in, want time.Time }{
		{time.Unix(1, 5).In(time.FixedZone("x", 3600)), time.Unix(1, 5).UTC()},
		{time.Unix(0, -1), time.Unix(0, -1).UTC()},
		{time.Date(2446, 5, 10, 0, 0, 0, 0, time.UTC), time.Unix(0, 1<<63-1).UTC()}, // ext4's last
		{time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, -1<<63).UTC()},
	} {
		m := sample()
		m.ModTime = c.in
		got, err := DecodeMetainfo(m.Encode())
		if err != nil || got.ModTime != c.want || StoredTime(c.in) != c.want {
			t.Errorf("%v is stored as %v and read as %v, %v; want %v", c.in, StoredTime(c.in), got.ModTime, err, c.want)
		}
	}
}

func TestIdentities(t *testing.T) {
	h := sample().InfoHash()
	if got, err := ParseInfoHash(strings.ToUpper(h.String())); err != nil || got != h {
		t.Errorf("%v, %v", got, err)
	}
	c := sample().Content()
	if got, err := ParseContent(c.String()); err != nil || got != c {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", "00", strings.Repeat("g", 40), strings.Repeat("0", 39), strings.Repeat("0", 41), strings.Repeat("0", 64)} {
		if h, err := ParseInfoHash(s); err == nil || !h.IsZero() {
			t.Errorf("info hash %q: %v", s, h)
		}
		if c, err := ParseContent(s + "x"); err == nil || !c.IsZero() {
			t.Errorf("content %q: %v", s, c)
		}
	}
	// Two paths, one content; two contents, one path.
	m := sample()
	m.Path = "elsewhere"
	if m.InfoHash() == h || m.Content() != c {
		t.Error("a path is in the info hash and not in the content")
	}
	m = sample()
	m.Pieces = []byte(strings.Repeat("y", 40))
	if m.Content() == c {
		t.Error("pieces are in the content")
	}
	for k, want := range map[Kind]string{Regular: "file", Empty: "empty file", Symlink: "symlink", EmptyDir: "empty directory", 9: "unknown kind"} {
		if fmt.Sprint(k) != want {
			t.Errorf("kind %d is %q", uint8(k), k)
		}
	}
}
