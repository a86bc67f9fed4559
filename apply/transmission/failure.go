package transmission

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	transmissionrpc "github.com/hekmon/transmissionrpc/v2"

	"seedtree/apply"
	"seedtree/internal/pulse"
)

// attempt runs one call under a deadline and says what its failure means.
// Kept-alive connections that a restarted daemon has dropped are no failure: the
// call is made again, as often as there may be such connections. It may have
// been done already; every call of ours can be done twice.
func (c *client) attempt(ctx context.Context, password string, f func(context.Context) error) error {
	var err error
	for range connections + 2 {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		err = f(call)
		if call.Err() == nil { // a refusal is an answer, too
			pulse.Of(ctx)()
		}
		cancel()
		if !dropped(err) {
			break
		}
	}
	if err == nil {
		c.mu.Lock()
		c.deniedUntil = time.Time{}
		c.mu.Unlock()
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: transmission at %s does not answer in time: %w", apply.ErrEngineUnreachable, c.endpoint, context.Cause(ctx))
	}
	if ctx.Err() != nil {
		return fmt.Errorf("transmission at %s: %w", c.endpoint, context.Cause(ctx))
	}
	return c.explain(err, password)
}

// dropped reports whether the other side has hung up.
func dropped(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) ||
		err != nil && strings.Contains(err.Error(), "server closed idle connection") // net/http keeps this one private
}

// explain turns what went wrong into what to do about it.
func (c *client) explain(err error, password string) error {
	var status transmissionrpc.HTTPStatusCode
	if errors.As(err, &status) {
		return c.explainStatus(int(status), password)
	}
	var refused resultError
	if errors.As(err, &refused) {
		return err
	}
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &syntax) || errors.As(err, &mistyped) {
		return fmt.Errorf("%w: %s answers, but not as Transmission's RPC does: %w", apply.ErrEngineConfig, c.endpoint, err)
	}
	var untrusted *tls.CertificateVerificationError
	var alert *net.OpError // crypto/tls wraps what the other side complains of
	if errors.As(err, &untrusted) || errors.As(err, &alert) && alert.Op == "remote error" {
		return fmt.Errorf("%w: Transmission at %s: caFile, certFile or keyFile do not fit: %w", apply.ErrEngineConfig, c.endpoint, err)
	}
	var network *url.Error
	var timeout net.Error
	if c.certWanted.Load() && errors.As(err, &network) {
		// Whether its refusal or the closed connection is seen first is chance.
		return fmt.Errorf("%w: Transmission at %s wants a client certificate: give certFile and keyFile: %w", apply.ErrEngineConfig, c.endpoint, err)
	}
	if errors.As(err, &network) || errors.As(err, &timeout) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: Transmission at %s: %w", apply.ErrEngineUnreachable, c.endpoint, err)
	}
	return fmt.Errorf("transmission at %s: %w", c.endpoint, err)
}

func (c *client) explainStatus(status int, password string) error {
	switch status {
	case http.StatusUnauthorized:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.deniedWith, c.deniedUntil = password, time.Now().Add(deniedPause)
		return c.denied()
	case http.StatusForbidden:
		return fmt.Errorf("%w: Transmission at %s answers 403 Forbidden: add this machine to its rpc-whitelist (after many wrong passwords, restart it)",
			apply.ErrEngineConfig, c.endpoint)
	case http.StatusMisdirectedRequest:
		return fmt.Errorf("%w: Transmission at %s answers 421: add the host name to its rpc-host-whitelist", apply.ErrEngineConfig, c.endpoint)
	case http.StatusNotFound, http.StatusMovedPermanently, http.StatusFound, http.StatusMethodNotAllowed:
		return fmt.Errorf("%w: nothing answers as Transmission's RPC at %s (HTTP %d): the path usually is /transmission/rpc",
			apply.ErrEngineConfig, c.endpoint, status)
	}
	return fmt.Errorf("%w: Transmission at %s answers %d %s", apply.ErrEngineUnreachable, c.endpoint, status, http.StatusText(status))
}

func (c *client) denied() error {
	remedy := "give username and passwordFile"
	if c.username != "" {
		remedy = fmt.Sprintf("check user %q and the password file %s", c.username, c.passwordFile)
	}
	return fmt.Errorf("%w: Transmission at %s refuses the credentials (401): %s; they are not offered again for %s, because Transmission locks everybody out after too many",
		apply.ErrEngineConfig, c.endpoint, remedy, deniedPause)
}
