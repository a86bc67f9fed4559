package gitsource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
)

// proxyURL is where to go first: the configured proxy, or what HTTPS_PROXY and
// NO_PROXY say. The password's file is read at each use.
func (h *httpRemote) proxyURL(req *http.Request) (*url.URL, error) {
	if h.cfg.Proxy == "" {
		if req == nil {
			return nil, checkProxyVariable(h.base)
		}
		return http.ProxyFromEnvironment(req)
	}
	u, err := url.Parse(h.cfg.Proxy)
	if err != nil {
		return nil, errors.New("proxy: not a valid address") // the parser's words would repeat a password
	}
	if _, has := u.User.Password(); has {
		return nil, fmt.Errorf("proxy %s: it holds a password: put that into a file and name the file in the configuration", u.Redacted())
	}
	if u.Scheme != "http" || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("proxy %s: want http://HOST:PORT, a proxy that is asked to CONNECT", u.Redacted())
	}
	name := u.User.Username()
	if (name == "") != (h.cfg.ProxyPasswordFile == "") {
		return nil, fmt.Errorf("proxy %s: a user name in the address and a password file need each other", u.Redacted())
	}
	if name == "" || req == nil {
		return u, nil
	}
	password, err := readSecret(h.cfg.ProxyPasswordFile)
	if err != nil {
		return nil, fmt.Errorf("%w: password of the proxy: %w", ErrAuth, err)
	}
	u.User = url.UserPassword(name, password)
	return u, nil
}

// checkProxyVariable refuses a variable that the library would ignore because it cannot
// read it: the way would be past the proxy, and nobody would know. Which of the two
// spellings it prefers has changed, so both must be good. The value is not repeated, for
// there may be a password in it.
func checkProxyVariable(base string) error {
	scheme, _, _ := strings.Cut(base, "://")
	upper := strings.ToUpper(scheme) + "_PROXY"
	for _, name := range []string{strings.ToLower(upper), upper} {
		value := os.Getenv(name)
		if value == "" {
			continue
		}
		if !strings.Contains(value, "://") {
			value = "http://" + value
		}
		u, err := url.Parse(value)
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
			return fmt.Errorf("the variable %s: its value is no proxy's address (want http://HOST:PORT): mend or unset it, or set catalog.https.proxy", name)
		}
	}
	return nil
}

// proxyAnswer words what a proxy says to CONNECT; the library keeps the status only.
func proxyAnswer(_ context.Context, proxy *url.URL, _ *http.Request, res *http.Response) error {
	if res.StatusCode == http.StatusOK {
		return nil
	}
	err := fmt.Errorf("proxy %s: HTTP status %s", proxy.Host, printable(res.Status))
	switch code := res.StatusCode; {
	case code == http.StatusProxyAuthRequired, code == http.StatusForbidden:
		return fmt.Errorf("%w: %w", ErrAuth, err)
	case code >= 500:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}

// proxied fails when a proxy is configured that no remote would use. ssh goes
// directly, always: a setting that does nothing would be believed in.
func proxied(cfg Config) error {
	if cfg.HTTPS.Proxy == "" {
		if cfg.HTTPS.ProxyPasswordFile != "" {
			return errors.New("catalog proxy: a password file without a proxy")
		}
		return nil
	}
	for _, raw := range cfg.URLs {
		if u, err := url.Parse(raw); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
			return nil
		}
	}
	return errors.New("catalog proxy: no url is https://, and only https goes through a proxy (ssh and local paths do not)")
}
