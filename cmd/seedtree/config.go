package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"seedtree/gitsource"
	"seedtree/manifests"
)

// Config is what one site knows about itself. Everything sites share is in the
// catalog's manifest instead.
type Config struct {
	Path     string // the file it came from, "" for none
	Site     string
	Catalog  CatalogConfig
	Trees    map[string]string // tree name to its root directory here
	State    string
	Engine   EngineConfig
	Schedule ScheduleConfig
	Tracker  string // listen address, "" for no tracker
	Web      string // listen address, "" for no health
	Drift    string // heal or report
	Report   string // git or none
}

// CatalogConfig says where the catalog repository is and how to get in.
type CatalogConfig struct {
	URLs    []string
	Branch  string
	Timeout time.Duration
	Trust   gitsource.Trust // what the configuration says of it
	SSH     struct{ KeyFile, PassphraseFile, KnownHostsFile string }
	HTTPS   struct{ Username, PasswordFile, CAFile, CertFile, KeyFile, Proxy, ProxyPasswordFile string }
}

// EngineConfig says which BitTorrent client holds this site's torrents:
// Transmission if its URL is given, else the embedded one.
type EngineConfig struct {
	Transmission struct {
		URL, Username, PasswordFile, CAFile, CertFile, KeyFile string
		Paths                                                  map[string]string
		ManageSettings                                         bool
	}
	Embedded struct {
		Listen           string
		Upload, Download int64 // bytes a second, 0: no limit
	}
}

// ScheduleConfig says when the agent works without being asked.
type ScheduleConfig struct {
	Sync, Build string // cron expressions; Build "" is never
	Location    *time.Location
	Jitter      float64 // share of an interval, 0 to 1
}

// defaults are the lowest layer of the configuration.
func defaults(getenv func(string) string) *Config {
	c := &Config{Drift: "heal", Report: "git", State: defaultState(getenv)}
	c.Catalog.Branch = "main"
	c.Catalog.Timeout = time.Minute
	c.Engine.Embedded.Listen = ":42069"
	c.Schedule = ScheduleConfig{Sync: "@every 5m", Build: "0 3 * * *", Location: time.Local, Jitter: 0.1}
	return c
}

func defaultState(getenv func(string) string) string {
	if os.Geteuid() == 0 && getenv("XDG_STATE_HOME") == "" {
		return "/var/lib/seedtree"
	}
	return filepath.Join(cmp.Or(getenv("XDG_STATE_HOME"), filepath.Join(getenv("HOME"), ".local/state")), "seedtree")
}

// configPaths are the places where a configuration may lie, first match wins.
func configPaths(getenv func(string) string) []string {
	home := cmp.Or(getenv("XDG_CONFIG_HOME"), filepath.Join(getenv("HOME"), ".config"))
	return []string{filepath.Join(home, "seedtree/config.yaml"), "/etc/seedtree/config.yaml"}
}

// loadConfig puts the layers together: default, file, variable, flag, each
// over the one before. It checks what is there, not what a verb needs: see need.
func (a *app) loadConfig() (*Config, error) {
	c := defaults(a.getenv)
	path, err := a.findConfig()
	if err != nil {
		return nil, err
	}
	if path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		if err := readConfigFile(path, data, c.settings()); err != nil {
			return nil, err
		}
		c.Path = path
	}
	if err := a.overlay(c); err != nil {
		return nil, err
	}
	return c, c.check()
}

// findConfig returns the configuration file to read, "" if there is none and
// nobody asked for one.
func (a *app) findConfig() (string, error) {
	if a.config != "" {
		abs, err := filepath.Abs(a.config)
		if err != nil {
			return "", fmt.Errorf("--config %s: %w", a.config, err)
		}
		return abs, nil
	}
	for _, p := range configPaths(a.getenv) {
		_, err := os.Stat(p)
		switch {
		case err == nil:
			return p, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("configuration: %w", err)
		}
	}
	return "", nil
}

// overlay applies the variables, then the flags.
func (a *app) overlay(c *Config) error {
	var errs []error
	for _, s := range c.settings() {
		if s.refused() {
			continue
		}
		if text := a.getenv(s.variable()); text != "" {
			if err := s.accept(s.parse(text)); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", s.variable(), err))
			}
		}
		if a.flags.Changed(s.flagName()) {
			if err := s.accept(s.shape(a.given[s.key].items)); err != nil {
				errs = append(errs, fmt.Errorf("--%s: %w", s.flagName(), err))
			}
		}
	}
	return errors.Join(errs...)
}

// check finds contradictions between settings.
func (c *Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	t := c.Engine.Transmission
	if t.URL == "" && (t.Username != "" || t.PasswordFile != "" || t.CAFile != "" || t.CertFile != "" || len(t.Paths) > 0 || t.ManageSettings) {
		bad("engine.transmission: url is missing")
	}
	if (t.Username == "") != (t.PasswordFile == "") {
		bad("engine.transmission: username and passwordFile go together")
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		bad("engine.transmission: certFile and keyFile go together")
	}
	h := c.Catalog.HTTPS
	if (h.CertFile == "") != (h.KeyFile == "") {
		bad("catalog.https: certFile and keyFile go together")
	}
	sig := c.Catalog.Trust
	if sig.Signatures != gitsource.NoSignatures && sig.AllowedSignersFile == "" {
		bad("catalog: signatures: %s needs allowedSignersFile", sig.Signatures)
	}
	if sig.SigningPassphraseFile != "" && sig.SigningKeyFile == "" {
		bad("catalog: signingPassphraseFile without signingKeyFile")
	}
	if sig.Revision != "" && sig.Signatures == gitsource.NoSignatures {
		bad("catalog: trustedRevision without signatures")
	}
	roots := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Trees)) {
		root := filepath.Clean(c.Trees[name])
		for other, tree := range roots {
			if inside(root, other) || inside(other, root) {
				bad("trees: %s at %s and %s at %s: one lies in the other", tree, other, name, root)
			}
		}
		if inside(c.State, root) {
			bad("state: %s lies in the tree %s", c.State, name)
		}
		roots[root] = name
	}
	return errors.Join(errs...)
}

// inside reports whether path is dir or lies below it.
func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// need names a setting that a verb cannot do without.
type need uint8

// What verbs ask for.
const (
	needSite need = iota
	needCatalog
	needTrees
)

// site loads the configuration for a verb that needs these settings.
func (a *app) site(needs ...need) (*Config, error) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, n := range needs {
		switch {
		case n == needSite && c.Site == "":
			missing = append(missing, "site")
		case n == needCatalog && len(c.Catalog.URLs) == 0:
			missing = append(missing, "catalog.urls")
		case n == needTrees && len(c.Trees) == 0:
			missing = append(missing, "trees")
		}
	}
	if len(missing) == 0 {
		return c, nil
	}
	where := cmp.Or(c.Path, "no configuration file found")
	err = fmt.Errorf("%s: not configured: %s", where, slices.Sorted(slices.Values(missing)))
	if c.Path == "" {
		return nil, withHint(err, "seedtree init --site NAME --catalog URL --tree NAME=DIR")
	}
	return nil, withHint(err, "seedtree help config")
}

// validSite checks a site's name where the configuration gives it.
func validSite(s string) error { return manifests.ValidSiteName(s) }
