package main

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// setting is one key of the configuration file, which is also a flag and a
// variable. Exactly one of one, many and pairs takes the value over; a setting
// with none of them belongs to a later version and is refused by name, so that
// nobody believes a protection is on that is not.
type setting struct {
	key    string // as in the file, dotted
	flag   string // "": derived from the key
	help   string
	common bool // listed in every --help
	one    func(string) error
	many   func([]string) error
	pairs  func(map[string]string) error
	local  func(string) string // makes a value from the command line absolute
}

func (s setting) refused() bool { return s.one == nil && s.many == nil && s.pairs == nil }

// flagName is catalog-https-password-file for catalog.https.passwordFile.
func (s setting) flagName() string {
	if s.flag != "" {
		return s.flag
	}
	var b strings.Builder
	for i, r := range s.key {
		switch {
		case r == '.':
			b.WriteByte('-')
		case r >= 'A' && r <= 'Z' && i > 0:
			b.WriteByte('-')
			b.WriteRune(r - 'A' + 'a')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// variable is SEEDTREE_ and the flag's name in upper case.
func (s setting) variable() string {
	return "SEEDTREE_" + strings.ToUpper(strings.ReplaceAll(s.flagName(), "-", "_"))
}

// shaped is a setting's value before it is checked: text, a list or a map,
// whichever its setting takes.
type shaped struct {
	one   string
	many  []string
	pairs map[string]string
}

// parse reads a value as a variable gives it: the items of lists and maps are
// separated by commas.
func (s setting) parse(text string) (shaped, error) {
	if s.one != nil {
		return s.shape([]string{text})
	}
	return s.shape(items(text))
}

// items splits at commas, but for those behind a backslash.
func items(text string) []string {
	var all []string
	var item strings.Builder
	take := func() {
		if i := strings.TrimSpace(item.String()); i != "" {
			all = append(all, i)
		}
		item.Reset()
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == ',':
			take()
		case strings.HasPrefix(text[i:], `\,`):
			i++
			item.WriteByte(',')
		default:
			item.WriteByte(text[i])
		}
	}
	take()
	return all
}

// shape reads items, those of a map as NAME=VALUE, paths relative to the working
// directory.
func (s setting) shape(items []string) (shaped, error) {
	local := s.local
	if local == nil {
		local = func(v string) string { return v }
	}
	if s.one != nil {
		return shaped{one: local(items[0])}, nil
	}
	if s.many != nil {
		var v shaped
		for _, item := range items {
			v.many = append(v.many, local(item))
		}
		return v, nil
	}
	v := shaped{pairs: map[string]string{}}
	for _, part := range items {
		name, value, ok := strings.Cut(part, "=")
		if !ok || name == "" || value == "" {
			return v, fmt.Errorf("%q: want NAME=VALUE", part)
		}
		if _, twice := v.pairs[name]; twice {
			return v, fmt.Errorf("%q is given twice", name)
		}
		v.pairs[name] = local(value)
	}
	return v, nil
}

// set checks a value and takes it over.
func (s setting) set(v shaped) error {
	switch {
	case s.one != nil:
		return s.one(v.one)
	case s.many != nil:
		return s.many(v.many)
	default:
		return s.pairs(v.pairs)
	}
}

// accept takes over what parse or shape returned.
func (s setting) accept(v shaped, err error) error {
	if err != nil {
		return err
	}
	return s.set(v)
}

// settings is the whole configuration, in the order of its documentation.
func (c *Config) settings() []setting {
	all := []setting{
		{key: "site", common: true, help: "this site's `name`", one: text(&c.Site, validSite)},
		{key: "trees", flag: "tree", common: true, help: "a tree and its root directory here, `NAME=DIR`; repeatable", pairs: c.setTrees, local: absolute},
		{key: "state", common: true, help: "`directory` for the mirror of the catalog and the agent's notes (default: /var/lib/seedtree for root, else $XDG_STATE_HOME/seedtree)", one: path(&c.State), local: absolute},
		{key: "drift", help: "what to do about files that somebody else changed: `heal`, the default, or report", one: choice(&c.Drift, "heal", "report")},
		{key: "report", help: "where this site's status goes: `git`, the default, or none", one: choice(&c.Report, "git", "none")},
		{key: "tracker.listen", help: "`address` of the agent's tracker, e.g. :6969 (default: none)", one: text(&c.Tracker, validListen)},
		{key: "web.listen", help: "`address` of the agent's /healthz and /readyz, e.g. 127.0.0.1:8080; :8080 is this machine alone (default: none)", one: text(&c.Web, validListen)},
		{key: "schedule.sync", help: "`cron` expression of the agent's passes, or as the default @every 5m", one: text(&c.Schedule.Sync, validSchedule)},
		{key: "schedule.build", help: "`cron` expression of builds while this site is main, or never (default: 0 3 * * *)", one: c.setBuild},
		{key: "schedule.timezone", help: "time `zone` of the schedules, e.g. Europe/Oslo (default: the machine's)", one: c.setZone},
		{key: "schedule.jitter", help: "random delay as a `share` of the interval (default: 10%)", one: c.setJitter},
	}
	all = append(all, c.catalogSettings()...)
	all = append(all, c.engineSettings()...)
	for _, key := range []string{
		"tls", "web.webhookSecretFile", "web.tokenFile", "notify", "notifyFile", "schedule.verify",
	} {
		all = append(all, setting{key: key})
	}
	return all
}

func (c *Config) catalogSettings() []setting {
	g := &c.Catalog
	return []setting{
		{key: "catalog.urls", flag: "catalog", common: true, help: "`URL` or path of the catalog repository; repeatable, the first that answers is used", many: c.setURLs, local: absoluteURL},
		{key: "catalog.branch", help: "the catalog's `branch` (default: main)", one: text(&g.Branch, notEmpty)},
		{key: "catalog.timeout", help: "deadline of each step over the network, and of each 1 kB/s while a pack moves (default: 1m)", one: c.setTimeout},
		{key: "catalog.signatures", help: "which commits must be signed: `none` (the default), head, or all", one: c.setSignatures},
		{key: "catalog.allowedSignersFile", help: "`file` that says who may sign, as OpenSSH's allowed_signers; principals are admin:WHO and site:NAME", one: path(&g.Trust.AllowedSignersFile), local: absolute},
		{key: "catalog.signingKeyFile", help: "private key `file` that this site's commits are signed with, SSH or armoured OpenPGP (default: they are not)", one: path(&g.Trust.SigningKeyFile), local: absolute},
		{key: "catalog.signingPassphraseFile", help: "`file` with that key's passphrase", one: path(&g.Trust.SigningPassphraseFile), local: absolute},
		{key: "catalog.trustedRevision", help: "full `id` of a commit that needs no signature, nor do those before it; every head must descend from it", one: text(&g.Trust.Revision, validCommitID)},
		{key: "catalog.ssh.keyFile", help: "private key `file` (default: the running ssh agent's, those in ~/.ssh)", one: path(&g.SSH.KeyFile), local: absolute},
		{key: "catalog.ssh.passphraseFile", help: "`file` with the key's passphrase", one: path(&g.SSH.PassphraseFile), local: absolute},
		{key: "catalog.ssh.knownHostsFile", help: "known_hosts `file` (default: ~/.ssh/known_hosts)", one: path(&g.SSH.KnownHostsFile), local: absolute},
		{key: "catalog.https.username", help: "user `name`", one: text(&g.HTTPS.Username, nil)},
		{key: "catalog.https.passwordFile", help: "`file` with the password or token", one: path(&g.HTTPS.PasswordFile), local: absolute},
		{key: "catalog.https.caFile", help: "`file` with the server's root certificates", one: path(&g.HTTPS.CAFile), local: absolute},
		{key: "catalog.https.certFile", help: "client certificate `file`", one: path(&g.HTTPS.CertFile), local: absolute},
		{key: "catalog.https.keyFile", help: "the certificate's key `file`", one: path(&g.HTTPS.KeyFile), local: absolute},
		{key: "catalog.https.proxy", help: "`http://[NAME@]HOST:PORT` to CONNECT through (default: $HTTPS_PROXY, $NO_PROXY); ssh goes directly", one: text(&g.HTTPS.Proxy, nil)},
		{key: "catalog.https.proxyPasswordFile", help: "`file` with the proxy's password", one: path(&g.HTTPS.ProxyPasswordFile), local: absolute},
	}
}

func (c *Config) engineSettings() []setting {
	t, e := &c.Engine.Transmission, &c.Engine.Embedded
	return []setting{
		{key: "engine.transmission.url", help: "`URL` of Transmission's RPC; without it the embedded client is used", one: text(&t.URL, validHTTP)},
		{key: "engine.transmission.username", help: "RPC user `name`", one: text(&t.Username, nil)},
		{key: "engine.transmission.passwordFile", help: "`file` with the RPC password", one: path(&t.PasswordFile), local: absolute},
		{key: "engine.transmission.caFile", help: "`file` with the RPC server's root certificates", one: path(&t.CAFile), local: absolute},
		{key: "engine.transmission.certFile", help: "client certificate `file`", one: path(&t.CertFile), local: absolute},
		{key: "engine.transmission.keyFile", help: "the certificate's key `file`", one: path(&t.KeyFile), local: absolute},
		{key: "engine.transmission.paths", help: "path `HERE=THERE` where Transmission sees directories elsewhere; repeatable", pairs: c.setPaths},
		{key: "engine.transmission.manageSettings", help: "`true` lets seedtree change the client's session settings", one: c.setManage},
		{key: "engine.embedded.listen", help: "`address` for peers (default: :42069)", one: text(&e.Listen, validListen)},
		{key: "engine.embedded.upload", help: "upload `limit` a second, e.g. 20MB (default: none)", one: size(&e.Upload)},
		{key: "engine.embedded.download", help: "download `limit` a second (default: none)", one: size(&e.Download)},
	}
}

func text(into *string, valid func(string) error) func(string) error {
	return func(v string) error {
		if valid != nil {
			if err := valid(v); err != nil {
				return err
			}
		}
		*into = v
		return nil
	}
}

func path(into *string) func(string) error {
	return text(into, func(v string) error {
		if !filepath.IsAbs(v) {
			return fmt.Errorf("%q: want an absolute path", v)
		}
		return nil
	})
}

func choice(into *string, options ...string) func(string) error {
	return text(into, func(v string) error {
		for _, o := range options {
			if v == o {
				return nil
			}
		}
		return fmt.Errorf("%q: want %s", v, strings.Join(options, " or "))
	})
}

func size(into *int64) func(string) error {
	return func(v string) error {
		n, err := humanize.ParseBytes(v)
		if err != nil || n > 1<<50 {
			return fmt.Errorf("%q: want a size such as 20MB", v)
		}
		*into = int64(n)
		return nil
	}
}

func notEmpty(v string) error {
	if v == "" {
		return fmt.Errorf("must not be empty")
	}
	return nil
}

func validListen(v string) error {
	if v == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return fmt.Errorf("%q: want HOST:PORT or :PORT", v)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q: port %d is not between 0 and 65535", v, n)
	}
	return nil
}

func validHTTP(v string) error {
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("want an http or https URL")
	}
	if u.User != nil {
		return fmt.Errorf("holds credentials; use username and passwordFile")
	}
	return nil
}

// absolute makes a path from the command line independent of where it was typed.
func absolute(v string) string {
	if abs, err := filepath.Abs(v); err == nil && v != "" {
		return abs
	}
	return v
}

// absoluteURL does the same for a catalog given as a local path.
func absoluteURL(v string) string {
	if strings.Contains(v, ":") {
		return v // a URL, or host:path as ssh writes it
	}
	return absolute(v)
}

func (c *Config) setTimeout(v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < time.Second || d > 24*time.Hour {
		return fmt.Errorf("%q: want a duration between 1s and 24h", v)
	}
	c.Catalog.Timeout = d
	return nil
}
