package transmission

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	transmissionrpc "github.com/hekmon/transmissionrpc/v2"
)

const (
	callTimeout   = 30 * time.Second
	maxAnswer     = 256 << 20 // bytes; a list of 100,000 torrents has about 50 MB
	sessionHeader = "X-Transmission-Session-Id"
	// Transmission locks everybody out after about 100 wrong passwords: a
	// password that was refused is tried again no sooner than this.
	deniedPause = 15 * time.Minute
)

// client speaks to one daemon. Everyday calls go through the transmissionrpc
// library; those it cannot do safely go through call.
type client struct {
	endpoint     *url.URL
	username     string
	passwordFile string
	http         *http.Client
	relay        *relay // nil: the library reaches the daemon by itself
	// certWanted: the server asked for a certificate, and we have none. It may
	// let us in all the same; if it does not, this is why.
	certWanted atomic.Bool

	mu          sync.Mutex
	session     string // CSRF token of call; the library keeps its own
	lib         *transmissionrpc.Client
	libPassword string
	deniedWith  string // the password that was refused
	deniedUntil time.Time
}

func newClient(cfg Config) (*client, error) {
	endpoint, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	c := &client{endpoint: endpoint, username: cfg.Username, passwordFile: cfg.PasswordFile}
	if cfg.PasswordFile != "" && cfg.Username == "" {
		return nil, errors.New("a password file without a user name")
	}
	transport := &http.Transport{MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute}
	if cfg.CAFile != "" || cfg.CertFile != "" || cfg.KeyFile != "" {
		if endpoint.Scheme != "https" {
			return nil, fmt.Errorf("certificates are given, but %s is not https", endpoint)
		}
		if transport.TLSClientConfig, err = tlsConfig(cfg, &c.certWanted); err != nil {
			return nil, err
		}
		if c.relay, err = newRelay(endpoint, transport); err != nil {
			return nil, err
		}
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // the password goes where it was sent, and nowhere else
	}}
	return c, nil
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("URL of Transmission's RPC: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, fmt.Errorf("URL of Transmission's RPC is %q: want http://HOST:9091/transmission/rpc", raw)
	case u.User != nil:
		return nil, fmt.Errorf("URL of Transmission's RPC: credentials belong into username and passwordFile, not into the URL")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/transmission/rpc"
	}
	if u.Port() == "" {
		port := "80"
		if u.Scheme == "https" {
			port = "443"
		}
		u.Host += ":" + port
	}
	return u, nil
}

func tlsConfig(cfg Config, certWanted *atomic.Bool) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		certWanted.Store(true)
		return &tls.Certificate{}, nil
	}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("CA of Transmission's RPC: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA of Transmission's RPC: no certificate in %s", cfg.CAFile)
		}
	}
	if cfg.CertFile != "" || cfg.KeyFile != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("client certificate for Transmission's RPC: %w", err)
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		// Read at each handshake: certificates are renewed under our feet.
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return conf, nil
}

// password reads the secret anew, so that a changed file needs no restart, and
// refuses to offer again what the daemon has just refused.
func (c *client) password() (string, error) {
	if c.passwordFile == "" {
		return "", c.notDenied("")
	}
	raw, err := os.ReadFile(c.passwordFile)
	if err != nil {
		return "", fmt.Errorf("password of Transmission's RPC: %w", err)
	}
	p := strings.TrimRight(string(raw), "\r\n")
	return p, c.notDenied(p)
}

func (c *client) notDenied(password string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if password == c.deniedWith && time.Now().Before(c.deniedUntil) {
		return c.denied()
	}
	return nil
}

// library returns a transmissionrpc client for the present password.
func (c *client) library() (*transmissionrpc.Client, string, error) {
	password, err := c.password()
	if err != nil {
		return nil, "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lib != nil && password == c.libPassword {
		return c.lib, password, nil
	}
	host, port, user, secret, secure := c.endpoint.Hostname(), c.endpoint.Port(), c.username, password, c.endpoint.Scheme == "https"
	if c.relay != nil {
		c.relay.authorize(c.username, password)
		host, port, user, secret, secure = c.relay.host, c.relay.port, relayUser, c.relay.secret, false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, "", fmt.Errorf("URL of Transmission's RPC: port %q: %w", port, err)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	lib, err := transmissionrpc.New(host, user, secret, &transmissionrpc.AdvancedConfig{
		HTTPS: secure, Port: uint16(n), RPCURI: c.endpoint.RequestURI(), HTTPTimeout: callTimeout, UserAgent: "seedtree",
	})
	if err != nil {
		return nil, "", err
	}
	c.lib, c.libPassword = lib, password
	return lib, password, nil
}

// do runs one library call under a deadline. All calls that come here are
// idempotent and name torrents by hash, so that it does not matter that the
// library resends after a 409.
func (c *client) do(ctx context.Context, f func(context.Context, *transmissionrpc.Client) error) error {
	lib, password, err := c.library()
	if err != nil {
		return err
	}
	return c.attempt(ctx, password, func(ctx context.Context) error {
		err := f(ctx, lib)
		var status transmissionrpc.HTTPStatusCode
		if c.relay != nil && errors.As(err, &status) && int(status) == http.StatusBadGateway {
			return c.relay.failure(err)
		}
		return err
	})
}

// call does one RPC without the library: for torrents by hash where the
// library knows only ids (3.00 deals new ids at every restart, so an id may
// have become another torrent's), and for arguments the library lacks.
func (c *client) call(ctx context.Context, method string, arguments, result any) error {
	body, err := json.Marshal(map[string]any{"method": method, "arguments": arguments})
	if err != nil {
		return err
	}
	password, err := c.password()
	if err != nil {
		return err
	}
	return c.attempt(ctx, password, func(ctx context.Context) error {
		// A 409 brings the session id and means that nothing was done.
		// Resending is safe: every call names its torrents by info hash.
		for range 2 {
			again, err := c.post(ctx, method, password, body, result)
			if !again {
				return err
			}
		}
		return errors.New("the session id is refused again and again")
	})
}

func (c *client) post(ctx context.Context, method, password string, body []byte, result any) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint.String(), bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	req.Header.Set(sessionHeader, c.session)
	c.mu.Unlock()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "seedtree")
	if c.username != "" {
		req.SetBasicAuth(c.username, password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return false, err
	}
	switch resp.StatusCode {
	case http.StatusConflict:
		c.mu.Lock()
		c.session = resp.Header.Get(sessionHeader)
		c.mu.Unlock()
		return true, nil
	case http.StatusOK:
	default:
		return false, transmissionrpc.HTTPStatusCode(resp.StatusCode)
	}
	answer := struct {
		Result    string `json:"result"`
		Arguments any    `json:"arguments"`
	}{Arguments: result}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return false, fmt.Errorf("%s: %w", method, err)
	}
	if answer.Result != "success" {
		return false, resultError(answer.Result)
	}
	return false, nil
}

// resultError is the daemon's own word on a call that it understood and did not do.
type resultError string

func (e resultError) Error() string { return string(e) }

func (c *client) close() error {
	c.http.CloseIdleConnections()
	if c.relay != nil {
		return c.relay.close()
	}
	return nil
}
