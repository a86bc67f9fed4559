package gitsource

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// newHTTP makes a remote that speaks git's smart HTTP protocol.
func newHTTP(u *url.URL, cfg Config) (remote, error) {
	h := &httpRemote{base: strings.TrimRight(u.Redacted(), "/"), cfg: cfg.HTTPS, timeout: cfg.Timeout}
	if u.Host == "" {
		return nil, errors.New("it names no host")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("it has a query or fragment")
	}
	if u.User != nil {
		if h.cfg.Username == "" {
			h.cfg.Username = u.User.Username()
		}
		plain := *u
		plain.User = nil
		h.base = strings.TrimRight(plain.String(), "/")
	}
	if u.Scheme == "http" && (h.cfg.Username != "" || h.cfg.PasswordFile != "" || h.cfg.CertFile != "") {
		return nil, errors.New("credentials are not sent over plain http, where everyone on the way can read them: use https")
	}
	if (h.cfg.Username == "") != (h.cfg.PasswordFile == "") {
		return nil, errors.New("a user name and a password file need each other")
	}
	if _, err := readTLS(h.cfg); err != nil {
		return nil, err
	}
	if _, err := h.proxyURL(nil); err != nil {
		return nil, err
	}
	return &wire{address: h.base, timeout: cfg.Timeout, open: h.open}, nil
}

type httpRemote struct {
	base    string
	cfg     HTTPS
	timeout time.Duration
}

// httpPipe is a conversation of two requests.
type httpPipe struct {
	ctx     context.Context
	remote  *httpRemote
	client  *http.Client
	service string
	base    string // after a redirect within the server
	adv     io.ReadCloser
	answer  io.ReadCloser

	mu    sync.Mutex
	conns []*watchedConn // one, if the server keeps it open between the requests
}

func (h *httpRemote) open(ctx context.Context, service string) (pipe, error) {
	config, err := readTLS(h.cfg)
	if err != nil {
		return nil, err
	}
	p := &httpPipe{ctx: ctx, remote: h, service: service, base: h.base}
	p.client = &http.Client{
		CheckRedirect: p.checkRedirect,
		Transport: &http.Transport{
			Proxy:                  h.proxyURL,
			OnProxyConnectResponse: proxyAnswer,
			TLSClientConfig:        config,
			DisableCompression:     true,
			DialContext:            p.dial, // its connections have deadlines; timeouts here would only hide why
		},
	}
	if err := p.discover(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *httpPipe) dial(_ context.Context, network, addr string) (net.Conn, error) {
	c, err := dial(p.ctx, network, addr, p.remote.timeout)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
	return c, nil
}

func (p *httpPipe) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.renew()
	}
}

const infoRefs = "/info/refs"

// discover gets the advertisement.
func (p *httpPipe) discover() error {
	res, err := p.do(http.MethodGet, infoRefs+"?service="+p.service, nil, 0)
	if err != nil {
		return err
	}
	p.adv = res.Body
	if want := "application/x-" + p.service + "-advertisement"; res.Header.Get("Content-Type") != want {
		return fmt.Errorf("%s: %w: the server does not speak git's smart protocol (it sent %.60q)", p.base, ErrNotFound, res.Header.Get("Content-Type"))
	}
	final := *res.Request.URL
	final.RawQuery = ""
	p.base = strings.TrimSuffix(final.String(), infoRefs)
	return nil
}

// checkRedirect follows a server that knows its repository under a longer name, and
// nobody else: credentials go where the configuration says.
func (p *httpPipe) checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > 5 || req.URL.Scheme != first.Scheme || req.URL.Host != first.Host ||
		via[0].Method != http.MethodGet || !strings.HasSuffix(req.URL.Path, infoRefs) {
		return fmt.Errorf("the server sends us on to %s: if that is the catalog's new place, configure it", req.URL.Redacted())
	}
	return nil
}

func (p *httpPipe) do(method, path string, body io.Reader, size int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(p.ctx, method, p.base+path, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	req.Header.Set("User-Agent", "git/seedtree")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-"+p.service+"-request")
		req.Header.Set("Accept", "application/x-"+p.service+"-result")
	}
	if p.remote.cfg.Username != "" {
		password, err := readSecret(p.remote.cfg.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("%w: password: %w", ErrAuth, err)
		}
		req.SetBasicAuth(p.remote.cfg.Username, password)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return nil, httpError(err)
	}
	if err := statusError(res); err != nil {
		return nil, err
	}
	return res, nil
}

// httpError keeps a wrong certificate from looking like a broken line: url.Error
// makes network errors of everything.
func httpError(err error) error {
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		return fmt.Errorf("%w: the server's certificate: %s", ErrAuth, cert.Error())
	}
	var alert *net.OpError
	if errors.As(err, &alert) && alert.Op == "remote error" { // how crypto/tls words what the other side objects to
		return fmt.Errorf("%w: TLS: the server says %q", ErrAuth, alert.Err.Error())
	}
	var u *url.Error
	if errors.As(err, &u) && u.Err != nil && !u.Timeout() {
		return u.Err
	}
	return err
}

func statusError(res *http.Response) error {
	if res.StatusCode == http.StatusOK {
		return nil
	}
	defer res.Body.Close()
	words := &tail{}
	_, _ = io.CopyN(words, res.Body, 300)
	err := fmt.Errorf("HTTP status %s%s", printable(res.Status), words.said())
	switch code := res.StatusCode; {
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusProxyAuthRequired:
		return fmt.Errorf("%w: %w", ErrAuth, err)
	case code == http.StatusNotFound, code == http.StatusGone:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case code == http.StatusRequestEntityTooLarge:
		return fmt.Errorf("%w: %w", ErrRefused, err)
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}

func (p *httpPipe) advertised() io.Reader { return p.adv }

func (p *httpPipe) request(body io.Reader, size int64) (io.Reader, error) {
	// Read to its end, so that the connection serves once more.
	_, _ = io.CopyN(io.Discard, p.adv, 1)
	_ = p.adv.Close()
	res, err := p.do(http.MethodPost, "/"+p.service, io.NopCloser(body), size)
	if err != nil {
		return nil, err
	}
	p.answer = res.Body
	return res.Body, nil
}

// Close ends the conversation and its connections.
func (p *httpPipe) Close() error {
	for _, body := range []io.Closer{p.adv, p.answer} {
		if body != nil {
			_ = body.Close()
		}
	}
	p.client.CloseIdleConnections()
	return nil
}
