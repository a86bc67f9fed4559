package gitsource

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"seedtree/internal/testkit"
)

// court is a catalog whose commits are judged: real git and real keys, and a site
// that looks at what comes.
type court struct {
	t       *testing.T
	repo    string // the remote
	work    string // somebody's clone
	dir     string // of keys and of the list of signers
	allowed string
	site    *Source
}

// courtManifest names a main.
func courtManifest(name string) string {
	return "apiVersion: seedtree/v1\nmain: " + name + "\ntrees:\n  photos: {}\nsites:\n  oslo: {}\n  lima: {}\n"
}

func newCourt(t *testing.T, mode Signatures) *court {
	t.Helper()
	testkit.Need(t, "ssh-keygen", "openssh-client")
	c := &court{t: t, repo: bareRepo(t), dir: t.TempDir()}
	c.work = filepath.Join(t.TempDir(), "work")
	c.allowed = filepath.Join(c.dir, "allowed")
	for _, who := range []string{"ada", "oslo", "lima", "eve"} {
		run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", c.key(who))
	}
	c.allow("admin:ada ada", "site:oslo oslo", "site:lima lima")
	git(t, "", "clone", "-q", c.repo, c.work)
	git(t, c.work, "checkout", "-q", "-B", "main")
	c.site = c.open(mode)
	return c
}

func (c *court) key(who string) string { return filepath.Join(c.dir, who) }

// allow writes the list: lines of principals, options and the name of a key.
func (c *court) allow(lines ...string) {
	c.t.Helper()
	text := "# who may change the catalog\n"
	for _, l := range lines {
		at := strings.LastIndexByte(l, ' ')
		pub, err := os.ReadFile(c.key(l[at+1:]) + ".pub")
		must(c.t, err)
		text += l[:at] + " " + string(pub)
	}
	must(c.t, os.WriteFile(c.allowed, []byte(text), 0o644))
}

// open makes a site of its own; a key makes it one that signs.
func (c *court) open(mode Signatures, key ...string) *Source {
	c.t.Helper()
	cfg := Config{URLs: []string{c.repo}, Trust: Trust{Signatures: mode, AllowedSignersFile: c.allowed}}
	if len(key) > 0 {
		cfg.Trust.SigningKeyFile = c.key(key[0])
	}
	return with(c.t, cfg)
}

// commit makes a commit with the real git: files by name, "" deletes. who "" does not sign.
func (c *court) commit(who string, files map[string]string) string {
	c.t.Helper()
	for name, text := range files {
		path := filepath.Join(c.work, name)
		if text == "" {
			must(c.t, os.RemoveAll(path))
			continue
		}
		must(c.t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(c.t, os.WriteFile(path, []byte(text), 0o644))
	}
	git(c.t, c.work, "add", "-A")
	return c.git(who, "commit", "-q", "--allow-empty", "-m", "By "+who)
}

// git runs a git command that makes a commit, and returns the new head.
func (c *court) git(who string, args ...string) string {
	c.t.Helper()
	if who != "" {
		sign := []string{"-c", "gpg.format=ssh", "-c", "user.signingkey=" + c.key(who), "-c", "commit.gpgsign=true"}
		args = append(sign, args...)
	}
	git(c.t, c.work, args...)
	return c.head()
}

func (c *court) head() string { return git(c.t, c.work, "rev-parse", "HEAD") }

func (c *court) push() {
	c.t.Helper()
	git(c.t, c.work, "push", "-q", "--force", "origin", "HEAD:main")
}

// begin is a catalog with a manifest by ada that names oslo, which the site has.
func (c *court) begin() string {
	c.t.Helper()
	id := c.commit("ada", map[string]string{manifestName: courtManifest("oslo")})
	c.push()
	c.takes(id)
	return id
}

// takes wants the site to move to a head.
func (c *court) takes(id string) {
	c.t.Helper()
	if r := fetched(c.t, c.site); r.ID() != id {
		c.t.Errorf("head is %s, want %s", r.ID(), id)
	}
}

// refuses pushes and wants the site to stay where it is, blaming a commit for a rule.
func (c *court) refuses(commit, rule string) {
	c.t.Helper()
	c.push()
	before, err := c.site.Head()
	must(c.t, err)
	for range 2 {
		_, err := c.site.Fetch(c.t.Context())
		var untrusted *UntrustedError
		if !errors.As(err, &untrusted) || !errors.Is(err, ErrUntrusted) || untrusted.Commit != commit || !strings.Contains(err.Error(), rule) {
			c.t.Errorf("fetch: %v; want %s to be refused: %s", err, commit, rule)
		}
	}
	if now, err := c.site.Head(); err != nil || now.ID() != before.ID() {
		c.t.Errorf("the head moved: %v", err)
	}
}

// back makes the clone and the remote as they were.
func (c *court) back(id string) {
	c.t.Helper()
	git(c.t, c.work, "reset", "-q", "--hard", id)
	c.push()
	c.takes(id)
}

// run runs a real program.
func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// redate makes the newest commit anew with a committer's date, signed again.
func (c *court) redate(who, date string) string {
	c.t.Helper()
	run(c.t, "env", "GIT_COMMITTER_DATE="+date, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org",
		"git", "-C", c.work, "-c", "gpg.format=ssh", "-c", "user.signingkey="+c.key(who), "-c", "commit.gpgsign=true", "commit", "-q", "--amend", "--allow-empty", "--no-edit")
	return c.head()
}
