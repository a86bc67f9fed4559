package embedded

import (
	"fmt"
	"slices"

	"seedtree/manifests"
)

// The kinds of session record.
const (
	recordSwarm  = 'S' // id, tiers, peers: shared by the torrents that name the id
	recordAdd    = 'A' // everything about one torrent
	recordDone   = 'D' // its last piece arrived; the file's stamp
	recordMove   = 'M' // new root; the file's stamp there
	recordRejoin = 'J' // the torrent has another swarm
	recordRemove = 'R'
	recordIntro  = 'I' // all torrents held so far have this swarm
)

const (
	flagReadOnly = 1 << iota
	flagFixed
	flagComplete
)

func (en *entry) flags() (f byte) {
	if en.readOnly {
		f |= flagReadOnly
	}
	if en.fixed {
		f |= flagFixed
	}
	if en.complete() {
		f |= flagComplete
	}
	return f
}

// packAdd ends with the info dictionary, so that its place in the log follows
// from the record's end.
func packAdd(en *entry, info []byte) packer {
	p := packer{recordAdd}
	p.fixed(en.hash[:])
	p.byte(en.flags())
	p.string(en.root)
	p.string(en.path)
	p.int(en.length)
	p.int(en.pieceLength)
	p.uint(en.swarm.id)
	p.stamp(en.stamp)
	p.string(string(info))
	return p
}

func packStamped(kind byte, en *entry) packer {
	p := packer{kind}
	p.fixed(en.hash[:])
	p.byte(en.flags())
	if kind == recordMove {
		p.string(en.root)
	}
	p.stamp(en.stamp)
	return p
}

func packRejoin(en *entry) packer {
	p := packer{recordRejoin}
	p.fixed(en.hash[:])
	p.uint(en.swarm.id)
	return p
}

func packIntroduce(sw *swarm) packer {
	p := packer{recordIntro}
	p.uint(sw.id)
	return p
}

func packRemove(h manifests.InfoHash) packer {
	p := packer{recordRemove}
	p.fixed(h[:])
	return p
}

func packSwarm(s *swarm) packer {
	p := packer{recordSwarm}
	p.uint(s.id)
	p.uint(uint64(len(s.tiers)))
	for _, tier := range s.tiers {
		p.list(tier)
	}
	p.list(s.peers)
	return p
}

// replay applies one record of the log to the entries.
func (e *Engine) replay(payload []byte, off int64) error {
	u := &unpacker{b: payload}
	kind := u.byte()
	if kind == recordSwarm {
		id := u.uint()
		tiers := make([][]string, min(u.uint(), 1<<16))
		for i := range tiers {
			tiers[i] = u.list()
		}
		peers := u.list()
		if u.err == nil {
			e.swarms.restore(id, tiers, peers)
		}
		return u.err
	}
	if kind == recordIntro {
		id := u.uint()
		if u.err != nil {
			return u.err
		}
		sw := e.swarms.byID(id)
		for _, en := range e.entries {
			en.swarm = sw
		}
		return nil
	}
	var h manifests.InfoHash
	copy(h[:], u.fixed(len(h)))
	if kind == recordAdd {
		return e.replayAdd(h, u, off+int64(len(payload)))
	}
	en := e.entries[h]
	if en == nil {
		return u.err // removed and compacted away in the meantime: nothing to do
	}
	switch kind {
	case recordDone, recordMove:
		flags := u.byte()
		if kind == recordMove {
			en.root = u.string()
		}
		en.stamp, en.fixed, en.readOnly = u.stamp(), flags&flagFixed != 0, flags&flagReadOnly != 0
		if flags&flagComplete != 0 {
			en.fetch = nil
		}
	case recordRejoin:
		en.swarm = e.swarms.byID(u.uint())
	case recordRemove:
		delete(e.entries, h)
	default:
		return fmt.Errorf("unknown kind of record %q", kind)
	}
	return u.err
}

func (e *Engine) replayAdd(h manifests.InfoHash, u *unpacker, end int64) error {
	flags := u.byte()
	en := &entry{hash: h, readOnly: flags&flagReadOnly != 0, fixed: flags&flagFixed != 0}
	en.root, en.path, en.length, en.pieceLength = e.intern(u.string()), u.string(), u.int(), u.int()
	en.swarm = e.swarms.byID(u.uint())
	en.stamp = u.stamp()
	info := u.uint()
	if u.err != nil || info != uint64(len(u.b)) || en.length <= 0 || en.pieceLength <= 0 {
		return errShort
	}
	en.info = span{end - int64(info), int32(info)}
	if flags&flagComplete == 0 {
		en.fetch = &fetch{left: en.length, unchecked: true}
	}
	e.entries[h] = en
	return nil
}

// compact rewrites the session log with what is still true.
func (e *Engine) compact(beat func()) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	held := make([]*entry, 0, len(e.entries))
	for _, en := range e.entries {
		held = append(held, en)
	}
	slices.SortFunc(held, func(a, b *entry) int { return slices.Compare(a.hash[:], b.hash[:]) })
	swarms := e.swarms.inUse(held)
	ends := make([]int32, 0, len(held))
	write := func(read func(span) ([]byte, error), put func(packer) error) error {
		for _, s := range swarms {
			if err := put(packSwarm(s)); err != nil {
				return err
			}
		}
		for _, en := range held {
			beat()
			info, err := read(en.info)
			if err != nil {
				return err
			}
			p := packAdd(en, info)
			ends = append(ends, int32(len(p)))
			if err := put(p); err != nil {
				return err
			}
		}
		return nil
	}
	return e.session.compact(write, beat, func(offs []int64) {
		for i, en := range held {
			en.info.off = offs[len(swarms)+i] + int64(ends[i]-en.info.len)
		}
	})
}
