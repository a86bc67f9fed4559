package signature

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Namespace keeps a signature made for a commit from being one for a file or a
// mail, and the reverse. It is git's.
const Namespace = "git"

// maxArmor bounds a signature, in bytes of text. An RSA key of 16384 bits needs
// some 6,000.
const maxArmor = 16 << 10

// Errors a caller decides on, found with errors.Is.
var (
	// ErrMalformed: these bytes are no signature, or more than one.
	ErrMalformed = errors.New("malformed signature")
	// ErrMismatch: the signature is by that key, but over something else.
	ErrMismatch = errors.New("the signature does not match what was signed")
	// ErrUnknownKey: the allowed-signers file does not list the key.
	ErrUnknownKey = errors.New("the key is not among the allowed signers")
	// ErrNotValidThen: the key is listed, but not for the time in question.
	ErrNotValidThen = errors.New("the key was not valid then")
)

// Signer is whose signature it is: a key, and the principals that the
// allowed-signers file gives to it.
type Signer struct {
	Key        string   // "SHA256:..." of an SSH key, "OpenPGP:..." of a primary key
	Principals []string // as listed, patterns included; none when the key is unknown
}

// String names the signer for people.
func (s Signer) String() string {
	switch {
	case s.Key == "":
		return "an unknown key"
	case len(s.Principals) == 0:
		return s.Key
	}
	return strings.Join(s.Principals, ",") + " " + s.Key
}

// Verify checks an armoured signature over data, as of a moment. The signer is
// returned as far as it is known also when the signature is not good.
func (a *Allowed) Verify(data, armored []byte, at time.Time) (s Signer, err error) {
	defer func() {
		// Parsers of OpenPGP packets have panicked on rotten input before.
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrMalformed, p)
		}
	}()
	kind, err := armorKind(armored)
	if err != nil {
		return s, err
	}
	if kind == sshArmor {
		return a.verifySSH(data, armored, at)
	}
	return a.verifyOpenPGP(data, armored, at)
}

// Labels of the two kinds of armour.
const (
	sshArmor     = "SSH SIGNATURE"
	openpgpArmor = "PGP SIGNATURE"
)

// armorKind finds out what a signature is, and refuses whatever is not exactly
// one block with nothing around it: two programs that read such a text could
// each find another signature in it.
func armorKind(armored []byte) (string, error) {
	text := string(armored)
	if len(text) > maxArmor {
		return "", fmt.Errorf("%w: %d bytes, at most %d are read", ErrMalformed, len(text), maxArmor)
	}
	first, _, _ := strings.Cut(text, "\n")
	label, begins := strings.CutPrefix(strings.TrimSuffix(first, "\r"), "-----BEGIN ")
	label, ends := strings.CutSuffix(label, "-----")
	switch {
	case !begins || !ends:
		return "", fmt.Errorf("%w: it does not begin with an armour line", ErrMalformed)
	case label == "SIGNED MESSAGE":
		return "", fmt.Errorf("%w: X.509 signatures are not supported", ErrMalformed)
	case label != sshArmor && label != openpgpArmor:
		return "", fmt.Errorf("%w: unknown armour %q", ErrMalformed, clip(label))
	case strings.Count(text, "-----BEGIN") != 1 || strings.Count(text, "-----END") != 1:
		return "", fmt.Errorf("%w: more than one armour block", ErrMalformed)
	case !strings.HasSuffix(strings.TrimRight(text, "\r\n"), "\n-----END "+label+"-----"):
		return "", fmt.Errorf("%w: something follows the armour block", ErrMalformed)
	}
	return label, nil
}

// clip shortens what others wrote, for messages.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
