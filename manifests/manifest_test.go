package manifests

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const fullManifest = `# The truth lives in Oslo.
apiVersion: seedtree/v1
main: oslo                       # the site whose files are the truth
trackers:                        # BEP 12 tiers
  - [https://oslo.example:6969/announce, https://lima.example:6969/announce]
  - ["udp://10.0.0.1:6969"]
trees:
  photos:
    ignore: ["*.tmp", ".DS_Store", "/cache/**"]
    seeding:
      - {match: "raw/**", ratio: 1.5}
  "My Music":
sites:
  oslo: {peer: "oslo.example:42069"}
  lima: {peer: "[2001:db8::1]:42069"}
  attic: {include: ["photos/2019/**"], exclude: ["**/*.raw"]}
  7:
prune:
  limit: {percent: 5, files: 1000}
  trash: 1w2d
  approved: ""
revoked: [0A:ff, 12]
`

func TestParseManifest(t *testing.T) {
	want := &Manifest{
		Main:     "oslo",
		Trackers: [][]string{{"https://oslo.example:6969/announce", "https://lima.example:6969/announce"}, {"udp://10.0.0.1:6969"}},
		Trees: map[string]TreeSpec{
			"photos":   {Ignore: []string{"*.tmp", ".DS_Store", "/cache/**"}, Seeding: []SeedingRule{{"raw/**", 1.5}}},
			"My Music": {},
		},
		Sites: map[string]SiteSpec{
			"oslo":  {Peer: "oslo.example:42069"},
			"lima":  {Peer: "[2001:db8::1]:42069"},
			"attic": {Include: []string{"photos/2019/**"}, Exclude: []string{"**/*.raw"}},
			"7":     {},
		},
		Prune:   PruneSpec{Limit: Limit{5, 1000}, Trash: 9 * 24 * time.Hour},
		Revoked: []string{"0aff", "12"},
	}
	for name, text := range map[string]string{
		"LF": fullManifest, "CRLF": strings.ReplaceAll(fullManifest, "\n", "\r\n"), "BOM": "\ufeff" + fullManifest,
	} {
		got, err := ParseManifest([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := want.PeersExcept("oslo"); !cmp.Equal(got, []string{"[2001:db8::1]:42069"}) {
		t.Errorf("PeersExcept(oslo) = %q", got)
	}
}

func TestManifestDefaults(t *testing.T) {
	got, err := ParseManifest([]byte("apiVersion: seedtree/v1\nmain: oslo\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := &Manifest{
		Main: "oslo", Trees: map[string]TreeSpec{}, Sites: map[string]SiteSpec{},
		Prune: PruneSpec{Limit: Limit{10, 1000}, Trash: 30 * 24 * time.Hour},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Every fault is named, in one go, where it stands.
func TestManifestAllProblemsAtOnce(t *testing.T) {
	_, err := ParseManifest([]byte(`apiVersion: seedtree/v2
main: paris
mian: oslo
trackers: [http://a/announce, [ftp://a/, "http://u:pw@h/", "http://", "http://h:99999/"]]
trees:
  photos: {ignore: ["a[", ""], seeding: [{match: "{", ratio: -1}, {match: x}, {rate: 3}]}
  Photos: {}
  a/b: {}
sites:
  oslo: {peer: oslo.example}
  oslo: {peer: "é:1"}
  Lima: {include: "x", exclude: ["/y", "["]}
prune: {limit: {percent: 101, files: many}, trash: 3 days, approved: HEAD}
revoked: [xyz]
`))
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error is %T: %v", err, err)
	}
	want := `manifest.yaml:1:13: apiVersion: "seedtree/v2" is not known here, only seedtree/v1 is
manifest.yaml:2:7: main: "paris" is no site; sites are Lima, oslo
manifest.yaml:3:1: manifest: unknown key "mian"; known are apiVersion, main, prune, revoked, sites, trackers, trees
manifest.yaml:4:12: trackers: want a list of tiers: [[http://a/announce]]
manifest.yaml:4:32: trackers: "ftp://a/": want a URL that begins with http, https or udp
manifest.yaml:4:42: trackers: the URL for h holds a user name or password: this file is no place for secrets
manifest.yaml:4:60: trackers: "" is no host name
manifest.yaml:4:71: trackers: "h:99999": want a port from 1 to 65535
manifest.yaml:6:21: ignore: bad ignore rule "a["
manifest.yaml:6:27: ignore: an ignore rule is one line and not empty
manifest.yaml:6:50: match: bad glob "{"
manifest.yaml:6:62: ratio: want a number over 0, at most 1000000, have "-1"
manifest.yaml:6:67: seeding: a rule has a match and a ratio
manifest.yaml:6:80: seeding: unknown key "rate"; known are match, ratio
manifest.yaml:7:3: trees: "Photos" and "photos" differ by case only: some file systems cannot tell them apart
manifest.yaml:8:3: trees: tree name "a/b" has one of / \ : * ? " < > | %
manifest.yaml:10:16: peer: "oslo.example" is no host:port
manifest.yaml:11:3: sites: key "oslo" stands already in line 10
manifest.yaml:12:3: sites: site name "Lima": only a-z, 0-9 and (not first) - are allowed
manifest.yaml:12:19: include: want a list [...], have "x"
manifest.yaml:12:34: exclude: glob "/y" begins with a slash: paths here do not, so it matches nothing
manifest.yaml:12:40: exclude: bad glob "["
manifest.yaml:13:26: percent: want a whole number from 0 to 100, have "101"
manifest.yaml:13:38: files: want a whole number from 0 to 2147483647, have "many"
manifest.yaml:13:52: trash: "3 days" is no duration such as 30d, 2w or 36h
manifest.yaml:13:70: approved: "HEAD" is no revision: want 7 to 40 hexadecimal digits
manifest.yaml:14:11: revoked: "xyz" is no serial number of up to 40 hexadecimal digits`
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
}

// trickyYAML is every way we know to make YAML explode or mean something
// else than it shows, with a part of the error it has to get.
func trickyYAML() map[string][2]string {
	const head = "apiVersion: seedtree/v1\nmain: oslo\n"
	return map[string][2]string{
		"empty":           {"", "no documents"},
		"comments only":   {"# nothing\n", "no documents"},
		"null":            {"null\n", "apiVersion"},
		"a list":          {"[a]\n", "want a mapping"},
		"two documents":   {head + "---\n" + head, "multiple"},
		"syntax":          {head + "trees: [\n", "manifest.yaml:4:1: "},
		"anchor":          {head + "revoked: &x [12]\n", "manifest.yaml:3:10: anchor &x"},
		"alias":           {head + "trees: &x {}\nsites: *x\n", "manifest.yaml:4:8: alias *x"},
		"alias to itself": {head + "trees: &x {a: *x}\n", "alias *x"},
		"merge":           {head + "trees: {<<: {}}\n", "merge key"},
		"tag":             {head + "trees: !!map {}\n", "tag !!map"},
		"custom tag":      {head + "trees: !exec {}\n", "tag !exec"},
		"key is a list":   {head + "trees: {[a]: {}}\n", "a key has to be a word"},
		"key is null":     {head + "trees: {~: {}}\n", "a key has to be a word"},
		"deep":            {head + "trees: " + strings.Repeat("[", 5000), "depth"},
		"deep block":      {head + "trees:\n" + strings.Repeat("- ", 5000), "depth"},
		"large":           {head + strings.Repeat("#", maxManifest), "at most 262144 are read"},
		"UTF-16":          {"\xff\xfea\x00", "not valid UTF-8"},
		"NUL":             {head + "\x00", "manifest.yaml:3:1: has the control character U+0000"},
		"escape":          {head + "\x1b[2J", "control character U+001B"},
		"lone CR":         {"apiVersion: seedtree/v1\rmain: oslo\n", "manifest.yaml:1:24: U+000D ends a line"},
		"next line":       {head + "# \u0085main: lima", "manifest.yaml:3:3: U+0085 ends a line"},
		"mark inside":     {head + "# \ufeff", "manifest.yaml:3:3: has the control character U+FEFF"},
		"column and mark": {"\ufeffa\x00", "manifest.yaml:1:2: has"},
		"no main":         {"apiVersion: seedtree/v1\n", "main is missing"},
		"main is null":    {"apiVersion: seedtree/v1\nmain:\n", "main: want text, have nothing"},
		"tier is a map":   {head + "trackers: [{}]\n", "want a list"},
		"century":         {head + "prune: {trash: 36501d}\n", "hundred years"},
		"overflow":        {head + "prune: {trash: 99999999999999999999w}\n", "hundred years"},
		"sum overflow":    {head + "prune: {trash: 36500d1s}\n", "hundred years"},
		"no unit":         {head + "prune: {trash: 30}\n", "no duration"},
		"negative":        {head + "prune: {trash: -1d}\n", "no duration"},
		"empty duration":  {head + "prune: {trash: ''}\n", "no duration"},
		"ratio NaN":       {head + "trees: {a: {seeding: [{match: x, ratio: nan}]}}\n", "want a number"},
		"port 0":          {head + "sites: {oslo: {peer: 'a:0'}}\n", "want a port"},
		"host with slash": {head + "sites: {oslo: {peer: 'a/b:1'}}\n", "no host name"},
		"tracker no port": {head + "trackers: [['http:///announce']]\n", "no host name"},
		"glob bomb":       {head + "sites: {oslo: {include: ['" + strings.Repeat("{a,*}", 30) + "b']}}\n", "stands for more than 1000 globs"},
		"wide glob bomb":  {head + "sites: {oslo: {include: ['" + strings.Repeat("{a,*,b,?,c,d,e,f,g,h,i}", 3) + "b']}}\n", "stands for more than 1000 globs"},
		"nested bomb":     {head + "sites: {oslo: {include: ['" + strings.Repeat("{*,{a,*}}", 9) + "b']}}\n", "stands for more than 1000 globs"},
		"many problems":   {head + strings.Repeat("x: y\n", 5000), "stands already"},
	}
}

func TestManifestRefusesTrickyYAML(t *testing.T) {
	for name, c := range trickyYAML() {
		t.Run(name, func(t *testing.T) {
			m, err := ParseManifest([]byte(c[0]))
			var problems Problems
			if !errors.As(err, &problems) || !strings.Contains(err.Error(), c[1]) || m != nil {
				t.Errorf("got %v, %v; want an error with %q", m, err, c[1])
			}
			if len(problems) > maxProblems {
				t.Errorf("%d problems in one error", len(problems))
			}
		})
	}
}

func TestGlobsPeopleWrite(t *testing.T) {
	for _, glob := range []string{"**", "**/*.{jpg,JPG,jpeg,png}", "photos/{2018,2019}/**", `a\{b\,c*`, "[a-z]*", "{" + strings.Repeat("a,", 900) + "b}"} {
		if err := checkGlob(glob); err != nil {
			t.Error(err)
		}
	}
}

func TestIncludes(t *testing.T) {
	m, err := ParseManifest([]byte(fullManifest))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		site, tree string
		path       Path
		want       bool
	}{
		{"attic", "photos", "2019/a.jpg", true},
		{"attic", "photos", "2019/deep/er/a.jpg", true},
		{"attic", "photos", "2019/a.raw", false},
		{"attic", "photos", "2020/a.jpg", false},
		{"attic", "My Music", "2019/a.jpg", false},
		{"oslo", "My Music", "a", true},
		{"unlisted", "photos", "2020/a.raw", true},
	} {
		if got := m.Includes(c.site, Entry{Tree: c.tree, Path: c.path}); got != c.want {
			t.Errorf("Includes(%s, %s/%s) = %v", c.site, c.tree, c.path, got)
		}
	}
	photos := m.Trees["photos"]
	if r, ok := photos.Ratio("raw/1.dng"); !ok || r != 1.5 {
		t.Errorf("Ratio(raw/1.dng) = %v, %v", r, ok)
	}
	if _, ok := photos.Ratio("1.jpg"); ok {
		t.Error("Ratio(1.jpg) ends")
	}
}
