package tracker

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"

	"seedtree/manifests"
)

// Limits of the peer store. Swarms are limited by the catalog itself, since
// only listed info hashes are stored.
const (
	shards          = 64 // a power of two
	maxPeers        = 256
	maxPeersPerAddr = 32      // of one swarm; sites behind one address share it
	maxPeersTotal   = 4 << 20 // 24 bytes each
)

// peer is one client in one swarm: 24 bytes, because there may be millions.
type peer struct {
	addr [16]byte // IPv4 in its mapped form
	port uint16
	seed bool
	seen uint32 // seconds since the store was made
}

func (p *peer) is4() bool { return netip.AddrFrom16(p.addr).Is4In6() }

// swarm is everybody who announced one info hash. Fleets are small: a slice
// searched from end to end beats a map in memory and in time.
type swarm struct {
	peers     []peer
	completed uint32 // downloads seen to finish
}

// counts is what a scrape tells (BEP 48).
type counts struct {
	seeders, leechers, completed int
}

func (s *swarm) counts() counts {
	c := counts{completed: int(s.completed)}
	for i := range s.peers {
		if s.peers[i].seed {
			c.seeders++
		} else {
			c.leechers++
		}
	}
	return c
}

// store holds the swarms in shards, so that announces rarely wait for another.
type store struct {
	shard [shards]shard
	total atomic.Int64 // peers held
}

type shard struct {
	mu     sync.Mutex
	swarms map[manifests.InfoHash]*swarm
	swept  uint32 // when this shard was last cleared of the silent
}

func newStore() *store {
	s := &store{}
	for i := range s.shard {
		s.shard[i].swarms = make(map[manifests.InfoHash]*swarm)
	}
	return s
}

func (s *store) of(h manifests.InfoHash) *shard {
	return &s.shard[binary.BigEndian.Uint16(h[:])&(shards-1)]
}

// update puts in, refreshes or (stopped) takes out one peer and returns up to
// want others for it. Seeds are of no use to a seed and are left out for it.
// life is how many seconds a silent peer is kept.
func (s *store) update(h manifests.InfoHash, p peer, ev event, want int, life uint32) ([]peer, counts) {
	sh := s.of(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if age(sh.swept, p.seen) > life {
		s.sweep(sh, p.seen, life)
	}
	sw := sh.swarms[h]
	if ev == eventStopped {
		if sw == nil {
			return nil, counts{}
		}
		s.remove(sw, p)
		c := sw.counts()
		s.dropIfEmpty(sh, h, sw)
		return nil, c
	}
	if sw == nil {
		sw = &swarm{}
		sh.swarms[h] = sw
	}
	s.expire(sw, p.seen, life)
	s.put(sw, p)
	c := sw.counts()
	others := sw.pick(p, want)
	s.dropIfEmpty(sh, h, sw) // only when the store was full
	return others, c
}

// age is never negative: a clock set back ages nobody by 136 years.
func age(seen, now uint32) uint32 {
	if now < seen {
		return 0
	}
	return now - seen
}

func (s *store) put(sw *swarm, p peer) {
	sameAddr, oldest := 0, -1
	for i := range sw.peers {
		q := &sw.peers[i]
		if q.addr != p.addr {
			continue
		}
		if q.port == p.port {
			if p.seed && !q.seed {
				sw.completed++
			}
			*q = p
			return
		}
		if sameAddr++; oldest < 0 || q.seen < sw.peers[oldest].seen {
			oldest = i
		}
	}
	switch {
	case sameAddr >= maxPeersPerAddr: // one address may replace itself, never others
		sw.peers[oldest] = p
	case len(sw.peers) < maxPeers && s.total.Load() < maxPeersTotal:
		sw.peers = append(sw.peers, p)
		s.total.Add(1)
	}
}

func (s *store) remove(sw *swarm, p peer) {
	for i := range sw.peers {
		if sw.peers[i].addr == p.addr && sw.peers[i].port == p.port {
			s.cut(sw, i)
			return
		}
	}
}

func (s *store) expire(sw *swarm, now, life uint32) {
	for i := len(sw.peers) - 1; i >= 0; i-- {
		if age(sw.peers[i].seen, now) > life {
			s.cut(sw, i)
		}
	}
}

func (s *store) cut(sw *swarm, i int) {
	last := len(sw.peers) - 1
	sw.peers[i] = sw.peers[last]
	sw.peers = sw.peers[:last]
	s.total.Add(-1)
}

// dropIfEmpty forgets a swarm without peers unless it remembers downloads.
func (s *store) dropIfEmpty(sh *shard, h manifests.InfoHash, sw *swarm) {
	if len(sw.peers) == 0 && sw.completed == 0 {
		delete(sh.swarms, h)
	}
}

// sweep clears a shard of silent peers. Announces pay for it once in a
// lifetime of a peer, so no goroutine has to.
func (s *store) sweep(sh *shard, now, life uint32) {
	sh.swept = now
	for h, sw := range sh.swarms {
		s.expire(sw, now, life)
		s.dropIfEmpty(sh, h, sw)
	}
}

// pick chooses up to want others, from a random place on, so that a large
// swarm is spread evenly.
func (s *swarm) pick(self peer, want int) []peer {
	n := len(s.peers)
	if n == 0 || want <= 0 {
		return nil
	}
	out := make([]peer, 0, min(want, n))
	start := rand.IntN(n)
	for i := range n {
		p := s.peers[(start+i)%n]
		if p.addr == self.addr && p.port == self.port || p.seed && self.seed {
			continue
		}
		if out = append(out, p); len(out) == want {
			break
		}
	}
	return out
}

// scrape returns the counts of one swarm; a listed hash nobody announced has none.
func (s *store) scrape(h manifests.InfoHash, now, life uint32) counts {
	sh := s.of(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sw := sh.swarms[h]
	if sw == nil {
		return counts{}
	}
	s.expire(sw, now, life)
	return sw.counts()
}

// retain forgets every swarm that is no longer listed.
func (s *store) retain(listed func(manifests.InfoHash) bool) {
	for i := range s.shard {
		sh := &s.shard[i]
		sh.mu.Lock()
		for h, sw := range sh.swarms {
			if !listed(h) {
				s.total.Add(-int64(len(sw.peers)))
				delete(sh.swarms, h)
			}
		}
		sh.mu.Unlock()
	}
}

// sum counts swarms and peers that were heard of within life seconds.
func (s *store) sum(now, life uint32) (swarms, seeders, leechers int) {
	for i := range s.shard {
		sh := &s.shard[i]
		sh.mu.Lock()
		s.sweep(sh, now, life)
		for _, sw := range sh.swarms {
			c := sw.counts()
			if len(sw.peers) > 0 {
				swarms++
			}
			seeders += c.seeders
			leechers += c.leechers
		}
		sh.mu.Unlock()
	}
	return swarms, seeders, leechers
}
