package gitsource

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"seedtree/internal/testkit"
)

// Every type of key opens a real sshd, with and without a passphrase, and is read
// at each use.
func TestSSHKeyTypes(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overSSH(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	dir := t.TempDir()
	pass := filepath.Join(dir, "passphrase")
	for _, keyType := range []string{"ed25519", "ecdsa", "rsa"} {
		for _, secret := range []string{"", "open sesame"} {
			c := cfg
			c.SSH.KeyFile = filepath.Join(dir, keyType+strings.ReplaceAll(secret, " ", "-"))
			g.Authorize(testkit.WriteSSHKey(t, c.SSH.KeyFile, keyType, secret))
			s := with(t, c)
			if secret != "" {
				if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), "protected by a passphrase") {
					t.Errorf("%s, no passphrase: %v", keyType, err)
				}
				c.SSH.PassphraseFile = pass
				s = with(t, c)
				must(t, os.WriteFile(pass, []byte("wrong\n"), 0o600))
				if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), "passphrase in "+pass+" is wrong") {
					t.Errorf("%s, wrong passphrase: %v", keyType, err)
				}
				must(t, os.WriteFile(pass, []byte(secret+"\n"), 0o600))
			}
			if _, err := s.Fetch(t.Context()); err != nil {
				t.Errorf("%s, passphrase %q: %v", keyType, secret, err)
			}
		}
	}
}

// An address is written as a URL, or as people write it for git and scp.
func TestSSHAddresses(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]sshRemote{
		"ada@git.example:/srv/c.git":           {user: "ada", host: "git.example", port: "22", path: "/srv/c.git"},
		"git.example:c.git":                    {user: "git", host: "git.example", port: "22", path: "c.git"}, // below the home
		"ssh://ada@git.example/srv/c.git":      {user: "ada", host: "git.example", port: "22", path: "/srv/c.git"},
		"ssh://git.example:2222/~ada/it's.git": {user: "git", host: "git.example", port: "2222", path: "~ada/it's.git"},
		"ssh://[2001:db8::1]:2222/c.git":       {user: "git", host: "2001:db8::1", port: "2222", path: "/c.git"},
	} {
		u, err := url.Parse(raw)
		if scp, ok := scpURL(raw); ok && !strings.Contains(raw, "://") {
			u, err = scp, nil
		}
		must(t, err)
		got, err := sshAt(u, Config{})
		if err != nil || *got != want {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
		if _, err := Open(Config{URLs: []string{raw}, Dir: t.TempDir()}); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// Without a key in the configuration it is an agent's, then the user's own: as many as
// there are, and the one that the server knows opens.
func TestSSHKeysOfTheUser(t *testing.T) {
	g, cfg, repo := overSSH(t)
	head := publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", "")
	cfg.SSH.KeyFile = ""
	if _, err := with(t, cfg).Fetch(t.Context()); !errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), "~/.ssh has no key") {
		t.Errorf("no key anywhere: %v", err)
	}
	must(t, os.Mkdir(filepath.Join(home, ".ssh"), 0o700))
	key := func(keyType string) ssh.PublicKey {
		return testkit.WriteSSHKey(t, filepath.Join(home, ".ssh", "id_"+keyType), keyType, "")
	}
	key("ed25519")
	key("ecdsa")
	last := key("rsa")
	if _, err := with(t, cfg).Fetch(t.Context()); !errors.Is(err, ErrAuth) || errors.Is(err, ErrUnreachable) {
		t.Errorf("three keys that nobody knows: %v", err)
	}
	g.Authorize(last)
	if r := fetched(t, with(t, cfg)); r.ID() != head.ID() {
		t.Errorf("fetched %s", r.Short())
	}

	sock := filepath.Join(t.TempDir(), "agent")
	agent := exec.CommandContext(t.Context(), testkit.Need(t, "ssh-agent", "openssh-client"), "-D", "-a", sock)
	must(t, agent.Start())
	t.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
	testkit.Eventually(t, 10*time.Second, "the agent listens", func() error { _, err := os.Stat(sock); return err })
	t.Setenv("SSH_AUTH_SOCK", sock)
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		file := filepath.Join(home, ".ssh", name)
		if out, err := exec.CommandContext(t.Context(), testkit.Need(t, "ssh-add", "openssh-client"), file).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		must(t, os.Remove(file))
	}
	if r := fetched(t, with(t, cfg)); r.ID() != head.ID() {
		t.Errorf("fetched %s", r.Short())
	}
}

// A key that every user of the machine can copy is no key: refused as ssh does.
func TestSSHKeyOpenToOthers(t *testing.T) {
	t.Parallel()
	_, cfg, repo := overSSH(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	s := with(t, cfg)
	for mode, fine := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o666: false} {
		must(t, os.Chmod(cfg.SSH.KeyFile, mode))
		_, err := s.Fetch(t.Context())
		if fine && err != nil || !fine && (!errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), "chmod 600")) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

// knownHosts writes a known_hosts file of these lines.
func knownHosts(t *testing.T, lines ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "known_hosts")
	must(t, os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return name
}

func TestSSHKnownHostsForms(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overSSH(t, "ed25519", "rsa")
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	ed, rsa := g.HostKeys()[0], g.HostKeys()[1]
	line := func(host string, key ssh.PublicKey) string { return knownhosts.Line([]string{host}, key) }
	at := knownhosts.Normalize(g.Addr) // [127.0.0.1]:port
	_, port, _ := strings.Cut(g.Addr, ":")
	hashed := knownHosts(t, line(at, rsa))
	if out, err := exec.CommandContext(t.Context(), testkit.Need(t, "ssh-keygen", "openssh-client"), "-H", "-f", hashed).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, c := range map[string]struct{ file, refusal string }{
		"rsa only, of two":        {knownHosts(t, line(at, rsa)), ""},
		"hashed by ssh-keygen":    {hashed, ""},
		"a pattern":               {knownHosts(t, "[127.0.0.*]:"+port+strings.TrimPrefix(line(at, ed), at)), ""},
		"among comments":          {knownHosts(t, "# a comment", "", "other.example "+ssh.KeyAlgoED25519+strings.TrimPrefix(line(at, ed), at+" "+ssh.KeyAlgoED25519), line(at, ed)), ""},
		"without its port":        {knownHosts(t, line("127.0.0.1", ed)), "is unknown"},
		"another port":            {knownHosts(t, line("[127.0.0.1]:1", ed)), "is unknown"},
		"revoked":                 {knownHosts(t, line(at, rsa), "@revoked * "+strings.TrimPrefix(line(at, rsa), at+" ")), "which is revoked"},
		"one revoked, one good":   {knownHosts(t, line(at, rsa), "@revoked * "+strings.TrimPrefix(line(at, ed), at+" ")), ""},
		"a line that is no entry": {knownHosts(t, line(at, ed), "garbage"), "known_hosts:2"},
	} {
		c2 := cfg
		c2.SSH.KnownHostsFile = c.file
		_, err := with(t, c2).Fetch(t.Context())
		switch {
		case c.refusal == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.refusal != "" && (!errors.Is(err, ErrHostKey) || errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), c.refusal)):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The error of a changed key is what an operator decides by: both fingerprints and
// the line to look at.
func TestSSHChangedHostKeyNamesTheLine(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overSSH(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	old := g.HostKeys()[0]
	cfg.SSH.KnownHostsFile = knownHosts(t, "# first", "# second", knownhosts.Line([]string{knownhosts.Normalize(g.Addr)}, old))
	s := with(t, cfg)
	fetched(t, s)
	g.Restart("")
	_, err := s.Fetch(t.Context())
	for _, want := range []string{"HAS CHANGED", ssh.FingerprintSHA256(old), ssh.FingerprintSHA256(g.HostKeys()[0]), cfg.SSH.KnownHostsFile + ":3"} {
		if !errors.Is(err, ErrHostKey) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in: %v", want, err)
		}
	}
	if n := testLogins(t, g); n != 1 {
		t.Errorf("%d logins, want the one before the change: nothing was offered to a stranger", n)
	}
}

// testLogins counts the keys that sshd let in.
func testLogins(t *testing.T, g *testkit.GitSSH) int {
	t.Helper()
	return strings.Count(g.Log(), "Accepted publickey")
}

// Host certificates: an authority vouches for a server whose key nobody noted.
func TestSSHHostCertificates(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overSSH(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	authority, other := newSigner(t), newSigner(t)
	trust := func(s ssh.Signer) string {
		return "@cert-authority " + knownhosts.Line([]string{knownhosts.Normalize(g.Addr)}, s.PublicKey())
	}
	plain := knownhosts.Line([]string{knownhosts.Normalize(g.Addr)}, g.HostKeys()[0])
	fetch := func(lines ...string) error {
		c := cfg
		c.SSH.KnownHostsFile = knownHosts(t, lines...)
		_, err := with(t, c).Fetch(t.Context())
		return err
	}
	refused := func(what string, err error, words ...string) {
		t.Helper()
		for _, w := range words {
			if !errors.Is(err, ErrHostKey) || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: want %q in: %v", what, w, err)
			}
		}
	}
	tomorrow := time.Now().Add(24 * time.Hour)
	refused("no certificate, and no plain key on record", fetch(trust(authority)), "no key of a type on record")
	must(t, fetch(plain, trust(authority))) // the plain key serves as well
	g.Certify(authority, "127.0.0.1", tomorrow)
	must(t, fetch(trust(authority)))
	must(t, fetch(trust(other), trust(authority)))
	refused("another authority", fetch(trust(other)), ssh.FingerprintSHA256(other.PublicKey()), ssh.FingerprintSHA256(authority.PublicKey()))
	refused("revoked authority", fetch(trust(authority), "@revoked * "+strings.TrimSpace(string(ssh.MarshalAuthorizedKey(authority.PublicKey())))), "revoked")
	g.Certify(authority, "elsewhere.example", tomorrow)
	refused("for another host", fetch(trust(authority)), "elsewhere.example")
	g.Certify(authority, "127.0.0.1", time.Now().Add(-time.Hour))
	refused("expired", fetch(trust(authority)), "expired")
}

// Who has an authority's key may sign certificates, not stand in as the server.
func TestSSHAuthorityIsNoHost(t *testing.T) {
	t.Parallel()
	key := newSigner(t).PublicKey()
	keys, err := loadHostKeys(knownHosts(t, "@cert-authority "+knownhosts.Line([]string{"git.example"}, key)), "git.example:22")
	must(t, err)
	if err := keys.check("git.example:22", &fakeAddr{}, key); !errors.Is(err, ErrHostKey) {
		t.Errorf("the authority's own key as the server's: %v", err)
	}
}

type fakeAddr struct{}

func (fakeAddr) Network() string { return "tcp" }
func (fakeAddr) String() string  { return "192.0.2.1:22" }

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	s, err := ssh.NewSignerFromKey(key)
	must(t, err)
	return s
}
