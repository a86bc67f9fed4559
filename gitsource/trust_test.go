package gitsource

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// modes runs a test under both ways of looking at signatures.
func modes(t *testing.T, test func(t *testing.T, c *court, mode Signatures)) {
	for _, mode := range []Signatures{SignedHead, SignedAll} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			test(t, newCourt(t, mode), mode)
		})
	}
}

// What a role may do, and what it may not, on top of what was accepted; and the
// site is well again as soon as the branch is.
func TestRoles(t *testing.T) {
	t.Parallel()
	const name = "torrents/photos/a.empty"
	modes(t, func(t *testing.T, c *court, _ Signatures) {
		good := c.begin()
		for rule, change := range map[string]func() string{
			"not signed": func() string { return c.commit("", map[string]string{name: "x"}) },
			"the key is not among the allowed signers": func() string { return c.commit("eve", map[string]string{name: "x"}) },
			"only an admin may change manifest.yaml":   func() string { return c.commit("oslo", map[string]string{manifestName: courtManifest("lima")}) },
			"only an admin may change README":          func() string { return c.commit("oslo", map[string]string{name: "x", "README": "x"}) },
			"only an admin may change torrents;":       func() string { return c.commit("oslo", map[string]string{"torrents": "x"}) },
			"main is oslo":                             func() string { return c.commit("lima", map[string]string{name: "x"}) },
		} {
			c.refuses(change(), rule)
			c.back(good)
		}
		c.back(good)
		id := c.commit("oslo", map[string]string{name: "x", "torrents/photos/b.empty": "y"})
		c.push()
		c.takes(id)
		// Main moves: from here on the other site may, and this one not.
		c.commit("ada", map[string]string{manifestName: courtManifest("lima")})
		id = c.commit("lima", map[string]string{name: ""})
		c.push()
		c.takes(id)
		c.refuses(c.commit("oslo", map[string]string{name: "z"}), "main is lima")
	})
}

// An unsigned commit in the middle: under all it stops everything behind it; under
// head an admin's signature behind it answers for it, a site's does not if it
// touched anything but torrents/.
func TestUnsignedInTheMiddle(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, c *court, mode Signatures) {
		good := c.begin()
		middle := c.commit("", map[string]string{manifestName: courtManifest("lima")})
		c.commit("lima", map[string]string{"torrents/photos/a.empty": "x"})
		rule := "changes manifest.yaml"
		if mode == SignedAll {
			rule = "not signed"
		}
		c.refuses(middle, rule)
		// Hidden behind a commit that takes it back: the head's tree is fine, the way is not.
		c.back(good)
		middle = c.commit("", map[string]string{manifestName: courtManifest("lima")})
		c.commit("", map[string]string{manifestName: courtManifest("oslo")})
		c.commit("oslo", map[string]string{"torrents/photos/a.empty": "x"})
		if mode == SignedAll {
			c.refuses(middle, "not signed")
		} else {
			c.refuses(git(t, c.work, "rev-parse", "HEAD~1"), "changes manifest.yaml")
		}
		c.back(good)
		middle = c.commit("", map[string]string{"torrents/photos/a.empty": "x"})
		id := c.commit("oslo", map[string]string{"torrents/photos/b.empty": "x"})
		if mode == SignedAll {
			c.refuses(middle, "not signed")
			return
		}
		c.push()
		c.takes(id)
		c.commit("", map[string]string{manifestName: courtManifest("lima")})
		id = c.commit("ada", nil)
		c.push()
		c.takes(id)
	})
}

// A merge is held against each of its parents: a site that is main no more cannot
// bring back the manifest that named it from an old branch.
func TestMerges(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, c *court, mode Signatures) {
		old := c.begin()
		good := c.commit("ada", map[string]string{manifestName: courtManifest("lima")})
		c.push()
		c.takes(good)
		git(t, c.work, "checkout", "-q", "-B", "side", old)
		side := c.commit("oslo", map[string]string{"torrents/photos/a.empty": "x"})
		c.git("oslo", "merge", "-q", "--no-ff", "-s", "ours", "-m", "Mine", good)
		c.refuses(c.head(), "only an admin may change manifest.yaml")
		// The same merge without a signature, and a good one by the old main behind it.
		git(t, c.work, "reset", "-q", "--hard", side)
		merge := c.git("", "merge", "-q", "--no-ff", "-s", "ours", "-m", "Mine", good)
		c.commit("oslo", map[string]string{"torrents/photos/b.empty": "x"})
		rule := "changes manifest.yaml, and no admin"
		if mode == SignedAll {
			rule = "not signed"
		}
		c.refuses(merge, rule)
		// The new main may not take it either, for what it would change there is not its.
		git(t, c.work, "reset", "-q", "--hard", good)
		c.git("lima", "merge", "-q", "--no-ff", "-m", "Take it", side)
		c.refuses(c.head(), "only an admin may change manifest.yaml")
		git(t, c.work, "reset", "-q", "--hard", good)
		id := c.git("ada", "merge", "-q", "--no-ff", "-m", "Take it", side)
		c.push()
		c.takes(id)
	})
}

// A site that knows nothing yet: a signed head, under all a signed history, or one
// that the operator vouches for.
func TestFirstContact(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, c *court, mode Signatures) {
		first := c.commit("", map[string]string{manifestName: courtManifest("oslo")})
		second := c.commit("oslo", map[string]string{"torrents/photos/a.empty": "x"})
		c.push()
		_, err := c.site.Fetch(t.Context())
		var untrusted *UntrustedError
		if !errors.As(err, &untrusted) || untrusted.Commit != first {
			t.Errorf("first contact: %v", err)
		}
		vouched := c.open(mode)
		vouched.cfg.Trust.Revision = first
		if r := fetched(t, vouched); r.ID() != second {
			t.Errorf("head %s", r.ID())
		}
		signed := c.commit("ada", nil)
		c.push()
		if mode == SignedHead {
			c.takes(signed)
		}
		fetched(t, vouched)
		// A history without the trusted revision is none, whoever signed it.
		git(t, c.work, "checkout", "-q", "--orphan", "other")
		id := c.commit("ada", map[string]string{manifestName: courtManifest("oslo")})
		c.push()
		fresh := c.open(mode)
		if r := fetched(t, fresh); r.ID() != id {
			t.Errorf("head %s", r.ID())
		}
		fresh = c.open(mode)
		fresh.cfg.Trust.Revision = first
		if _, err := fresh.Fetch(t.Context()); !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), "does not hold the trusted revision") {
			t.Errorf("without the trusted revision: %v", err)
		}
	})
}

// A setting that is made stricter looks at everything again; made laxer, it does
// not pretend later that it had been strict.
func TestStricter(t *testing.T) {
	t.Parallel()
	c := newCourt(t, NoSignatures)
	c.allow("admin:ada ada")
	id := c.commit("", map[string]string{manifestName: courtManifest("oslo")})
	c.push()
	c.takes(id)
	c.site.cfg.Trust.Signatures = SignedHead
	c.refuses(id, "not signed")
	id = c.commit("ada", nil)
	c.push()
	c.takes(id)
	c.site.cfg.Trust.Signatures = SignedAll
	c.refuses(git(t, c.work, "rev-parse", "HEAD~1"), "not signed")
	c.site.cfg.Trust.Signatures = NoSignatures
	id = c.commit("", nil)
	c.push()
	c.takes(id)
	c.site.cfg.Trust.Signatures = SignedHead
	c.refuses(id, "not signed")
	// Nor is a commit of its own trusted for being its own, if it was made laxly.
	id = c.commit("ada", nil)
	c.push()
	c.takes(id)
	c.site.cfg.Trust.Signatures = NoSignatures
	own := publish(t, c.site, fetched(t, c.site), Commit{Put: some(t, 2)[1:]})
	c.site.cfg.Trust.Signatures = SignedHead
	if _, err := c.site.Fetch(t.Context()); !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), own.ID()[:12]+": not signed") {
		t.Errorf("its own unsigned commit: %v", err)
	}
}

// Dates: a key that ran out cannot date a commit back behind one that is there, a key
// of tomorrow is none today, and nobody commits from next week.
func TestDates(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, c *court, _ Signatures) {
		good := c.begin()
		at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format("20060102150405Z") }
		dated := func(who string, d time.Duration) string {
			date := time.Now().Add(d).Format(time.RFC3339)
			git(t, c.work, "-c", "gpg.format=ssh", "-c", "user.signingkey="+c.key(who), "-c", "commit.gpgsign=true",
				"commit", "-q", "--allow-empty", "-m", date, "--date", date)
			// git takes the committer's date from its environment alone.
			return c.redate(who, date)
		}
		c.allow(`admin:eve valid-before="`+at(-time.Hour)+`" eve`, `admin:oslo valid-after="`+at(time.Hour)+`" oslo`, "admin:ada ada")
		c.refuses(dated("eve", 0), "the key was not valid then")
		c.back(good)
		c.refuses(dated("eve", -48*time.Hour), "the key was not valid then")
		c.back(good)
		c.refuses(dated("oslo", 0), "the key was not valid then")
		c.back(good)
		c.refuses(dated("ada", 48*time.Hour), "in the future")
		c.back(good)
		id := dated("ada", time.Hour) // clocks differ
		c.push()
		c.takes(id)
		// Nor behind one whose own date lies: what that counts as of stays known.
		c.takes(id)
		id = dated("ada", -72*time.Hour)
		c.push()
		c.takes(id)
		c.refuses(dated("eve", -48*time.Hour), "the key was not valid then")
	})
}

// The list is read each time; without a usable one nothing is trusted, not even
// where nothing is new.
func TestSignersFile(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, c *court, _ Signatures) {
		good := c.begin()
		text, err := os.ReadFile(c.allowed)
		must(t, err)
		for name, breakIt := range map[string]func() error{
			"lists nobody": func() error { return os.WriteFile(c.allowed, []byte("# nobody\n"), 0o644) },
			"line 1":       func() error { return os.WriteFile(c.allowed, []byte("admin:ada ssh-ed25519 xx\n"), 0o644) },
			"nobody a role": func() error {
				return os.WriteFile(c.allowed, []byte(strings.ReplaceAll(strings.ReplaceAll(string(text), "admin:", ""), "site:", "")), 0o644)
			},
			"no such file":   func() error { return os.Remove(c.allowed) },
			"want a file of": func() error { return errors.Join(os.Remove(c.allowed), os.Mkdir(c.allowed, 0o755)) },
		} {
			must(t, os.RemoveAll(c.allowed))
			must(t, os.WriteFile(c.allowed, text, 0o644))
			must(t, breakIt())
			if _, err := c.site.Fetch(t.Context()); !errors.Is(err, ErrNoSigners) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), c.allowed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		must(t, os.RemoveAll(c.allowed))
		must(t, os.WriteFile(c.allowed, text, 0o644))
		c.takes(good)
		if _, err := Open(Config{URLs: []string{c.repo}, Dir: t.TempDir(), Trust: Trust{Signatures: SignedHead}}); err == nil {
			t.Error("opened without a file")
		}
	})
}

// What was accepted is not looked at again, also when a merge leads back to before it.
func TestMergeOfAnOldBranch(t *testing.T) {
	t.Parallel()
	c := newCourt(t, SignedAll)
	first := c.commit("", map[string]string{manifestName: courtManifest("oslo")})
	trusted := c.commit("ada", nil)
	c.site.cfg.Trust.Revision = trusted
	c.push()
	c.takes(trusted)
	git(t, c.work, "checkout", "-q", "-B", "side", first)
	side := c.commit("ada", map[string]string{"torrents/photos/a.empty": "x"})
	git(t, c.work, "checkout", "-q", "main")
	id := c.git("ada", "merge", "-q", "--no-ff", "-m", "Take it", side)
	c.push()
	c.takes(id)
}
