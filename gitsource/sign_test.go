package gitsource

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"seedtree/internal/testkit"
)

// What we commit the real git verifies, and other sites take.
func TestSignedForRealGit(t *testing.T) {
	t.Parallel()
	c := newCourt(t, SignedAll)
	ada, oslo := c.open(SignedAll, "ada"), c.open(SignedAll, "oslo")
	first := publish(t, ada, nil, Commit{Put: []File{{Name: manifestName, Data: []byte(courtManifest("oslo"))}}})
	c.takes(first.ID())
	second := publish(t, oslo, fetched(t, oslo), Commit{Message: "Two\n\n lines, and -----BEGIN one", Put: some(t, 3)[1:]})
	c.takes(second.ID())
	for _, id := range []string{first.ID(), second.ID()} {
		out, err := tryGit(t, c.repo, "-c", "gpg.ssh.allowedSignersFile="+c.allowed, "verify-commit", "-v", id)
		if err != nil || !strings.Contains(out, "Good \"git\" signature for ") {
			t.Errorf("git verify-commit: %v\n%s", err, out)
		}
	}
	git(t, c.repo, "fsck", "--strict")
	// Rolled out in steps: who signs need not check yet.
	early := c.open(NoSignatures, "oslo")
	third := publish(t, early, fetched(t, early), Commit{Put: []File{torrent(t, "early", 1)}})
	c.takes(third.ID())
}

// The same with OpenPGP, both ways: gpg's commits are taken, ours it verifies.
func TestOpenPGPCommits(t *testing.T) {
	t.Parallel()
	testkit.Need(t, "gpg", "gnupg")
	c := newCourt(t, SignedAll)
	home, err := os.MkdirTemp("", "gpg")
	must(t, err)
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	gpg := func(args ...string) string {
		return run(t, append([]string{"gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
	}
	gpg("--quick-generate-key", "Ada <ada@example.org>", "ed25519", "sign,cert", "never")
	gpg("--armor", "--output", c.key("pgp.asc"), "--export")
	gpg("--armor", "--output", c.key("pgp"), "--export-secret-keys")
	must(t, os.Chmod(c.key("pgp"), 0o600))
	must(t, os.WriteFile(c.allowed, []byte("admin:ada openpgp pgp.asc\n"), 0o644))

	wrapper := filepath.Join(c.dir, "gpg") // git passes no home of its own
	must(t, os.WriteFile(wrapper, []byte("#!/bin/sh\nexec gpg --homedir "+home+" --batch \"$@\"\n"), 0o755))
	must(t, os.WriteFile(filepath.Join(c.work, manifestName), []byte(courtManifest("oslo")), 0o644))
	git(t, c.work, "add", "-A")
	git(t, c.work, "-c", "gpg.program="+wrapper, "-c", "user.signingkey=ada@example.org", "commit", "-q", "-S", "-m", "By gpg")
	c.push()
	c.takes(c.head())

	ours := c.open(SignedAll, "pgp")
	r := publish(t, ours, fetched(t, ours), Commit{Put: some(t, 2)[1:]})
	c.takes(r.ID())
	if out, err := tryGit(t, c.repo, "-c", "gpg.program="+wrapper, "verify-commit", r.ID()); err != nil || !strings.Contains(out, "Good signature") {
		t.Errorf("git verify-commit: %v\n%s", err, out)
	}
}

// A site whose commits the others would refuse makes none.
func TestUnsignable(t *testing.T) {
	t.Parallel()
	c := newCourt(t, SignedAll)
	id := c.begin()
	build := Commit{Put: some(t, 2)[1:]}
	manifest := Commit{Put: []File{{Name: manifestName, Data: []byte(courtManifest("lima"))}}}
	for _, x := range []struct {
		who  string
		c    Commit
		rule string
	}{
		{"", build, "no signing key is configured"},
		{"eve", build, "not among the allowed signers"},
		{"lima", build, "main is oslo"},
		{"oslo", manifest, "only an admin may change manifest.yaml"},
		{"oslo", Commit{Delete: []string{manifestName}}, "only an admin may change manifest.yaml"},
	} {
		s := c.open(SignedAll)
		if x.who != "" {
			s = c.open(SignedAll, x.who)
		}
		head := fetched(t, s)
		_, err := s.Commit(t.Context(), head, x.c)
		var cannot *UnsignableError
		if !errors.As(err, &cannot) || !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), x.rule) {
			t.Errorf("%s: %v, want %q", x.who, err, x.rule)
		}
		if err := s.CanCommit(t.Context(), head, x.c.elsewhere() != ""); !errors.As(err, &cannot) || !strings.Contains(err.Error(), x.rule) {
			t.Errorf("%s asks first: %v, want %q", x.who, err, x.rule)
		}
	}
	s := c.open(SignedAll, "oslo")
	must(t, s.CanCommit(t.Context(), fetched(t, s), false))
	must(t, os.Chmod(c.key("oslo"), 0o644))
	if err := s.CanCommit(t.Context(), fetched(t, s), false); err == nil || !strings.Contains(err.Error(), c.key("oslo")) {
		t.Errorf("a key that others can read: %v", err)
	}
	must(t, os.Chmod(c.allowed, 0o600))
	s.cfg.Trust.SigningKeyFile = c.allowed
	if err := s.CanCommit(t.Context(), fetched(t, s), false); err == nil || !strings.Contains(err.Error(), c.allowed) {
		t.Errorf("no key: %v", err)
	}
	if git(t, c.repo, "rev-parse", "main") != id {
		t.Error("something was pushed")
	}
	// Nor does an empty catalog get a first commit from a site.
	empty := newCourt(t, SignedAll)
	if _, err := empty.open(SignedAll, "oslo").Commit(t.Context(), nil, manifest); !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), ruleFirst) {
		t.Errorf("first commit: %v", err)
	}
}

// Commits made byte by byte: none passes, and each says why.
func TestForgedCommits(t *testing.T) {
	t.Parallel()
	c := newCourt(t, SignedHead)
	good := c.begin()
	signed := c.commit("ada", map[string]string{"torrents/photos/a.empty": "x"})
	c.push() // its objects
	c.takes(signed)
	object := run(t, "git", "-C", c.work, "cat-file", "commit", signed)
	payload, armored, err := splitCommit([]byte(object))
	must(t, err)
	if again := joinCommit(payload, armored); string(again) != object {
		t.Fatalf("we put it together as\n%s\ngit as\n%s", again, object)
	}
	header := string(joinCommit(payload, armored)[bytes.Index([]byte(object), []byte("gpgsig")):])
	header = header[:strings.Index(header, "\n\n")+1]
	// What follows stands on the good head, as its message says.
	plain := strings.Replace(string(payload), "By ada", "Forged", 1)
	onTop := strings.Replace(plain, "parent "+good, "parent "+signed, 1)
	with := func(text, header string) string { return strings.Replace(text, "\n\n", "\n"+header+"\n", 1) }
	for name, f := range map[string]struct{ object, rule string }{
		"message":    {with(onTop, header), "does not match"},
		"moved":      {with(strings.Replace(string(payload), good, signed, 1), header), "does not match"},
		"tree":       {with(strings.Replace(onTop, "tree "+tree(t, c, signed), "tree "+tree(t, c, good), 1), header), "does not match"},
		"author":     {with(strings.Replace(onTop, "author Ada", "author Eve", 1), header), "does not match"},
		"two":        {with(onTop, header+header), "more than one gpgsig"},
		"two blocks": {with(onTop, header+strings.TrimPrefix(header, "gpgsig")), "more than one armour block"},
		"sha256":     {with(onTop, strings.Replace(header, "gpgsig", "gpgsig-sha256", 1)), `"gpgsig-sha256"`},
		"mergetag":   {with(onTop, "mergetag object "+good+"\n type commit\n"+header), `"mergetag"`},
		"trailing":   {with(onTop, header+" and more\n"), "follows the armour"},
		"huge":       {with(onTop, header+strings.Repeat(" \n", 20_000)), "at most"},
		"malformed":  {with(onTop, "gpgsig -----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----\n"), "malformed signature"},
		"no armour":  {with(onTop, "gpgsig AAAA\n"), "malformed signature"},
		"two trees":  {with(onTop, "tree "+tree(t, c, good)+"\n"+header), "more than one tree"},
	} {
		t.Run(name, func(t *testing.T) {
			git(t, c.repo, "update-ref", "refs/heads/main", forge(t, c.repo, "commit", []byte(f.object)).String())
			_, err := c.site.Fetch(t.Context())
			if !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), f.rule) {
				t.Errorf("%v; want %q", err, f.rule)
			}
			if r, err := c.site.Head(); err != nil || r.ID() != signed {
				t.Errorf("the head is %v, %v", r, err)
			}
		})
	}
	git(t, c.repo, "update-ref", "refs/heads/main", signed)
	c.takes(signed)
}

func tree(t *testing.T, c *court, id string) string {
	t.Helper()
	return git(t, c.work, "rev-parse", id+"^{tree}")
}

// The operator's word takes a rewritten history over, exactly the revision that was
// named, and stands for no signature.
func TestAcceptChecksSignatures(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, c *court, _ Signatures) {
		first := c.begin()
		second := c.commit("oslo", map[string]string{"torrents/photos/a.empty": "x"})
		c.push()
		c.takes(second)
		git(t, c.work, "reset", "-q", "--hard", first)
		other := c.commit("oslo", map[string]string{"torrents/photos/b.empty": "x"})
		unsigned := c.commit("", map[string]string{"torrents/photos/c.empty": "x"})
		c.push()
		if _, err := c.site.Fetch(t.Context()); !errors.Is(err, ErrRewound) {
			t.Errorf("a rewrite: %v", err)
		}
		if err := c.site.Accept(t.Context(), unsigned); !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), "not signed") {
			t.Errorf("accept of an unsigned commit: %v", err)
		}
		if r, err := c.site.Head(); err != nil || r.ID() != second {
			t.Errorf("head %v, %v", r, err)
		}
		must(t, c.site.Accept(t.Context(), other))
		if r, err := c.site.Head(); err != nil || r.ID() != other {
			t.Errorf("head %v, %v", r, err)
		}
		c.refuses(unsigned, "not signed")
	})
}

// An older head, signed by all the right people, to a site that remembers more: in
// its mirror, or when that is lost, elsewhere.
func TestReplayOfAnOlderHead(t *testing.T) {
	t.Parallel()
	c := newCourt(t, SignedAll)
	old := c.begin()
	id := c.commit("oslo", map[string]string{"torrents/photos/a.empty": "x"})
	c.push()
	c.takes(id)
	git(t, c.repo, "update-ref", "refs/heads/main", old)
	if _, err := c.site.Fetch(t.Context()); !errors.Is(err, ErrRewound) {
		t.Errorf("replay: %v", err)
	}
	lost := c.open(SignedAll)
	lost.cfg.Trust.Applied = func() []Applied { return []Applied{{old, "tree one"}, {id, "tree two"}} }
	_, err := lost.Fetch(t.Context())
	var rewound *RewoundError
	if !errors.As(err, &rewound) || rewound.From != id || rewound.To != old || !strings.Contains(err.Error(), "tree two") {
		t.Errorf("replay to a site that lost its mirror: %v", err)
	}
	if _, err := lost.Head(); !errors.Is(err, ErrEmpty) {
		t.Errorf("head: %v", err)
	}
	// What is not here at all is not older.
	lost.cfg.Trust.Applied = func() []Applied { return []Applied{{strings.Repeat("1", 40), "tree"}} }
	if _, err := lost.Fetch(t.Context()); !errors.Is(err, ErrRewound) {
		t.Errorf("another history: %v", err)
	}
	must(t, lost.Accept(t.Context(), old))
	fetched(t, lost) // and the mirror remembers from here on
	git(t, c.repo, "update-ref", "refs/heads/main", id)
	fetched(t, lost)
}

func FuzzSplitCommit(f *testing.F) {
	const some = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nparent 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n" +
		"author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n"
	f.Add([]byte(some + "gpgsig -----BEGIN SSH SIGNATURE-----\n x\n -----END SSH SIGNATURE-----\n\nHello\n"))
	f.Add([]byte(some + "\ngpgsig no\n"))
	f.Add([]byte(some + "gpgsig a\ngpgsig b\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		payload, armored, err := splitCommit(data)
		if err != nil {
			return
		}
		if bytes.Contains(payload[:bytes.Index(payload, []byte("\n\n"))+1], []byte("\ngpgsig")) {
			t.Fatalf("a signature is left: %q", payload)
		}
		if armored == nil && !bytes.Equal(payload, data) {
			t.Fatalf("unsigned, and %q became %q", data, payload)
		}
		// Both are the same commit to whoever reads headers.
		a, errA := parseCommit(hash{}, data)
		b, errB := parseCommit(hash{}, payload)
		if (errA == nil) != (errB == nil) || errA == nil && (a.tree != b.tree || len(a.parents) != len(b.parents) || a.message != b.message) {
			t.Fatalf("%q and %q differ", data, payload)
		}
	})
}
