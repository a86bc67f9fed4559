package embedded

import (
	"cmp"
	"slices"
	"strings"
)

// swarm is where the peers of a torrent are found. Most torrents of a catalog
// have the same, so it is kept once and pointed to.
type swarm struct {
	id    uint64
	tiers [][]string // BEP 12
	peers []string   // host:port
}

// swarms interns them. Guarded by Engine.mu.
type swarms struct {
	known map[string]*swarm
	ids   map[uint64]*swarm
	last  uint64
}

func newSwarms() *swarms {
	return &swarms{known: map[string]*swarm{}, ids: map[uint64]*swarm{}}
}

func swarmKey(tiers [][]string, peers []string) string {
	var b strings.Builder
	for _, tier := range tiers {
		b.WriteString(strings.Join(tier, "\n"))
		b.WriteString("\n\n")
	}
	b.WriteString("\x00")
	b.WriteString(strings.Join(peers, "\n"))
	return b.String()
}

// get returns the swarm of these trackers and peers. Whoever joins a torrent to
// it notes the swarm as well: the log may have lost it to a compaction.
func (s *swarms) get(tiers [][]string, peers []string) *swarm {
	key := swarmKey(tiers, peers)
	if sw := s.known[key]; sw != nil {
		return sw
	}
	s.last++
	sw := &swarm{id: s.last, peers: slices.Clone(peers)}
	for _, tier := range tiers {
		sw.tiers = append(sw.tiers, slices.Clone(tier))
	}
	s.known[key], s.ids[sw.id] = sw, sw
	return sw
}

// restore takes a swarm back from the session log.
func (s *swarms) restore(id uint64, tiers [][]string, peers []string) {
	key := swarmKey(tiers, peers)
	if sw := s.ids[id]; sw != nil && s.known[key] == sw {
		return // noted again; those who point to it go on doing so
	}
	sw := &swarm{id: id, tiers: tiers, peers: peers}
	s.known[key], s.ids[id] = sw, sw
	s.last = max(s.last, id)
}

// byID returns a swarm without trackers and peers when the id is unknown: the
// torrent can still be seeded to peers that dial in.
func (s *swarms) byID(id uint64) *swarm {
	if sw := s.ids[id]; sw != nil {
		return sw
	}
	return s.get(nil, nil)
}

// inUse returns the swarms that entries point to, by id.
func (s *swarms) inUse(held []*entry) []*swarm {
	seen := map[*swarm]bool{}
	var out []*swarm
	for _, en := range held {
		if !seen[en.swarm] {
			seen[en.swarm] = true
			out = append(out, en.swarm)
		}
	}
	slices.SortFunc(out, func(a, b *swarm) int { return cmp.Compare(a.id, b.id) })
	return out
}
