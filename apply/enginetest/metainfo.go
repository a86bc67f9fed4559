package enginetest

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"

	"seedtree/manifests"
)

// metainfo is a stand-in until manifests.Metainfo is there.
type metainfo struct {
	Tree        string
	Path        manifests.Path
	Length      int64
	PieceLength int64
	Pieces      []byte
	ModTime     time.Time
}

func pieceLengthOf(size int64) int64 {
	n := int64(1) << bits.Len64(uint64(max(size-1, 0))/1024)
	return min(max(n, 256<<10), 16<<20)
}

func (m metainfo) info() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "d5:filesld6:lengthi%de4:pathl", m.Length)
	for _, c := range m.Path.Components() {
		fmt.Fprintf(&b, "%d:%s", len(c), c)
	}
	fmt.Fprintf(&b, "eee4:name%d:%s12:piece lengthi%de6:pieces%d:", len(m.Tree), m.Tree, m.PieceLength, len(m.Pieces))
	b.Write(m.Pieces)
	b.WriteString("7:privatei1ee")
	return b.Bytes()
}

func (m metainfo) Encode() []byte {
	return fmt.Appendf(nil, "d10:created by8:seedtree4:info%s8:seedtreed5:mtimei%deee", m.info(), m.ModTime.UnixNano())
}

func (m metainfo) Entry() manifests.Entry {
	return manifests.Entry{
		Tree: m.Tree, Path: m.Path, Length: m.Length, ModTime: m.ModTime,
		InfoHash: sha1.Sum(m.info()), Content: manifests.ContentOf(m.Length, m.PieceLength, m.Pieces),
	}
}

// belongs reports whether a .torrent is that of the entry.
func belongs(torrent []byte, e manifests.Entry) error {
	s := string(torrent)
	from, to := strings.Index(s, "4:info"), strings.LastIndex(s, "8:seedtree")
	if from < 0 || to < from || manifests.InfoHash(sha1.Sum([]byte(s[from+6:to]))) != e.InfoHash {
		return errors.New("metainfo is not that of the entry")
	}
	return nil
}
