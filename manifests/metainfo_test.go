package manifests

import (
	"bytes"
	"crypto/sha1"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// sample is a small metainfo of two pieces.
func sample() Metainfo {
	return Metainfo{
		Tree: "photos", Path: "2019/a.jpg", Length: 300_000, PieceLength: 256 << 10,
		Pieces: bytes.Repeat([]byte{1, 2, 3, 4}, 10), ModTime: time.Unix(1_700_000_000, 123_456_789).UTC(),
	}
}

func TestMetainfoBytes(t *testing.T) {
	m := sample()
	info := "d5:filesld6:lengthi300000e4:pathl4:20195:a.jpgeee4:name6:photos12:piece lengthi262144e6:pieces40:" +
		string(m.Pieces) + "7:privatei1ee"
	want := "d10:created by8:seedtree4:info" + info + "8:seedtreed5:mtimei1700000000123456789eee"
	if got := string(m.Encode()); got != want {
		t.Errorf("Encode:\n got %q\nwant %q", got, want)
	}
	if got := m.InfoHash(); got != sha1.Sum([]byte(info)) {
		t.Errorf("InfoHash = %s", got)
	}
	full := string(m.EncodeWith([][]string{{"https://a/announce", "https://b/announce"}, {}, {"https://c/announce"}}))
	head := "d8:announce18:https://a/announce13:announce-listll18:https://a/announce18:https://b/announceel18:https://c/announceee"
	if full != head+want[1:] {
		t.Errorf("EncodeWith:\n got %q\nwant %q", full, head+want[1:])
	}
	if two := string(m.EncodeWith([][]string{{"u"}, {"v"}})); two != "d8:announce1:u13:announce-listll1:uel1:vee"+want[1:] {
		t.Errorf("EncodeWith(two trackers) = %q", two)
	}
	if one := string(m.EncodeWith([][]string{{"u"}})); one != "d8:announce1:u"+want[1:] {
		t.Errorf("EncodeWith(one tracker) = %q", one)
	}
}

func TestMetainfoRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Metainfo{
			Tree:    rapid.SampledFrom([]string{"photos", "Ünïcode trée", "a"}).Draw(t, "tree"),
			Path:    Path(strings.Join(rapid.SliceOfN(tricky(), 1, 5).Draw(t, "path"), "/")),
			Length:  rapid.Int64Range(1, 20<<20).Draw(t, "length"),
			ModTime: time.Unix(0, rapid.Int64().Draw(t, "mtime")).UTC(),
		}
		m.PieceLength = PieceLength(m.Length)
		m.Pieces = bytes.Repeat([]byte("x"), sha1.Size*m.NumPieces())
		got, err := DecodeMetainfo(m.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Fatal(diff)
		}
		e, err := DecodeEntry(CatalogName(m.Entry(true)), true, m.Encode())
		if err != nil || !e.Equal(m.Entry(true)) {
			t.Fatalf("DecodeEntry = %+v, %v", e, err)
		}
	})
}

func TestPieceLength(t *testing.T) {
	const k, m, g = 1 << 10, 1 << 20, 1 << 30
	for size, want := range map[int64]int64{
		0: 256 * k, 1: 256 * k, 256 * m: 256 * k, 256*m + 1: 512 * k, 512 * m: 512 * k, 1 * g: m, 1*g + 1: 2 * m,
		8 * g: 8 * m, 8*g + 1: 16 * m, 16 * g: 16 * m, 16*g + 1: 16 * m, 1 << 62: 16 * m,
	} {
		if got := PieceLength(size); got != want {
			t.Errorf("PieceLength(%d) = %d, want %d", size, got, want)
		}
	}
}
