package manifests

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// InfoHash identifies a torrent: the SHA-1 of its bencoded info dictionary (BEP 3).
type InfoHash [20]byte

// ParseInfoHash reads 40 hexadecimal digits in either case.
func ParseInfoHash(s string) (InfoHash, error) {
	var h InfoHash
	if len(s) != 2*len(h) {
		return h, fmt.Errorf("info hash %q: want 40 hexadecimal digits, got %d characters", s, len(s))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return InfoHash{}, fmt.Errorf("info hash %q: %w", s, err)
	}
	return h, nil
}

// String returns the hash as 40 lower-case hexadecimal digits.
func (h InfoHash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether the hash was never set.
func (h InfoHash) IsZero() bool { return h == InfoHash{} }

// Content identifies bytes whatever their path: SHA-256 over the length, the
// piece length (both 8 bytes, big-endian) and the SHA-1 piece hashes.
type Content [32]byte

// ContentOf computes the identity of a file of the given length from its piece hashes.
func ContentOf(length, pieceLength int64, pieces []byte) Content {
	h := sha256.New()
	var head [16]byte
	binary.BigEndian.PutUint64(head[:8], uint64(length))
	binary.BigEndian.PutUint64(head[8:], uint64(pieceLength))
	h.Write(head[:])
	h.Write(pieces)
	return Content(h.Sum(nil))
}

// ParseContent reads 64 hexadecimal digits.
func ParseContent(s string) (Content, error) {
	var c Content
	if len(s) != 2*len(c) {
		return c, fmt.Errorf("content %q: want 64 hexadecimal digits, got %d characters", s, len(s))
	}
	if _, err := hex.Decode(c[:], []byte(s)); err != nil {
		return Content{}, fmt.Errorf("content %q: %w", s, err)
	}
	return c, nil
}

// String returns the identity as 64 lower-case hexadecimal digits.
func (c Content) String() string { return hex.EncodeToString(c[:]) }

// IsZero reports whether the identity was never set.
func (c Content) IsZero() bool { return c == Content{} }
