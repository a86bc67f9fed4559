package gitsource

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// hostKeys decides whether a server is the one the operator knows.
type hostKeys struct {
	addr        string
	files       []string
	callback    ssh.HostKeyCallback
	known       []knownhosts.KnownKey // keys on record for this server
	authorities []knownhosts.KnownKey // who may vouch for its key (@cert-authority)
	algorithms  []string
	verdict     error // what check found, for the handshake buries it
}

// loadHostKeys reads the known_hosts file, or the usual ones.
func loadHostKeys(file, addr string) (*hostKeys, error) {
	h := &hostKeys{addr: addr}
	if file != "" {
		h.files = []string{file}
	} else {
		if home, err := os.UserHomeDir(); err == nil {
			h.files = append(h.files, filepath.Join(home, ".ssh", "known_hosts"))
		}
		h.files = append(h.files, "/etc/ssh/ssh_known_hosts")
		h.files = slices.DeleteFunc(h.files, func(name string) bool {
			_, err := os.Stat(name)
			return errors.Is(err, fs.ErrNotExist)
		})
	}
	var err error
	if h.callback, err = knownhosts.New(h.files...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHostKey, err)
	}
	if err := h.lookup(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHostKey, err)
	}
	h.algorithms = algorithmsFor(h.known)
	if len(h.authorities) > 0 {
		// Whatever the type of the authority's own key, and before plain keys, as ssh does.
		h.algorithms = append(certificates(), h.algorithms...)
	}
	return h, nil
}

// certificates are the types of host certificates, the best first.
func certificates() []string {
	return []string{
		ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
		ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
	}
}

// lookup asks for the keys on record by offering one that cannot be among them.
// The library does not tell an authority's line from a host's; the line does.
func (h *hostKeys) lookup() error {
	var keyErr *knownhosts.KeyError
	if !errors.As(h.callback(h.addr, &net.TCPAddr{IP: net.IPv4zero}, noKey{}), &keyErr) {
		return nil
	}
	for _, k := range keyErr.Want {
		authority, err := isAuthority(k)
		if err != nil {
			return err
		}
		if authority {
			h.authorities = append(h.authorities, k)
		} else {
			h.known = append(h.known, k)
		}
	}
	return nil
}

// isAuthority looks at the beginning of a key's line.
func isAuthority(k knownhosts.KnownKey) (bool, error) {
	f, err := os.Open(k.Filename)
	if err != nil {
		return false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 0; lines.Scan(); {
		if n++; n == k.Line {
			return strings.HasPrefix(strings.TrimSpace(lines.Text()), "@cert-authority"), nil
		}
	}
	return false, errors.Join(lines.Err(), fmt.Errorf("%s changed while it was read", k.Filename))
}

// algorithmsFor keeps the server from choosing a key of a type we have no record
// of when it has several: that would look like a changed key.
func algorithmsFor(known []knownhosts.KnownKey) []string {
	var algorithms []string
	for _, k := range known {
		types := []string{k.Key.Type()}
		if types[0] == ssh.KeyAlgoRSA {
			types = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
		}
		for _, t := range types {
			if !slices.Contains(algorithms, t) {
				algorithms = append(algorithms, t)
			}
		}
	}
	return algorithms
}

// check is the callback of the handshake.
func (h *hostKeys) check(hostname string, remote net.Addr, key ssh.PublicKey) error {
	err := h.callback(hostname, remote, key)
	if err == nil && h.onRecord(key) {
		return nil
	}
	h.verdict = fmt.Errorf("%w: %w", ErrHostKey, h.explainKey(key, err))
	return h.verdict
}

// onRecord keeps an authority's own key from passing as the server's.
func (h *hostKeys) onRecord(key ssh.PublicKey) bool {
	if _, ok := key.(*ssh.Certificate); ok {
		return true // checked by the library: authority, name, dates
	}
	return slices.ContainsFunc(h.known, func(k knownhosts.KnownKey) bool {
		return bytes.Equal(k.Key.Marshal(), key.Marshal())
	})
}

// explainKey says what is wrong with the key a server offers.
func (h *hostKeys) explainKey(key ssh.PublicKey, err error) error {
	offered := key.Type() + " " + ssh.FingerprintSHA256(key)
	var revoked *knownhosts.RevokedError
	cert, certified := key.(*ssh.Certificate)
	switch {
	case errors.As(err, &revoked):
		return fmt.Errorf("%s offers %s, which is revoked (%s:%d)", h.addr, offered, revoked.Revoked.Filename, revoked.Revoked.Line)
	case certified:
		return fmt.Errorf("%s offers %s with a certificate signed by %s: %w; trusted authorities: %s",
			h.addr, cert.Key.Type()+" "+ssh.FingerprintSHA256(cert.Key), ssh.FingerprintSHA256(cert.SignatureKey), err, describe(h.authorities))
	case len(h.known) > 0:
		return fmt.Errorf("the key of %s HAS CHANGED: it offers %s, on record is %s; somebody may be listening in, or the server was set up anew",
			h.addr, offered, describe(h.known))
	case len(h.authorities) > 0:
		return fmt.Errorf("%s offers %s without a certificate, and only an authority is on record for it: %s", h.addr, offered, describe(h.authorities))
	}
	return fmt.Errorf("%s is unknown and offers %s; after making sure that this is its fingerprint, add this line to %s:\n%s",
		h.addr, offered, h.file(), knownhosts.Line([]string{knownhosts.Normalize(h.addr)}, key))
}

// explain puts the reason back that the handshake's error hides.
func (h *hostKeys) explain(err error) error {
	if h.verdict != nil {
		return h.verdict
	}
	var none *ssh.AlgorithmNegotiationError
	if errors.As(err, &none) && len(h.algorithms) > 0 && strings.Contains(err.Error(), "host key") {
		return fmt.Errorf("%w: %s offers no key of a type on record (%s): %w", ErrHostKey, h.addr, describe(slices.Concat(h.known, h.authorities)), err)
	}
	return err
}

func (h *hostKeys) file() string {
	if len(h.files) > 0 {
		return h.files[0]
	}
	return "~/.ssh/known_hosts"
}

func describe(known []knownhosts.KnownKey) string {
	var b []string
	for _, k := range known {
		b = append(b, fmt.Sprintf("%s %s (%s:%d)", k.Key.Type(), ssh.FingerprintSHA256(k.Key), k.Filename, k.Line))
	}
	return strings.Join(b, ", ")
}

// noKey is a public key that no server has.
type noKey struct{}

// Type is no key type of any protocol.
func (noKey) Type() string { return "none@seedtree" }

// Marshal returns something no known_hosts line holds.
func (noKey) Marshal() []byte { return []byte("none") }

// Verify refuses everything.
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("not a key") }
