package gitsource

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// remote is one place the catalog can be fetched from and pushed to.
type remote interface {
	// fetch reads the branches and asks choose what to get; the objects reachable
	// from wants and not from haves come as a pack in the scratch directory.
	// have answers for the mirror.
	fetch(ctx context.Context, choose chooser, have func(hash) bool, in *incoming) error
	// push moves one branch by compare-and-swap.
	push(ctx context.Context, u update) error
	String() string
}

// chooser is given the remote's branches, by name below refs/heads/.
type chooser func(heads map[string]hash) (wants, haves []hash, err error)

// update is one branch moved from old (zero: not there yet) to new, together with
// the pack that new needs on top of old.
type update struct {
	ref   string
	old   hash
	force bool // whatever old is
	new   hash
	pack  packSource
}

// packSource is a sealed pack on disk.
type packSource struct {
	base  string // path without suffix
	count int    // objects in it
}

func headRef(branch string) string { return "refs/heads/" + branch }

// heads keeps the branches of a list of references.
func heads(refs map[string]hash) map[string]hash {
	m := make(map[string]hash, len(refs))
	for name, id := range refs {
		if b, ok := strings.CutPrefix(name, headRef("")); ok {
			m[b] = id
		}
	}
	return m
}

// validRefName applies the rules of git-check-ref-format that keep a name inside
// refs/ and inside one line of the protocol.
func validRefName(name string) error {
	for c := range strings.SplitSeq(name, "/") {
		if c == "" || strings.HasPrefix(c, ".") || strings.HasSuffix(c, ".lock") || strings.HasSuffix(c, ".") {
			return fmt.Errorf("not a git branch name: component %q", c)
		}
	}
	if strings.Contains(name, "..") || strings.Contains(name, "@{") || strings.ContainsAny(name, " ~^:?*[\\\x7f") {
		return fmt.Errorf("not a git branch name: %q", name)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("not a git branch name: control characters")
	}
	return nil
}

// newRemote chooses the transport from the URL's form.
func newRemote(raw string, cfg Config) (remote, error) {
	if filepath.IsAbs(raw) {
		return newLocal(raw), nil
	}
	if !strings.Contains(raw, "://") {
		if u, ok := scpURL(raw); ok {
			return newSSH(u, cfg)
		}
		return nil, errors.New("not an absolute path, ssh or https address")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a valid address") // the parser's words would repeat a password
	}
	if _, has := u.User.Password(); has {
		return nil, errors.New("it holds a password: put that into a file and name the file in the configuration")
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" && u.Host != "localhost" {
			return nil, fmt.Errorf("file:// reaches this machine only, not %q", u.Host)
		}
		return newLocal(filepath.FromSlash(u.Path)), nil
	case "ssh", "git+ssh", "ssh+git":
		return newSSH(u, cfg)
	case "https", "http":
		return newHTTP(u, cfg)
	}
	return nil, fmt.Errorf("scheme %q is not supported: use an absolute path, ssh:// or https://", u.Scheme)
}

// scpURL reads what scp and git understand as well: [USER@]HOST:PATH.
func scpURL(raw string) (*url.URL, bool) {
	place, path, ok := strings.Cut(raw, ":")
	if !ok || place == "" || strings.Contains(place, "/") {
		return nil, false
	}
	u := &url.URL{Scheme: "ssh", Host: place, Path: path}
	if user, host, ok := strings.Cut(place, "@"); ok {
		u.User, u.Host = url.User(user), host
	}
	return u, true
}

// redact takes a password out of an address before it is shown.
func redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		if i := strings.LastIndexByte(raw, '@'); i >= 0 {
			return "…" + raw[i:]
		}
		return raw
	}
	return u.Redacted()
}

// readSecret reads a one-line file such as a password, at each use.
func readSecret(name string) (string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(data), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("%s is empty", name)
	}
	return secret, nil
}
