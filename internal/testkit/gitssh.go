package testkit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// GitSSH is a real sshd on a free loopback port, which runs git for whoever has
// KeyFile.
type GitSSH struct {
	Addr           string // host:port
	User           string
	KeyFile        string // a client key that is let in
	KnownHostsFile string // knows the server's first host key

	t    testing.TB
	dir  string
	sshd string
	cmd  *exec.Cmd
	port string
	keys []ssh.PublicKey

	config string // of the last Restart
}

// ServeGitSSH starts sshd with one host key of each given type ("ed25519", "ecdsa",
// "rsa"; default ed25519) and stops it when the test ends. Repositories are
// addressed by absolute path.
func ServeGitSSH(t testing.TB, keyTypes ...string) *GitSSH {
	t.Helper()
	Need(t, "git", "git")
	g := &GitSSH{t: t, dir: t.TempDir(), sshd: needSSHD(t)}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	g.User = me.Username
	g.KeyFile = filepath.Join(g.dir, "client")
	client := WriteSSHKey(t, g.KeyFile, "ed25519", "")
	g.write("authorized_keys", string(ssh.MarshalAuthorizedKey(client)))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.Addr = l.Addr().String()
	_, g.port, _ = net.SplitHostPort(g.Addr)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	g.Restart("", keyTypes...)
	t.Cleanup(func() {
		g.Stop()
		if t.Failed() {
			t.Logf("sshd said:\n%s", g.Log())
		}
	})
	g.KnownHostsFile = filepath.Join(g.dir, "known_hosts")
	g.write("known_hosts", knownhosts.Line([]string{knownhosts.Normalize(g.Addr)}, g.keys[0])+"\n")
	return g
}

// needSSHD finds sshd, which is rarely in a user's PATH but must be called by its
// full path.
func needSSHD(t testing.TB) string {
	t.Helper()
	for _, p := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd"} {
		if _, err := os.Stat(p); err == nil {
			if os.Geteuid() == 0 {
				// sshd as root insists on this folder; a boot would have made it.
				if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
					t.Fatal(err)
				}
			}
			return p
		}
	}
	return Need(t, "sshd", "openssh-server")
}

// URL is the address of a repository given by its absolute path.
func (g *GitSSH) URL(path string) string {
	return fmt.Sprintf("ssh://%s@%s%s", g.User, g.Addr, path)
}

// HostKeys returns the server's public keys in the order of their types.
func (g *GitSSH) HostKeys() []ssh.PublicKey { return g.keys }

// Authorize lets another client key in.
func (g *GitSSH) Authorize(key ssh.PublicKey) {
	g.t.Helper()
	name := filepath.Join(g.dir, "authorized_keys")
	before, err := os.ReadFile(name)
	if err != nil {
		g.t.Fatal(err)
	}
	g.write("authorized_keys", string(before)+string(ssh.MarshalAuthorizedKey(key)))
}

// Certify has an authority sign the server's first host key, for a host name and
// until a time, and starts sshd again to show the certificate.
func (g *GitSSH) Certify(authority ssh.Signer, host string, until time.Time) {
	g.t.Helper()
	cert := &ssh.Certificate{
		Key: g.keys[0], CertType: ssh.HostCert, KeyId: "test", ValidPrincipals: []string{host},
		ValidAfter: uint64(until.Add(-48 * time.Hour).Unix()), ValidBefore: uint64(until.Unix()),
	}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		g.t.Fatal(err)
	}
	g.write("host_certificate", string(ssh.MarshalAuthorizedKey(cert)))
	g.Stop()
	g.start(g.config + "HostCertificate " + filepath.Join(g.dir, "host_certificate") + "\n")
}

// Log returns what sshd wrote since the test began.
func (g *GitSSH) Log() string {
	g.t.Helper()
	log, err := os.ReadFile(filepath.Join(g.dir, "sshd.log"))
	if err != nil {
		g.t.Fatal(err)
	}
	return string(log)
}

// Restart makes new host keys and starts sshd again with extra lines in its
// configuration.
func (g *GitSSH) Restart(extra string, keyTypes ...string) {
	g.t.Helper()
	g.Stop()
	if len(keyTypes) == 0 {
		keyTypes = []string{"ed25519"}
	}
	config := fmt.Sprintf("Port %s\nListenAddress 127.0.0.1\nPidFile none\nUsePAM no\nStrictModes no\n"+
		"PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"+
		"AuthorizedKeysFile %s\nMaxStartups 100\n%s\n", g.port, filepath.Join(g.dir, "authorized_keys"), extra)
	g.keys = nil
	for _, kt := range keyTypes {
		name := filepath.Join(g.dir, "host_"+kt)
		g.keys = append(g.keys, WriteSSHKey(g.t, name, kt, ""))
		config += "HostKey " + name + "\n"
	}
	g.config = config
	g.start(config)
}

func (g *GitSSH) start(config string) {
	g.t.Helper()
	g.write("sshd_config", config)
	log, err := os.OpenFile(filepath.Join(g.dir, "sshd.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		g.t.Fatal(err)
	}
	g.cmd = exec.Command(g.sshd, "-D", "-e", "-f", filepath.Join(g.dir, "sshd_config"))
	g.cmd.Stderr, g.cmd.Stdout = log, log
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	_ = log.Close()
	Eventually(g.t, 10*time.Second, "sshd answers", g.banner)
}

func (g *GitSSH) banner() error {
	c, err := net.Dial("tcp", g.Addr)
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(g.dir, "sshd.log"))
		return fmt.Errorf("%w\n%s", err, log)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	var b [4]byte
	if _, err := c.Read(b[:]); err != nil || !strings.HasPrefix(string(b[:]), "SSH") {
		return fmt.Errorf("banner %q, %w", b, err)
	}
	return nil
}

// Stop ends the server; conversations that run go on to their end.
func (g *GitSSH) Stop() {
	if g.cmd == nil {
		return
	}
	if err := g.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		g.t.Error(err)
	}
	_ = g.cmd.Wait()
	g.cmd = nil
}

func (g *GitSSH) write(name, text string) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// WriteSSHKey makes a private key of a type ("ed25519", "ecdsa", "rsa") at a file,
// encrypted when a passphrase is given, and returns its public half.
func WriteSSHKey(t testing.TB, file, keyType, passphrase string) ssh.PublicKey {
	t.Helper()
	var key crypto.Signer
	var err error
	switch keyType {
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	pub, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pub
}
