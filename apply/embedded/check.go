package embedded

import (
	"crypto/sha1"
	"errors"
	"io"
	"os"
)

// hashBuffer is how much of a piece is in memory while it is hashed.
const hashBuffer = 1 << 18

// hashPiece hashes n bytes of f from off.
func hashPiece(f io.ReaderAt, off, n int64) (sum [sha1.Size]byte, err error) {
	h := sha1.New()
	buf := make([]byte, min(n, hashBuffer))
	for n > 0 {
		b := buf[:min(int64(len(buf)), n)]
		got, err := f.ReadAt(b, off)
		if got < len(b) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return sum, err
		}
		h.Write(b)
		off, n = off+int64(got), n-int64(got)
	}
	h.Sum(sum[:0])
	return sum, nil
}

// check says which pieces of a file are there. A file that is missing or short
// has fewer of them, which is no error.
func (d *data) check(stop func() bool) (have bitfield, seal stamp, err error) {
	n := numPieces(d.length, d.pieceLength)
	have = newBitfield(n)
	f, err := openFile(d.root, d.path, false)
	if errors.Is(err, os.ErrNotExist) {
		return have, stamp{}, nil
	}
	if err != nil {
		return have, stamp{}, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return have, stamp{}, err
	}
	for i := range n {
		if stop() {
			return have, stamp{}, os.ErrClosed
		}
		sum, err := hashPiece(f, int64(i)*d.pieceLength, pieceSize(i, d.length, d.pieceLength))
		if errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return have, stamp{}, err
		}
		have.set(i, string(sum[:]) == string(d.hashes[i*sha1.Size:(i+1)*sha1.Size]))
	}
	after, err := f.Stat()
	if err == nil && !stampOf(after).equal(stampOf(before)) {
		err = errChanged
	}
	return have, stampOf(before), err
}
