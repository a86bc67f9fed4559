package signature

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// maxKeyFile bounds a key file, in bytes. Keys that half the world has signed are
// larger; gpg --export-options export-minimal makes them small again.
const maxKeyFile = 256 << 10

func (a *Allowed) verifyOpenPGP(data, armored []byte, at time.Time) (Signer, error) {
	raw, sig, err := openpgpPacket(armored)
	if err != nil {
		return Signer{}, err
	}
	who := Signer{Key: "OpenPGP:?"}
	switch {
	case len(sig.IssuerFingerprint) > 0:
		who.Key = fmt.Sprintf("OpenPGP:%X", sig.IssuerFingerprint)
	case sig.IssuerKeyId != nil:
		who.Key = fmt.Sprintf("OpenPGP:%016X", *sig.IssuerKeyId)
	default:
		return who, fmt.Errorf("%w: it names no issuer", ErrMalformed)
	}
	if sig.SigType != packet.SigTypeBinary {
		return who, fmt.Errorf("%w: an OpenPGP signature of type %d, not of a document", ErrMalformed, sig.SigType)
	}
	if sig.IssuerKeyId == nil {
		return who, fmt.Errorf("%w: it names no issuer's key id", ErrMalformed)
	}
	// gpg signs some seconds after git wrote the date down. Both claims count.
	signed := at
	if sig.CreationTime.After(at) {
		signed = sig.CreationTime
	}
	var signedBy []*entry
	var failed error
	for i := range a.entries {
		e := &a.entries[i]
		if e.pgp == nil || len(openpgp.EntityList{e.pgp}.EntitiesById(*sig.IssuerKeyId)) == 0 {
			continue
		}
		who.Key = openpgpFingerprint(e.pgp)
		if err := e.verifyOpenPGP(data, raw, *sig.IssuerKeyId, signed); err != nil {
			failed = err
			continue
		}
		signedBy = append(signedBy, e)
	}
	if len(signedBy) == 0 && failed != nil {
		return who, failed
	}
	return a.principals(who, func(e *entry) bool { return slices.Contains(signedBy, e) }, at, signed)
}

// openpgpPacket takes the armour off and insists on one signature packet.
func openpgpPacket(armored []byte) ([]byte, *packet.Signature, error) {
	block, err := armor.Decode(bytes.NewReader(armored))
	if err != nil || block.Type != openpgpArmor {
		return nil, nil, fmt.Errorf("%w: bad OpenPGP armour", ErrMalformed)
	}
	raw, err := io.ReadAll(io.LimitReader(block.Body, maxArmor))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: bad OpenPGP armour: %w", ErrMalformed, err)
	}
	packets := packet.NewReader(bytes.NewReader(raw))
	p, err := packets.Next()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	sig, ok := p.(*packet.Signature)
	if !ok {
		return nil, nil, fmt.Errorf("%w: the armour holds no signature", ErrMalformed)
	}
	if _, err := packets.Next(); err != io.EOF {
		return nil, nil, fmt.Errorf("%w: something follows the signature in its armour", ErrMalformed)
	}
	return raw, sig, nil
}

// verifyOpenPGP checks a signature by one listed key. The library asks whether the key
// was good when the signature says it was made, which its maker chose freely;
// so it is asked once more about the later of that and the commit's own time.
func (e *entry) verifyOpenPGP(data, raw []byte, id uint64, at time.Time) error {
	config := &packet.Config{Time: func() time.Time { return at }}
	_, _, err := openpgp.VerifyDetachedSignature(openpgp.EntityList{e.pgp}, bytes.NewReader(data), bytes.NewReader(raw), config)
	var mismatch pgperrors.SignatureError
	switch {
	case err == nil:
	case errors.Is(err, pgperrors.ErrKeyRevoked), errors.Is(err, pgperrors.ErrKeyExpired), errors.Is(err, pgperrors.ErrSignatureExpired),
		errors.Is(err, pgperrors.ErrSignatureOlderThanKey):
		return fmt.Errorf("%w: %w", ErrNotValidThen, err)
	case errors.As(err, &mismatch):
		return fmt.Errorf("%w: %w", ErrMismatch, err)
	default:
		return fmt.Errorf("%w: %w", ErrNotValidThen, err)
	}
	if _, ok := e.pgp.SigningKeyById(at, id, config); !ok {
		return fmt.Errorf("%w: it is expired or revoked, or may not sign, as of %s", ErrNotValidThen, at.UTC().Format(time.RFC3339))
	}
	return nil
}

// readEntity reads the one key of an armoured file.
func readEntity(data []byte) (e *openpgp.Entity, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("bad OpenPGP key: %v", p)
		}
	}()
	if len(data) > maxKeyFile {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(data), maxKeyFile)
	}
	if bytes.Count(data, []byte("-----BEGIN PGP")) != 1 {
		return nil, errors.New("want one armoured OpenPGP key (gpg --armor --export)")
	}
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("bad OpenPGP key: %w", err)
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("%d OpenPGP keys in one file, want one", len(keys))
	}
	return keys[0], nil
}

func openpgpFingerprint(e *openpgp.Entity) string {
	return fmt.Sprintf("OpenPGP:%X", e.PrimaryKey.Fingerprint)
}

// openpgpKey signs with an OpenPGP key, or its newest signing subkey.
type openpgpKey struct{ entity *openpgp.Entity }

func (k openpgpKey) sign(data []byte, at time.Time) ([]byte, error) {
	config := &packet.Config{DefaultHash: crypto.SHA512, Time: func() time.Time { return at }}
	var raw, text bytes.Buffer
	if err := openpgp.DetachSignWithParams(&raw, []*openpgp.Entity{k.entity}, bytes.NewReader(data), &openpgp.SignParams{Config: config}); err != nil {
		return nil, err
	}
	// With a checksum: gpg 2.2 reads past the end of an armour that has none.
	w, err := armor.EncodeWithChecksumOption(&text, openpgpArmor, nil, true)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(raw.Bytes()); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return append(bytes.TrimRight(text.Bytes(), "\n"), '\n'), nil
}

func (k openpgpKey) fingerprint() string { return openpgpFingerprint(k.entity) }
