package tracker

import (
	"bytes"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"seedtree/manifests"
)

// bencoder writes bencode (BEP 3). Its callers write dictionary keys in order.
type bencoder struct{ b []byte }

func (e *bencoder) raw(s string) { e.b = append(e.b, s...) }

func (e *bencoder) str(s string) {
	e.b = strconv.AppendInt(e.b, int64(len(s)), 10)
	e.b = append(e.b, ':')
	e.b = append(e.b, s...)
}

func (e *bencoder) integer(key string, n int) {
	e.str(key)
	e.b = append(e.b, 'i')
	e.b = strconv.AppendInt(e.b, int64(n), 10)
	e.b = append(e.b, 'e')
}

// failure is the whole answer to a request that cannot be served; BEP 31 lets
// it say when to try again, so that a client that was ahead of the tracker by
// one revision does not stay away for an hour.
func failure(err error) []byte {
	e := bencoder{make([]byte, 0, 128)}
	e.raw("d")
	e.str("failure reason")
	e.str(err.Error())
	e.integer("retry in", retryMinutes)
	e.raw("e")
	return e.b
}

// encode answers an announce. IPv4 peers stand in "peers" (6 bytes each, BEP
// 23), IPv6 peers in "peers6" (18 bytes each, BEP 7), whichever way the client
// came; compact=0 gets dictionaries in "peers" instead.
func (t *Tracker) encode(a announceRequest, others []peer, c counts) []byte {
	e := bencoder{make([]byte, 0, 160+18*len(others))}
	e.raw("d")
	e.integer("complete", c.seeders)
	e.integer("incomplete", c.leechers)
	e.integer("interval", int(t.cfg.Interval/time.Second))
	e.integer("min interval", int(max(t.cfg.Interval/5, minInterval)/time.Second))
	if a.compact {
		e.compactPeers(others)
	} else {
		e.dictPeers(others)
	}
	e.raw("e")
	return e.b
}

func (e *bencoder) compactPeers(others []peer) {
	v4, v6 := make([]byte, 0, 6*len(others)), []byte(nil)
	for i := range others {
		p := &others[i]
		if p.is4() {
			v4 = binary.BigEndian.AppendUint16(append(v4, p.addr[12:]...), p.port)
		} else {
			v6 = binary.BigEndian.AppendUint16(append(v6, p.addr[:]...), p.port)
		}
	}
	e.str("peers")
	e.str(string(v4))
	if len(v6) > 0 {
		e.str("peers6")
		e.str(string(v6))
	}
}

// dictPeers writes the original form, without peer ids: they are not kept.
func (e *bencoder) dictPeers(others []peer) {
	e.str("peers")
	e.raw("l")
	for i := range others {
		e.raw("d")
		e.str("ip")
		e.str(netip.AddrFrom16(others[i].addr).Unmap().String())
		e.integer("port", int(others[i].port))
		e.raw("e")
	}
	e.raw("e")
}

func encodeScrape(found map[manifests.InfoHash]counts) []byte {
	e := bencoder{make([]byte, 0, 16+96*len(found))}
	e.raw("d")
	e.str("files")
	e.raw("d")
	for _, h := range slices.SortedFunc(maps.Keys(found), func(a, b manifests.InfoHash) int { return bytes.Compare(a[:], b[:]) }) {
		c := found[h]
		e.str(string(h[:]))
		e.raw("d")
		e.integer("complete", c.seeders)
		e.integer("downloaded", c.completed)
		e.integer("incomplete", c.leechers)
		e.raw("e")
	}
	e.raw("ee")
	return e.b
}
