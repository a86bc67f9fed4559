package main

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

// testApp is an app with the given environment and command line settings.
func testApp(t *testing.T, env []string, flags ...string) *app {
	t.Helper()
	a := newApp(streams{strings.NewReader(""), io.Discard, io.Discard})
	a.lookup = func() []string { return env }
	root := a.root()
	if err := root.PersistentFlags().Parse(flags); err != nil {
		t.Fatal(err)
	}
	return a
}

// everySetting holds a valid text for every setting that is supported.
func everySetting() map[string]string {
	return map[string]string{
		"site": "oslo", "trees": "photos=/srv/photos,more stuff=/srv/more\\, stuff: #1", "state": "/var/lib/x", "drift": "report", "report": "none",
		"tracker.listen": ":6969", "web.listen": "127.0.0.1:8080", "schedule.sync": "@every 7m", "schedule.build": "never", "schedule.timezone": "Europe/Oslo", "schedule.jitter": "12.5%",
		"catalog.urls": "ssh://git@git.example/c.git,/srv/c.git", "catalog.branch": "yes", "catalog.timeout": "90s", "catalog.signatures": "all",
		"catalog.allowedSignersFile": "/as", "catalog.signingKeyFile": "/sk", "catalog.signingPassphraseFile": "/sp", "catalog.trustedRevision": strings.Repeat("0a", 20),
		"catalog.ssh.keyFile": "/k", "catalog.ssh.passphraseFile": "/p", "catalog.ssh.knownHostsFile": "/h",
		"catalog.https.username": "12", "catalog.https.passwordFile": "/pw", "catalog.https.caFile": "/ca", "catalog.https.certFile": "/c", "catalog.https.keyFile": "/kk",
		"catalog.https.proxy": "http://proxy.example:3128", "catalog.https.proxyPasswordFile": "/pp",
		"engine.transmission.url": "http://127.0.0.1:9091/transmission/rpc", "engine.transmission.username": "null", "engine.transmission.passwordFile": "/tp",
		"engine.transmission.caFile": "/tca", "engine.transmission.certFile": "/tc", "engine.transmission.keyFile": "/tk",
		"engine.transmission.paths": "/srv=/data", "engine.transmission.manageSettings": "true",
		"engine.embedded.listen": "127.0.0.1:0", "engine.embedded.upload": "20MB", "engine.embedded.download": "1MiB",
	}
}

// What init writes, a later run reads back as the same configuration; and a
// flag, a variable and the file mean the same for every setting.
func TestEverySettingByEveryWay(t *testing.T) {
	none := func(string) string { return "" }
	byFile := defaults(none)
	values := map[string]shaped{}
	var env, flags []string
	samples := everySetting()
	for _, s := range byFile.settings() {
		if s.refused() {
			continue
		}
		text, ok := samples[s.key]
		if !ok {
			t.Errorf("no sample for %s", s.key)
			continue
		}
		v, err := s.parse(text)
		if err != nil {
			t.Fatalf("%s: %v", s.key, err)
		}
		values[s.key] = v
		env = append(env, s.variable()+"="+text)
		said := []string{text}
		if s.one == nil {
			said = items(text)
		}
		for _, item := range said {
			flags = append(flags, "--"+s.flagName()+"="+item)
		}
	}
	file := configText(byFile.settings(), values)
	if err := readConfigFile("c.yaml", []byte(file), byFile.settings()); err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	blank := defaults(none)
	if reflect.DeepEqual(byFile, blank) {
		t.Fatal("the samples say nothing")
	}
	for way, a := range map[string]*app{"variables": testApp(t, env), "flags": testApp(t, nil, flags...)} {
		got := defaults(none)
		if err := a.overlay(got); err != nil {
			t.Fatalf("by %s: %v", way, err)
		}
		if !reflect.DeepEqual(got, byFile) {
			t.Errorf("by %s: %+v\nby file: %+v", way, got, byFile)
		}
	}
	// Every sample differs from the default, or the comparison proves nothing.
	for _, s := range blank.settings() {
		if s.refused() {
			continue
		}
		one := defaults(none)
		for _, o := range one.settings() {
			if o.key == s.key {
				if err := o.set(values[s.key]); err != nil {
					t.Fatal(err)
				}
			}
		}
		if reflect.DeepEqual(one, defaults(none)) {
			t.Errorf("%s: the sample is the default", s.key)
		}
	}
}

// A comma is a legal letter in the name of a folder, and a URL may have one.
func TestCommasInLists(t *testing.T) {
	for way, a := range map[string]*app{
		"flags":     testApp(t, nil, "--tree", "photos=/srv/a,b=c, d", "--tree", "more=/srv/more", "--catalog", "/srv/c,d.git"),
		"variables": testApp(t, []string{`SEEDTREE_TREE=photos=/srv/a\,b=c\, d , more=/srv/more,`, `SEEDTREE_CATALOG=/srv/c\,d.git`}),
	} {
		c := defaults(a.getenv)
		if err := a.overlay(c); err != nil {
			t.Errorf("by %s: %v", way, err)
		}
		if want := (map[string]string{"photos": "/srv/a,b=c, d", "more": "/srv/more"}); !reflect.DeepEqual(c.Trees, want) {
			t.Errorf("by %s: trees %q", way, c.Trees)
		}
		if want := []string{"/srv/c,d.git"}; !reflect.DeepEqual(c.Catalog.URLs, want) {
			t.Errorf("by %s: catalogs %q", way, c.Catalog.URLs)
		}
	}
}

func TestNamesOfSettings(t *testing.T) {
	seen := map[string]string{}
	for _, s := range new(Config).settings() {
		if other, twice := seen[s.flagName()]; twice {
			t.Errorf("%s and %s share the flag --%s", s.key, other, s.flagName())
		}
		seen[s.flagName()] = s.key
		if !s.refused() && s.help == "" {
			t.Errorf("%s has no help", s.key)
		}
	}
	if seen["catalog-https-password-file"] == "" || seen["tree"] != "trees" {
		t.Errorf("flags are not named as documented: %v", seen)
	}
}

func TestPrecedence(t *testing.T) {
	read := func(a *app) string {
		c := defaults(a.getenv)
		if err := readConfigFile("c.yaml", []byte("report: git\ndrift: heal\n"), c.settings()); err != nil {
			t.Fatal(err)
		}
		if err := a.overlay(c); err != nil {
			t.Fatal(err)
		}
		return c.Drift
	}
	if got := read(testApp(t, []string{"SEEDTREE_DRIFT="})); got != "heal" {
		t.Errorf("file under an empty variable: %s", got)
	}
	if got := read(testApp(t, []string{"SEEDTREE_DRIFT=report"})); got != "report" {
		t.Errorf("variable over file: %s", got)
	}
	if got := read(testApp(t, []string{"SEEDTREE_DRIFT=report"}, "--drift", "heal")); got != "heal" {
		t.Errorf("flag over variable: %s", got)
	}
}

func FuzzConfigFile(f *testing.F) {
	f.Add("site: oslo\ntrees: {photos: /srv}\n")
	f.Add("a: &a [*a]\n")
	f.Add("catalog: {urls: [x]}\n? [a]\n: b\n")
	f.Fuzz(func(t *testing.T, text string) {
		_ = readConfigFile("c.yaml", []byte(text), defaults(func(string) string { return "" }).settings())
	})
}

// What the help shows as a configuration must be one.
func TestHelpShowsAValidConfiguration(t *testing.T) {
	_, example, ok := strings.Cut(configExample, "\n\n")
	if !ok {
		t.Fatal("no example")
	}
	c := defaults(func(string) string { return "" })
	if err := readConfigFile("example", []byte(example), c.settings()); err != nil {
		t.Fatal(err)
	}
	if err := c.check(); err != nil || c.Site != "lima" || c.Engine.Embedded.Upload != 2_000_000 {
		t.Errorf("%+v, %v", c, err)
	}
}

// And the defaults that it names must be those that apply.
func TestHelpNamesTheDefaults(t *testing.T) {
	c := defaults(func(string) string { return "" })
	help := map[string]string{}
	for _, s := range c.settings() {
		help[s.key] = s.help
	}
	for key, value := range map[string]string{
		"drift": "`" + c.Drift + "`, the default", "report": "`" + c.Report + "`, the default",
		"schedule.sync": "default " + c.Schedule.Sync, "schedule.build": "(default: " + c.Schedule.Build + ")",
		"schedule.jitter": fmt.Sprintf("(default: %.0f%%)", c.Schedule.Jitter*100),
		"catalog.branch":  "(default: " + c.Catalog.Branch + ")", "engine.embedded.listen": "(default: " + c.Engine.Embedded.Listen + ")",
	} {
		if !strings.Contains(help[key], value) {
			t.Errorf("%s: %q does not say %q", key, help[key], value)
		}
	}
	if c.Catalog.Timeout != time.Minute {
		t.Errorf("catalog.timeout is %v", c.Catalog.Timeout)
	}
}
