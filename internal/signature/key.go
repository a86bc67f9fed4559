package signature

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

// Key is a private key that signs commits.
type Key struct{ k privateKey }

type privateKey interface {
	sign(data []byte, at time.Time) ([]byte, error)
	fingerprint() string
}

// ParseKey reads an SSH private key or an armoured OpenPGP secret key. The
// passphrase is used if the key has one.
func ParseKey(data, passphrase []byte) (*Key, error) {
	if bytes.Contains(data, []byte("-----BEGIN PGP")) {
		return parseOpenPGPKey(data, passphrase)
	}
	signer, err := ssh.ParsePrivateKey(data)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		if len(passphrase) == 0 {
			return nil, errNoPassphrase
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(data, passphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("no SSH private key and no armoured OpenPGP secret key: %w", err)
	}
	if err := supported(signer.PublicKey()); err != nil {
		return nil, err
	}
	return &Key{sshKey{signer}}, nil
}

var errNoPassphrase = errors.New("the key has a passphrase, and none is configured")

func parseOpenPGPKey(data, passphrase []byte) (*Key, error) {
	e, err := readEntity(data)
	if err != nil {
		return nil, err
	}
	if e.PrivateKey == nil {
		return nil, errors.New("it is a public OpenPGP key; want the secret one (gpg --armor --export-secret-keys)")
	}
	locked := e.PrivateKey.Encrypted
	for _, s := range e.Subkeys {
		locked = locked || s.PrivateKey != nil && s.PrivateKey.Encrypted
	}
	if locked {
		if len(passphrase) == 0 {
			return nil, errNoPassphrase
		}
		if err := e.DecryptPrivateKeys(passphrase); err != nil {
			return nil, fmt.Errorf("the passphrase does not open the OpenPGP key: %w", err)
		}
	}
	return &Key{openpgpKey{e}}, nil
}

// Fingerprint is the key as Signer names it.
func (k *Key) Fingerprint() string { return k.k.fingerprint() }

// Sign returns the armoured signature over data, dated like the commit it is for.
func (k *Key) Sign(data []byte, at time.Time) ([]byte, error) {
	armored, err := k.k.sign(data, at)
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", k.Fingerprint(), err)
	}
	return armored, nil
}
