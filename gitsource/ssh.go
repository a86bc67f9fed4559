package gitsource

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// newSSH makes a remote that runs git's services on an ssh server. Only what is
// configured counts: no ~/.ssh/config, no prompts.
func newSSH(u *url.URL, cfg Config) (remote, error) {
	r, err := sshAt(u, cfg)
	if err != nil {
		return nil, err
	}
	return &wire{address: u.Redacted(), timeout: cfg.Timeout, open: r.open}, nil
}

func sshAt(u *url.URL, cfg Config) (*sshRemote, error) {
	if u.Hostname() == "" || strings.Trim(u.Path, "/") == "" {
		return nil, errors.New("it needs a host and a path, as in ssh://git@git.example/catalog.git")
	}
	r := &sshRemote{user: "git", host: u.Hostname(), port: "22", path: u.Path, cfg: cfg.SSH, timeout: cfg.Timeout}
	if u.User != nil && u.User.Username() != "" {
		r.user = u.User.Username()
	}
	if p := u.Port(); p != "" {
		r.port = p
	}
	// ssh://host/~user/x means a path below that user's home.
	if strings.HasPrefix(r.path, "/~") {
		r.path = r.path[1:]
	}
	return r, nil
}

type sshRemote struct {
	user, host, port, path string
	cfg                    SSH
	timeout                time.Duration
}

// sshPipe is one command on the server.
type sshPipe struct {
	client  *ssh.Client
	session *ssh.Session
	conn    *watchedConn
	agent   io.Closer
	in      io.WriteCloser
	out     io.Reader
	stderr  *lockedTail
}

func (r *sshRemote) open(ctx context.Context, service string) (pipe, error) {
	p := &sshPipe{stderr: &lockedTail{}}
	auth, err := r.auth(ctx, p)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrAuth, err), p.Close())
	}
	addr := net.JoinHostPort(r.host, r.port)
	keys, err := loadHostKeys(r.cfg.KnownHostsFile, addr)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	conn, err := dial(ctx, "tcp", addr, r.timeout)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.conn = conn
	config := &ssh.ClientConfig{
		User: r.user, Auth: auth, HostKeyCallback: keys.check,
		HostKeyAlgorithms: keys.algorithms, Timeout: r.timeout,
	}
	heard := &greeting{Conn: conn}
	c, chans, reqs, err := ssh.NewClientConn(heard, addr, config)
	if err != nil {
		_ = conn.Close()
		return nil, errors.Join(keys.explain(r.explain(p.explain(err))), heard.excuse(), p.Close())
	}
	p.client = ssh.NewClient(c, chans, reqs)
	if err := p.run(service + " " + shellQuote(r.path)); err != nil {
		return nil, errors.Join(p.explain(err), p.Close())
	}
	return p, nil
}

// greeting listens to how a server begins. One that has no place for us says so in
// plain words where its version is expected, and x/crypto skips them.
type greeting struct {
	net.Conn
	mu    sync.Mutex
	begin []byte
}

func (g *greeting) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begin = append(g.begin, p[:min(n, maxGreeting-len(g.begin))]...)
	return n, err
}

const maxGreeting = 256

// excuse is what the server said instead of a version, if it did.
func (g *greeting) excuse() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	said := tail{g.begin}
	if text := said.text(); text != "" && !strings.Contains(text, "SSH-") {
		return fmt.Errorf("the server says %q", text)
	}
	return nil
}

// explain tells refused keys from a broken line; x/crypto has only words for it.
func (r *sshRemote) explain(err error) error {
	if strings.Contains(err.Error(), "unable to authenticate") {
		return fmt.Errorf("%w: ssh user %s: %w", ErrAuth, r.user, err)
	}
	return err
}

func (p *sshPipe) run(command string) error {
	var err error
	if p.session, err = p.client.NewSession(); err != nil {
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) {
			// The connection is gone, which x/crypto calls an unexpected packet.
			err = fmt.Errorf("%w: %w", err, io.ErrUnexpectedEOF)
		}
		return err
	}
	if p.in, err = p.session.StdinPipe(); err != nil {
		return err
	}
	if p.out, err = p.session.StdoutPipe(); err != nil {
		return err
	}
	p.session.Stderr = p.stderr
	return p.session.Start(command)
}

func (p *sshPipe) advertised() io.Reader { return p }

// explain says why the connection ended. When it dies of silence, the library tells
// no more than that it did.
func (p *sshPipe) explain(err error) error {
	if stalled := p.conn.failure(); err != nil && stalled != nil {
		return stalled
	}
	return err
}

// Read reads what the command says.
func (p *sshPipe) Read(b []byte) (int, error) {
	n, err := p.out.Read(b)
	return n, p.explain(err)
}

func (p *sshPipe) renew() { p.conn.renew() }

func (p *sshPipe) request(body io.Reader, _ int64) (io.Reader, error) {
	_, err := io.Copy(p.in, body)
	if err == nil {
		err = p.in.Close()
	}
	if stalled := p.conn.failure(); err != nil && stalled != nil {
		return nil, stalled
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	// At EOF the server listens no more. It may have said all and left before our
	// end of the line was closed; or why its disk is full.
	return p, nil
}

// Close hangs up. What the server said on its error channel becomes the error: a
// missing repository is told there and nowhere else.
func (p *sshPipe) Close() error {
	if p.agent != nil {
		_ = p.agent.Close()
	}
	if p.client != nil {
		_ = p.client.Close()
		if p.session != nil {
			_ = p.session.Wait() // the copying of stderr ends with it
		}
		p.client = nil // a second Wait would never end
	}
	if said := p.stderr.text(); said != "" {
		return serverError(said)
	}
	return nil
}

// auth gathers the keys to offer: the configured one, else the agent's, else the
// usual files.
func (r *sshRemote) auth(ctx context.Context, p *sshPipe) ([]ssh.AuthMethod, error) {
	if r.cfg.KeyFile != "" {
		signer, err := readKey(r.cfg.KeyFile, r.cfg.PassphraseFile)
		if err != nil {
			return nil, err
		}
		return []ssh.AuthMethod{ssh.PublicKeys(signer)}, nil
	}
	if sock := os.Getenv("SSH_AUTH_SOCK"); sock != "" {
		// An agent that asks its user gets as long as a server.
		if conn, err := dial(ctx, "unix", sock, r.timeout); err == nil {
			p.agent = conn
			return []ssh.AuthMethod{ssh.PublicKeysCallback(agent.NewClient(conn).Signers)}, nil
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, fmt.Errorf("no key file is configured: %w", err)
	}
	var signers []ssh.Signer
	var unfit []error
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		signer, err := readKey(filepath.Join(home, ".ssh", name), r.cfg.PassphraseFile)
		switch {
		case err == nil:
			signers = append(signers, signer)
		case !errors.Is(err, fs.ErrNotExist):
			unfit = append(unfit, err)
		}
	}
	if len(signers) == 0 {
		return nil, errors.Join(append([]error{errors.New("no key file is configured, no agent runs, and ~/.ssh has no key that can be used")}, unfit...)...)
	}
	return []ssh.AuthMethod{ssh.PublicKeys(signers...)}, nil
}

// readKey reads a private key. Like ssh, it refuses one of our own that others can read.
func readKey(name, passphraseFile string) (ssh.Signer, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := checkPrivate(f); err != nil {
		return nil, fmt.Errorf("ssh key %w", err)
	}
	pem, err := io.ReadAll(io.LimitReader(f, maxKey))
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(pem)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) && passphraseFile == "" {
		return nil, fmt.Errorf("ssh key %s is protected by a passphrase, and no file with that is configured", name)
	}
	if errors.As(err, &locked) {
		pass, err := readSecret(passphraseFile)
		if err != nil {
			return nil, err
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(pem, []byte(pass))
		if errors.Is(err, x509.IncorrectPasswordError) {
			return nil, fmt.Errorf("ssh key %s: the passphrase in %s is wrong", name, passphraseFile)
		}
		if err != nil {
			return nil, fmt.Errorf("ssh key %s: %w", name, err)
		}
		return signer, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ssh key %s: %w", name, err)
	}
	return signer, nil
}

// maxKey is far beyond any private key, in bytes.
const maxKey = 1 << 20

// shellQuote quotes as git does, for the shell behind sshd.
func shellQuote(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(s) + "'"
}

// lockedTail is a tail that the ssh library writes while we read.
type lockedTail struct {
	mu sync.Mutex
	t  tail
}

func (l *lockedTail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.t.Write(p)
}

func (l *lockedTail) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.t.text()
}
