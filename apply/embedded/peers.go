package embedded

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	resolveEvery = time.Minute
	resolveFor   = 10 * time.Second
	maxLearned   = 64 // peers remembered from the trackers of one swarm
	exploreOneIn = 16
	maxPeers     = 10000
)

// book knows the peers of each swarm and which of them deliver. Sites hold the
// same files, so whoever delivered the last one is asked first for the next,
// alone: a small torrent is not worth a connection to everybody.
type book struct {
	mu      sync.Mutex
	peers   map[netip.AddrPort]*peer
	names   map[string]*name
	learned map[*swarm][]netip.AddrPort
	pending sync.WaitGroup
	ctx     context.Context
	changed func() // a name was resolved
}

// peer is what is known of one address.
type peer struct {
	score float64 // 0 never delivers, 1 always does
	self  bool    // this is us
	ours  bool    // it runs this engine
	// turn lets one handshake at a time through; nil: any number. Transmission
	// before 4.0 takes one incoming handshake per address and drops the rest.
	turn chan struct{}
}

// name is a host:port that was or is being resolved.
type name struct {
	addrs []netip.AddrPort
	asked time.Time
}

func newBook(ctx context.Context, changed func()) *book {
	return &book{
		peers: map[netip.AddrPort]*peer{}, names: map[string]*name{},
		learned: map[*swarm][]netip.AddrPort{}, ctx: ctx, changed: changed,
	}
}

func (b *book) peer(a netip.AddrPort) *peer {
	p := b.peers[a]
	if p == nil {
		p = &peer{score: 0.5}
		b.peers[a] = p
	}
	return p
}

// of returns the addresses of a swarm, the most promising first.
func (b *book) of(sw *swarm) []netip.AddrPort {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []netip.AddrPort
	for _, hostport := range sw.peers {
		out = append(out, b.resolve(hostport)...)
	}
	out = append(out, b.learned[sw]...)
	slices.SortFunc(out, netip.AddrPort.Compare)
	out = slices.Compact(out)
	out = slices.DeleteFunc(out, func(a netip.AddrPort) bool { return b.peer(a).self })
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	slices.SortStableFunc(out, func(x, y netip.AddrPort) int {
		return int(10*b.peer(y).score) - int(10*b.peer(x).score)
	})
	if len(out) > 1 && rand.IntN(exploreOneIn) == 0 {
		i := rand.IntN(len(out))
		out[0], out[i] = out[i], out[0]
	}
	return out
}

// resolve returns what is known of a host:port and looks it up in the
// background when that is old. Only IP:port ever reaches the library.
func (b *book) resolve(hostport string) []netip.AddrPort {
	if a, err := netip.ParseAddrPort(hostport); err == nil {
		return []netip.AddrPort{a}
	}
	n := b.names[hostport]
	if n == nil {
		n = &name{}
		b.names[hostport] = n
	}
	if time.Since(n.asked) < resolveEvery || b.ctx.Err() != nil {
		return n.addrs
	}
	n.asked = time.Now()
	b.pending.Go(func() {
		addrs := lookup(b.ctx, hostport)
		b.mu.Lock()
		if len(addrs) > 0 {
			n.addrs = addrs
		}
		b.mu.Unlock()
		b.changed()
	})
	return n.addrs
}

func lookup(ctx context.Context, hostport string) []netip.AddrPort {
	ctx, cancel := context.WithTimeout(ctx, resolveFor)
	defer cancel()
	host, service, err := net.SplitHostPort(hostport)
	if err != nil || host == "" {
		return nil
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil || port == 0 {
		return nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	var out []netip.AddrPort
	for _, ip := range ips {
		out = append(out, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	return out
}

// learn notes peers that a tracker of the swarm named.
func (b *book) learn(sw *swarm, addrs []netip.AddrPort) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.learned[sw]
	for _, a := range addrs {
		if !slices.Contains(known, a) && !b.peer(a).self {
			known = append(known, a)
		}
	}
	// The newest are the likeliest to be there.
	b.learned[sw] = known[max(0, len(known)-maxLearned):]
}

// delivered and refused keep the score.
func (b *book) delivered(a netip.AddrPort) { b.rate(a, 0.9, 0.1) }
func (b *book) refused(a netip.AddrPort)   { b.rate(a, 0.8, 0) }

func (b *book) rate(a netip.AddrPort, keep, gain float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.peers[a]; p != nil { // peers that dialed in come from ports that mean nothing
		p.score = p.score*keep + gain
	}
}

// strangers leaves out ourselves and peers of our own kind.
func (b *book) strangers(addrs []netip.AddrPort) []netip.AddrPort {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool {
		p := b.peer(a)
		return p.self || p.ours
	})
}

// met is told the peer id that answered at an address (BEP 20).
func (b *book) met(addr, id, own string) {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.peers[a] == nil && len(b.peers) >= maxPeers {
		return // whoever dials in can claim any port
	}
	p := b.peer(a)
	p.self, p.ours = id == own, strings.HasPrefix(id, peerIDPrefix[:3])
	if p.turn == nil && (strings.HasPrefix(id, "-TR2") || strings.HasPrefix(id, "-TR3")) {
		p.turn = make(chan struct{}, 1)
	}
}

// wait takes the turn for a handshake with an address, where turns are kept,
// and returns how to give it back.
func (b *book) wait(ctx context.Context, addr string) (release func(), err error) {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	turn := b.peer(a).turn
	b.mu.Unlock()
	if turn == nil {
		return func() {}, nil
	}
	select {
	case turn <- struct{}{}:
		return sync.OnceFunc(func() { <-turn }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
