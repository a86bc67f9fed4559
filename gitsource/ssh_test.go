package gitsource

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"seedtree/internal/testkit"
)

func overSSH(t *testing.T, keyTypes ...string) (*testkit.GitSSH, Config, string) {
	t.Helper()
	repo := bareRepo(t)
	g := testkit.ServeGitSSH(t, keyTypes...)
	return g, Config{
		URLs: []string{g.URL(repo)}, Timeout: 20 * time.Second,
		SSH: SSH{KeyFile: g.KeyFile, KnownHostsFile: g.KnownHostsFile},
	}, repo
}

func TestSSH(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overSSH(t)
	roundTrip(t, cfg, repo)
	cfg.URLs = []string{g.URL(repo + "-none")}
	if _, err := with(t, cfg).Fetch(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such repository: %v", err)
	}
}

func TestSSHHostKeys(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overSSH(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	s := with(t, cfg)
	fetched(t, s)

	old := ssh.FingerprintSHA256(g.HostKeys()[0])
	g.Restart("")
	_, err := s.Fetch(t.Context())
	if !errors.Is(err, ErrHostKey) || errors.Is(err, ErrUnreachable) ||
		!strings.Contains(err.Error(), old) || !strings.Contains(err.Error(), ssh.FingerprintSHA256(g.HostKeys()[0])) {
		t.Errorf("changed host key: %v", err)
	}
	g.Restart("", "rsa")
	if _, err := s.Fetch(t.Context()); !errors.Is(err, ErrHostKey) || !strings.Contains(err.Error(), old) {
		t.Errorf("host key of another type only: %v", err)
	}

	empty := cfg
	empty.SSH.KnownHostsFile = filepath.Join(t.TempDir(), "known_hosts")
	if _, err := with(t, empty).Fetch(t.Context()); !errors.Is(err, ErrHostKey) {
		t.Errorf("no known_hosts: %v", err)
	}
	if err := os.WriteFile(empty.SSH.KnownHostsFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = with(t, empty).Fetch(t.Context())
	if !errors.Is(err, ErrHostKey) || !strings.Contains(err.Error(), ssh.FingerprintSHA256(g.HostKeys()[0])) {
		t.Fatalf("unknown host: %v", err)
	}
	// The line that the error offers is the one to add.
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	if err := os.WriteFile(empty.SSH.KnownHostsFile, []byte(lines[len(lines)-1]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fetched(t, with(t, empty))
}

func TestSSHSeveralHostKeysOneKnown(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overSSH(t, "ed25519", "ecdsa", "rsa")
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	for _, key := range g.HostKeys() {
		cfg.SSH.KnownHostsFile = filepath.Join(t.TempDir(), "known_hosts")
		line := knownhosts.Line([]string{knownhosts.Normalize(g.Addr)}, key) + "\n"
		if err := os.WriteFile(cfg.SSH.KnownHostsFile, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := with(t, cfg).Fetch(t.Context()); err != nil {
			t.Errorf("only %s is known: %v", key.Type(), err)
		}
	}
}

func TestSSHKeys(t *testing.T) {
	t.Parallel()
	_, cfg, repo := overSSH(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	dir := t.TempDir()
	wrong := cfg
	wrong.SSH.KeyFile = filepath.Join(dir, "wrong")
	testkit.WriteSSHKey(t, wrong.SSH.KeyFile, "ed25519", "")
	if _, err := with(t, wrong).Fetch(t.Context()); !errors.Is(err, ErrAuth) || errors.Is(err, ErrUnreachable) {
		t.Errorf("a key that is not let in: %v", err)
	}
	locked := cfg
	locked.SSH.KeyFile = filepath.Join(dir, "locked")
	testkit.WriteSSHKey(t, locked.SSH.KeyFile, "ed25519", "open sesame")
	if _, err := with(t, locked).Fetch(t.Context()); !errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), locked.SSH.KeyFile) {
		t.Errorf("a key behind a passphrase: %v", err)
	}
	locked.SSH.PassphraseFile = filepath.Join(dir, "passphrase")
	for text, readable := range map[string]bool{"wrong": false, "open sesame\n": true} {
		if err := os.WriteFile(locked.SSH.PassphraseFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		signer, err := readKey(locked.SSH.KeyFile, locked.SSH.PassphraseFile)
		if (err == nil) != readable || (signer != nil) != readable {
			t.Errorf("passphrase %q: %v", text, err)
		}
	}
}

func TestSSHSilence(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // its backlog accepts, and nobody ever answers
	g, cfg, repo := overSSH(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	cfg.Timeout = 300 * time.Millisecond
	mute := cfg
	mute.URLs = []string{"ssh://git@" + l.Addr().String() + "/catalog.git"}
	bounded(t, func() {
		if _, err := with(t, mute).Fetch(t.Context()); !errors.Is(err, ErrUnreachable) {
			t.Errorf("a server that accepts and says nothing: %v", err)
		}
	})
	// One that lets us in and then says nothing.
	g.Restart("ForceCommand sleep 30")
	line := knownhosts.Line([]string{knownhosts.Normalize(g.Addr)}, g.HostKeys()[0]) + "\n"
	if err := os.WriteFile(cfg.SSH.KnownHostsFile, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Timeout = 2 * time.Second // enough for the handshake on a busy machine
	bounded(t, func() {
		if _, err := with(t, cfg).Fetch(t.Context()); !errors.Is(err, ErrUnreachable) {
			t.Errorf("a command that says nothing: %v", err)
		}
	})
	cfg.Timeout = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	bounded(t, func() {
		if _, err := with(t, cfg).Fetch(ctx); !errors.Is(err, ErrUnreachable) {
			t.Errorf("the caller's deadline: %v", err)
		}
	})
}

// A server that is full hangs up before anybody has logged in: the error says so, in
// the server's words too, and the next pass works.
func TestSSHServerIsFull(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overSSH(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	g.Restart("MaxStartups 1")
	cfg.SSH.KnownHostsFile = knownHosts(t, knownhosts.Line([]string{knownhosts.Normalize(g.Addr)}, g.HostKeys()[0]))
	s := with(t, cfg)
	var other net.Conn
	testkit.Eventually(t, 10*time.Second, "the other has the only place", func() (err error) {
		// It may have come before the place was free: then it was sent away, too.
		other, err = net.Dial("tcp", g.Addr)
		must(t, err)
		greeting, err := bufio.NewReader(other).ReadString('\n')
		if err != nil || !strings.HasPrefix(greeting, "SSH-") {
			return errors.Join(fmt.Errorf("sent away with %q: %w", greeting, err), other.Close())
		}
		return nil
	})
	defer other.Close()
	testkit.Eventually(t, 10*time.Second, "nobody else is let in", func() error {
		_, err := s.Fetch(t.Context())
		for _, want := range []string{"the server ended the connection", `the server says "Exceeded MaxStartups"`} {
			if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), want) {
				return fmt.Errorf("want %q in: %w", want, err)
			}
		}
		return nil
	})
	must(t, other.Close())
	testkit.Eventually(t, 10*time.Second, "there is a place again", func() error {
		_, err := s.Fetch(t.Context())
		return err
	})
}

// A server that has said all and left is no failure, however late our end of the
// line is closed: on a busy machine whole fetches were lost to that.
func TestSSHServerLeavesFirst(t *testing.T) {
	t.Parallel()
	g, cfg, repo := overSSH(t)
	publish(t, opened(t, repo), nil, Commit{Put: some(t, 2)})
	u, err := url.Parse(g.URL(repo))
	must(t, err)
	r, err := sshAt(u, cfg)
	must(t, err)
	opened, err := r.open(t.Context(), "git-upload-pack")
	must(t, err)
	defer opened.Close()
	p := opened.(*sshPipe)
	said := 0
	_, err = p.request(io.MultiReader(strings.NewReader("0000"), readerFunc(func([]byte) (int, error) {
		all, err := io.ReadAll(p)
		said = len(all)
		for err == nil { // it may still be about to go
			_, err = p.session.SendRequest("anybody@there", true, nil)
		}
		return 0, err
	})), 4)
	if err != nil || said == 0 {
		t.Errorf("%d bytes heard, %v", said, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// bounded fails when do does not come back although its deadline passed long ago.
func bounded(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("hangs")
	}
}
