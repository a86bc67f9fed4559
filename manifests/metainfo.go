package manifests

import (
	"crypto/sha1"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"time"
)

// Bounds of what a catalog can hold, in bytes. MaxLength is what a .torrent
// of MaxMetainfo bytes can describe with the longest pieces: 53 TiB.
const (
	MaxMetainfo    = 64 << 20
	MaxLength      = (MaxMetainfo - 16<<10) / sha1.Size * maxPieceLength
	minPieceLength = 256 << 10 // what PieceLength chooses between
	maxPieceLength = 16 << 20
	blockLength    = 16 << 10 // BEP 3 transfers blocks of this size: no piece is shorter
)

// PieceLength is the length of the pieces a file of the given size is cut
// into: the smallest power of two that is at least size / 1024, clamped to
// 256 KiB and 16 MiB. It depends on the size alone, so every machine cuts
// alike; to change the rule is to change every info hash.
func PieceLength(size int64) int64 {
	if size <= 1024*minPieceLength {
		return minPieceLength
	}
	if size > 512*maxPieceLength {
		return maxPieceLength
	}
	return 1 << bits.Len64(uint64(size-1)>>10)
}

// Metainfo is the .torrent of one regular, non-empty file (BEP 3): one file,
// its directories inside, below a folder with the tree's name.
type Metainfo struct {
	Tree        string
	Path        Path
	Length      int64     // bytes, at least 1
	PieceLength int64     // bytes
	Pieces      []byte    // 20 bytes of SHA-1 for every piece
	ModTime     time.Time // outside info: it does not change the info hash
}

// NumPieces returns how many pieces the file is cut into.
func (m Metainfo) NumPieces() int { return numPieces(m.Length, m.PieceLength) }

func numPieces(length, pieceLength int64) int { return int((length-1)/pieceLength + 1) }

// Content identifies the file's bytes whatever its path.
func (m Metainfo) Content() Content { return ContentOf(m.Length, m.PieceLength, m.Pieces) }

// InfoHash identifies the torrent.
func (m Metainfo) InfoHash() InfoHash {
	h := sha1.New()
	var room [512]byte
	h.Write(m.appendInfoHead(room[:0]))
	h.Write(m.Pieces)
	h.Write([]byte(infoTail))
	return InfoHash(h.Sum(room[:0]))
}

// Entry returns what the listing says of this file.
func (m Metainfo) Entry(executable bool) Entry {
	return Entry{
		Tree: m.Tree, Path: m.Path, Kind: Regular, Length: m.Length, ModTime: StoredTime(m.ModTime),
		Executable: executable, InfoHash: m.InfoHash(), Content: m.Content(),
	}
}

// StoredTime returns the moment as the catalog can say it: UTC, and clamped to
// what 64 bits of nanoseconds since 1970 can express (the years 1678 to 2262).
// Files can carry times outside; compare with StoredTime of theirs.
func StoredTime(t time.Time) time.Time {
	first, last := time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)
	switch {
	case t.Before(first):
		t = first
	case t.After(last):
		t = last
	}
	return time.Unix(0, t.UnixNano()).UTC()
}

// Encode returns the catalog's bytes for the file: the same on every machine
// and every run. They hold no trackers; those come from the manifest.
func (m Metainfo) Encode() []byte { return m.EncodeWith(nil) }

// Append appends what Encode returns.
func (m Metainfo) Append(b []byte) []byte { return m.append(append(b, 'd')) }

// EncodeWith returns a complete .torrent for clients, with announce and, when
// there is more than one tracker, announce-list (BEP 12). The info hash is the
// same whatever the trackers.
func (m Metainfo) EncodeWith(trackers [][]string) []byte {
	n := 256 + len(m.Tree) + 2*len(m.Path) + len(m.Pieces)
	count, first := 0, ""
	for _, tier := range trackers {
		for _, url := range tier {
			if count == 0 {
				first = url
			}
			count++
			n += 2*len(url) + 24
		}
	}
	b := append(make([]byte, 0, n), 'd')
	if count > 0 {
		b = appendString(append(b, "8:announce"...), first)
	}
	if count > 1 {
		b = append(b, "13:announce-listl"...)
		for _, tier := range trackers {
			if len(tier) == 0 {
				continue
			}
			b = append(b, 'l')
			for _, url := range tier {
				b = appendString(b, url)
			}
			b = append(b, 'e')
		}
		b = append(b, 'e')
	}
	return m.append(b)
}

// append appends what follows the trackers.
func (m Metainfo) append(b []byte) []byte {
	b = append(b, "10:created by8:seedtree4:info"...)
	b = m.appendInfoHead(b)
	b = append(b, m.Pieces...)
	b = append(b, infoTail+"8:seedtreed5:mtime"...)
	b = appendInt(b, StoredTime(m.ModTime).UnixNano())
	return append(b, "ee"...)
}

// infoTail ends the info dictionary. private (BEP 27) keeps clients from
// telling strangers about the torrent by DHT or peer exchange.
const infoTail = "7:privatei1ee"

// appendInfoHead writes the info dictionary up to the colon before the pieces.
func (m Metainfo) appendInfoHead(b []byte) []byte {
	b = append(b, "d5:filesld6:length"...)
	b = appendInt(b, m.Length)
	b = append(b, "4:pathl"...)
	for i, from := 0, 0; i <= len(m.Path); i++ {
		if i == len(m.Path) || m.Path[i] == '/' {
			b = appendString(b, string(m.Path[from:i]))
			from = i + 1
		}
	}
	b = append(b, "eee4:name"...)
	b = appendString(b, m.Tree)
	b = append(b, "12:piece length"...)
	b = appendInt(b, m.PieceLength)
	b = append(b, "6:pieces"...)
	return append(strconv.AppendInt(b, int64(len(m.Pieces)), 10), ':')
}

// check says why the values cannot stand in a catalog.
func (m Metainfo) check() error {
	switch p := m.PieceLength; {
	case m.Length < 1:
		return fmt.Errorf("length %d: a listed file has at least 1 byte", m.Length)
	case m.Length > MaxLength:
		return fmt.Errorf("length %d is more than %d", m.Length, int64(MaxLength))
	case p < blockLength || p > maxPieceLength || p&(p-1) != 0:
		return fmt.Errorf("piece length %d is no power of two from %d to %d", p, blockLength, maxPieceLength)
	case len(m.Pieces)%sha1.Size != 0 || len(m.Pieces)/sha1.Size != m.NumPieces():
		return fmt.Errorf("pieces has %d bytes where a file of %d bytes in pieces of %d needs %d",
			len(m.Pieces), m.Length, p, sha1.Size*m.NumPieces())
	}
	return nil
}
