package embedded

// bitfield is a set of pieces as BEP 3 draws it: piece 0 is the most
// significant bit of byte 0.
type bitfield []byte

func newBitfield(pieces int) bitfield { return make(bitfield, (pieces+7)/8) }

func (b bitfield) has(i int) bool { return b[i/8]&(0x80>>(i%8)) != 0 }

func (b bitfield) set(i int, on bool) {
	if on {
		b[i/8] |= 0x80 >> (i % 8)
	} else {
		b[i/8] &^= 0x80 >> (i % 8)
	}
}

// full reports whether every piece of a file is there.
func (b bitfield) full(length, pieceLength int64) bool {
	return len(b) == len(newBitfield(numPieces(length, pieceLength))) && b.missing(length, pieceLength) == 0
}

// missing returns how many bytes the absent pieces of a file are.
func (b bitfield) missing(length, pieceLength int64) int64 {
	var n int64
	for i := range numPieces(length, pieceLength) {
		if !b.has(i) {
			n += pieceSize(i, length, pieceLength)
		}
	}
	return n
}

func numPieces(length, pieceLength int64) int {
	return int((length + pieceLength - 1) / pieceLength)
}

func pieceSize(i int, length, pieceLength int64) int64 {
	return min(pieceLength, length-int64(i)*pieceLength)
}
