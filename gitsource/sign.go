package gitsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"seedtree/internal/signature"
	"seedtree/manifests"
)

// signatureHeader is where a commit carries its signature.
const signatureHeader = "gpgsig"

// splitCommit takes a commit object apart into the bytes that its signature covers,
// which are all but the signature's header, and the armoured signature, which is
// nil when there is none. It is strict: two programs that skip or repeat headers
// in two ways would see two commits under one signature.
func splitCommit(data []byte) (payload, armored []byte, err error) {
	end := bytes.Index(data, []byte("\n\n"))
	if end < 0 || bytes.IndexByte(data[:end], 0) >= 0 {
		return nil, nil, errors.New("malformed commit: no end of its headers, or a zero byte in them")
	}
	seen := map[string]bool{}
	for rest := data[:end+1]; len(rest) > 0; {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		rest = after
		key, value, _ := strings.Cut(string(line), " ")
		if err := checkHeader(key, value, seen); err != nil {
			return nil, nil, err
		}
		if key != signatureHeader {
			payload = append(append(payload, line...), '\n')
			continue
		}
		armored = append([]byte(value), '\n')
		for len(rest) > 0 && rest[0] == ' ' {
			line, rest, _ = bytes.Cut(rest[1:], []byte("\n"))
			armored = append(append(armored, line...), '\n')
		}
	}
	return append(payload, data[end+1:]...), armored, nil
}

// checkHeader knows the headers that commits of a catalog have. Others (gpgsig-sha256,
// mergetag) would bring in signatures that nobody here looks at.
func checkHeader(key, value string, seen map[string]bool) error {
	if seen[key] && key != "parent" {
		return fmt.Errorf("it has more than one %s header", key)
	}
	switch {
	case len(seen) == 0 && key != "tree":
		return errors.New("malformed commit: it does not begin with its tree")
	case key == "tree" || key == "parent":
		if !plumbing.IsHash(value) || strings.ToLower(value) != value {
			return fmt.Errorf("malformed commit: %s %q", key, value)
		}
	case key == "author", key == "committer", key == "encoding", key == signatureHeader:
	default:
		return fmt.Errorf("it has a header %q, which commits of a catalog do not have", key)
	}
	seen[key] = true
	return nil
}

// joinCommit enters a signature into a commit, where git puts it.
func joinCommit(payload, armored []byte) []byte {
	end := bytes.Index(payload, []byte("\n\n")) + 1
	header := signatureHeader + " " + strings.ReplaceAll(strings.TrimRight(string(armored), "\n"), "\n", "\n ") + "\n"
	out := make([]byte, 0, len(payload)+len(header))
	return append(append(append(out, payload[:end]...), header...), payload[end:]...)
}

// sign signs a commit on top of parent, if there is a key, and refuses one that the
// others would refuse.
func (s *Source) sign(parent *Revision, c Commit, data []byte, at time.Time) ([]byte, error) {
	key, err := s.signingKey()
	if err != nil {
		return nil, err
	}
	if key == nil {
		if s.cfg.Trust.Signatures == NoSignatures {
			return data, nil
		}
		return nil, &UnsignableError{Rule: "commits must be signed, and no signing key is configured"}
	}
	armored, err := key.Sign(data, at)
	if err != nil {
		return nil, err
	}
	if err := s.wouldTrust(parent, c.elsewhere(), data, armored, at); err != nil {
		return nil, err
	}
	return joinCommit(data, armored), nil
}

// elsewhere names a file of the commit that is not below torrents/.
func (c Commit) elsewhere() string {
	files := c.files()
	for i := range files.Len() {
		if name := files.At(i).Name; !strings.HasPrefix(name, manifests.CatalogDir+"/") {
			return name
		}
	}
	for _, name := range c.Delete {
		if !strings.HasPrefix(name, manifests.CatalogDir+"/") {
			return name
		}
	}
	return ""
}

// CanCommit finds out, before any work is done, whether a commit of ours on top of
// parent would be trusted: one that changes only torrents/, or one that changes the
// manifest too. Without signatures, it would. The error is an *UnsignableError,
// or says what is wrong with a file.
func (s *Source) CanCommit(ctx context.Context, parent *Revision, manifest bool) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := s.open(); err != nil {
		return err
	}
	c := Commit{}
	if manifest {
		c.Put = []File{{Name: manifestName}}
	}
	at := time.Now()
	if parent != nil && at.Before(parent.Time) {
		at = parent.Time
	}
	_, err = s.sign(parent, c, []byte("tree 0\n\nA trial, never committed\n"), at)
	return err
}

// UnsignableError is a commit that this site may not make: the others would not trust
// it, so it is not made.
type UnsignableError struct{ Signer, Rule string }

func (e *UnsignableError) Error() string {
	if e.Signer == "" {
		return "this site may not commit that: " + e.Rule
	}
	return fmt.Sprintf("this site may not commit that: its key (%s) is not trusted with it: %s", e.Signer, e.Rule)
}

// Is makes errors.Is(err, ErrUntrusted) true.
func (e *UnsignableError) Is(target error) bool { return target == ErrUntrusted }

// wouldTrust judges a commit of our own as the other sites will.
func (s *Source) wouldTrust(parent *Revision, elsewhere string, data, armored []byte, at time.Time) error {
	if s.cfg.Trust.Signatures == NoSignatures {
		return nil
	}
	allowed, err := s.allowedSigners()
	if err != nil {
		return err
	}
	signer, err := allowed.Verify(data, armored, at)
	if err != nil {
		return &UnsignableError{signer.String(), err.Error()}
	}
	if isAdmin(signer) {
		return nil
	}
	rule := ""
	if parent == nil {
		rule = ruleFirst
	} else if elsewhere != "" {
		rule = ruleElsewhere(elsewhere)
	} else if rule, err = s.store.mayBuild(signer, parent.id, parent.tree); err != nil {
		return err
	}
	if rule != "" {
		return &UnsignableError{signer.String(), rule}
	}
	return nil
}

// maxKeyText bounds the files named in the configuration, in bytes.
const maxKeyText = 1 << 20

// signingKey reads the key to sign with; nil when none is configured.
func (s *Source) signingKey() (*signature.Key, error) {
	t := s.cfg.Trust
	if t.SigningKeyFile == "" {
		return nil, nil
	}
	f, err := os.Open(t.SigningKeyFile)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	err = checkPrivate(f)
	_ = f.Close()
	if err != nil {
		return nil, fmt.Errorf("signing key %w", err)
	}
	data, err := readKeyText(t.SigningKeyFile)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	var passphrase []byte
	if t.SigningPassphraseFile != "" {
		if passphrase, err = readKeyText(t.SigningPassphraseFile); err != nil {
			return nil, fmt.Errorf("passphrase of the signing key: %w", err)
		}
		passphrase = bytes.TrimRight(passphrase, "\r\n")
	}
	key, err := signature.ParseKey(data, passphrase)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", t.SigningKeyFile, err)
	}
	return key, nil
}

// allowedSigners reads who may sign. Whatever is wrong with the file, it allows nobody.
func (s *Source) allowedSigners() (*signature.Allowed, error) {
	name := s.cfg.Trust.AllowedSignersFile
	data, err := readKeyText(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoSigners, err)
	}
	s.warnUnguarded(name)
	a, err := signature.ParseAllowed(data, func(file string) ([]byte, error) {
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(name), file)
		}
		s.warnUnguarded(file)
		return readKeyText(file)
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNoSigners, name, err)
	}
	for _, p := range a.Principals() {
		if strings.HasPrefix(p, siteRole) || strings.HasPrefix(p, adminRole) {
			return a, nil
		}
	}
	return nil, fmt.Errorf("%w: %s: it gives nobody a role: principals are %sNAME and %sNAME", ErrNoSigners, name, siteRole, adminRole)
}

// warnUnguarded says once that others can change who is trusted. It is no error: many a
// machine gives each user a group of their own, and files that it can write.
func (s *Source) warnUnguarded(name string) {
	err := guarded(name)
	if err == nil || s.unguarded[err.Error()] {
		return
	}
	if s.unguarded == nil {
		s.unguarded = map[string]bool{}
	}
	s.unguarded[err.Error()] = true
	s.log.Warn("others can change who is trusted", "err", err)
}

func readKeyText(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyText {
		return nil, fmt.Errorf("%s: want a file of at most %d bytes", name, maxKeyText)
	}
	return os.ReadFile(name)
}
