package signature

import (
	"bytes"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// minRSABits is twice what OpenSSH insists on: below it a key is not worth its
// name.
const minRSABits = 2048

func (a *Allowed) verifySSH(data, armored []byte, at time.Time) (Signer, error) {
	block, rest := pem.Decode(armored)
	if block == nil || block.Type != sshArmor || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return Signer{}, fmt.Errorf("%w: bad SSH armour", ErrMalformed)
	}
	sig, err := sshsig.ParseSignature(block.Bytes) // refuses RSA with SHA-1
	if err != nil {
		return Signer{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	who := Signer{Key: ssh.FingerprintSHA256(sig.PublicKey)}
	if err := supported(sig.PublicKey); err != nil {
		return who, fmt.Errorf("%w: %w", ErrUnknownKey, err)
	}
	if sig.Namespace != Namespace {
		return who, fmt.Errorf("%w: it was made for %q, not for git", ErrMismatch, clip(sig.Namespace))
	}
	// The signature first: what an entry says about the key means nothing before.
	if err := sshsig.Verify(bytes.NewReader(data), sig, sig.PublicKey, sig.HashAlgorithm, Namespace); err != nil {
		return who, ErrMismatch
	}
	wire := sig.PublicKey.Marshal()
	return a.principals(who, func(e *entry) bool { return e.ssh != nil && bytes.Equal(e.ssh.Marshal(), wire) }, at)
}

// supported refuses what only looks like protection: DSA, short RSA keys, and
// certificates, whose authority nobody here has checked.
func supported(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return nil
	case ssh.KeyAlgoRSA:
		if c, ok := key.(ssh.CryptoPublicKey); ok {
			if k, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && k.N.BitLen() >= minRSABits {
				return nil
			}
		}
		return fmt.Errorf("an RSA key of less than %d bits", minRSABits)
	}
	return fmt.Errorf("keys of type %s are not supported", key.Type())
}

// sshKey signs with an SSH key.
type sshKey struct{ signer ssh.Signer }

func (k sshKey) sign(data []byte, _ time.Time) ([]byte, error) {
	sig, err := sshsig.Sign(bytes.NewReader(data), k.signer, sshsig.HashSHA512, Namespace)
	if err != nil {
		return nil, err
	}
	return sshsig.Armor(sig), nil
}

func (k sshKey) fingerprint() string { return ssh.FingerprintSHA256(k.signer.PublicKey()) }
