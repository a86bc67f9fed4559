package gitsource

import (
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
	addr       string
	files      []string
	callback   ssh.HostKeyCallback
	known      []knownhosts.KnownKey
	algorithms []string
	verdict    error // what check found, for the handshake buries it
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
	h.known = h.lookup()
	h.algorithms = algorithmsFor(h.known)
	return h, nil
}

// lookup asks for the keys on record by offering one that cannot be among them.
func (h *hostKeys) lookup() []knownhosts.KnownKey {
	var keyErr *knownhosts.KeyError
	if errors.As(h.callback(h.addr, &net.TCPAddr{IP: net.IPv4zero}, noKey{}), &keyErr) {
		return keyErr.Want
	}
	return nil
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
	if err == nil {
		return nil
	}
	offered := key.Type() + " " + ssh.FingerprintSHA256(key)
	var keyErr *knownhosts.KeyError
	switch {
	case !errors.As(err, &keyErr):
		h.verdict = fmt.Errorf("%w: %s offers %s: %w", ErrHostKey, h.addr, offered, err)
	case len(keyErr.Want) == 0:
		h.verdict = fmt.Errorf("%w: %s is unknown and offers %s; after making sure that this is its fingerprint, add this line to %s:\n%s",
			ErrHostKey, h.addr, offered, h.file(), knownhosts.Line([]string{knownhosts.Normalize(h.addr)}, key))
	default:
		h.verdict = fmt.Errorf("%w: the key of %s HAS CHANGED: it offers %s, on record is %s; somebody may be listening in, or the server was set up anew",
			ErrHostKey, h.addr, offered, describe(keyErr.Want))
	}
	return h.verdict
}

// explain puts the reason back that the handshake's error hides.
func (h *hostKeys) explain(err error) error {
	if h.verdict != nil {
		return h.verdict
	}
	var none *ssh.AlgorithmNegotiationError
	if errors.As(err, &none) && len(h.known) > 0 && strings.Contains(err.Error(), "host key") {
		return fmt.Errorf("%w: %s no longer offers a key of a type on record (%s): %w", ErrHostKey, h.addr, describe(h.known), err)
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
