package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/anacrolix/log"
	"github.com/anacrolix/torrent"
	pp "github.com/anacrolix/torrent/peer_protocol"
	"github.com/anacrolix/torrent/types/infohash"
	"golang.org/x/time/rate"

	"seedtree/manifests"
)

const (
	peerIDPrefix = "-sd0100-" // BEP 20; in capitals SD and ST are others
	maxReqq      = 250
	dialTimeout  = 15 * time.Second
)

// clientConfig switches off everything of the library but the wire protocol.
func (e *Engine) clientConfig() *torrent.ClientConfig {
	c := torrent.NewDefaultClientConfig()
	c.DisableTrackers = true
	c.NoDHT, c.PeriodicallyAnnounceTorrentsToDht = true, false
	c.DisablePEX, c.DisableUTP, c.DisableWebtorrent, c.DisableWebseeds = true, true, true, true
	c.NoDefaultPortForwarding = true
	c.DisableTCP = true // its own sockets; ours are added below
	c.Extensions = pp.NewPeerExtensionBytes(pp.ExtensionBitFast, pp.ExtensionBitLtep)
	// No header obfuscation: it costs the seeder a try per held torrent, and
	// what matters is encrypted and authenticated below BitTorrent or not at all.
	c.HeaderObfuscationPolicy = torrent.HeaderObfuscationPolicy{RequirePreferred: true, Preferred: false}
	c.Seed = true
	c.AlwaysWantConns = true // torrents are loaded by the handshake
	c.DialRateLimiter = rate.NewLimiter(rate.Inf, 1)
	c.EstablishedConnsPerTorrent = 16
	c.HalfOpenConnsPerTorrent = 8
	c.TotalHalfOpenConns = 200
	c.HandshakesTimeout = dialTimeout
	c.NominalDialTimeout, c.MinDialTimeout = dialTimeout, dialTimeout
	// The library's message writer can miss a wake-up and sleep until the next
	// keep-alive; with the default of a minute some transfers hang that long.
	c.KeepAliveTimeout = 500 * time.Millisecond
	c.Bep20 = peerIDPrefix
	c.ExtendedHandshakeClientVersion = "seedtree"
	c.DefaultStorage = (*data)(nil) // never used: every torrent brings its own
	c.Slogger = slog.New(slog.DiscardHandler)
	c.Logger = log.NewLogger().WithFilterLevel(log.Disabled)
	c.Callbacks.CompletedHandshake = e.onHandshake
	c.Callbacks.ReadExtendedHandshake = e.onExtended
	c.Callbacks.ReadMessage = e.onMessage
	c.Callbacks.ReceivedUsefulData = append(c.Callbacks.ReceivedUsefulData, e.onData)
	return c
}

// onHandshake runs before the library looks up the info hash of an incoming
// connection, without its lock: the moment to load the torrent that is asked for.
func (e *Engine) onHandshake(pc *torrent.PeerConn, h infohash.T) {
	if pc.Discovery != torrent.PeerSourceIncoming {
		e.met(pc, pc.RemoteAddr.String())
		return
	}
	e.mu.Lock()
	en := e.entries[manifests.InfoHash(h)]
	ok := en != nil && en.seedable()
	e.mu.Unlock()
	if !ok {
		return
	}
	if err := e.loadSeed(en); err != nil && !errors.Is(err, errClosed) {
		e.log.Warn("cannot serve a torrent", "hash", en.hash, "error", err)
	}
}

// onExtended reads what a peer says of itself (BEP 10).
func (e *Engine) onExtended(pc *torrent.PeerConn, m *pp.ExtendedHandshakeMessage) {
	// Transmission 3.00 offers 512 and stops for good when it gets them.
	m.Reqq = min(m.Reqq, maxReqq)
	if pc.Discovery == torrent.PeerSourceIncoming && m.Port > 0 { // the port to dial it at
		if a, err := netip.ParseAddrPort(pc.RemoteAddr.String()); err == nil {
			e.met(pc, netip.AddrPortFrom(a.Addr().Unmap(), uint16(m.Port)).String())
		}
	}
}

func (e *Engine) met(pc *torrent.PeerConn, addr string) {
	own := e.client.PeerID()
	e.book.met(addr, string(pc.PeerID[:]), string(own[:]))
}

// onMessage: a peer that is asked alone and says that it lacks pieces, for it
// is fetching the same torrent, is no better than one that hangs up.
func (e *Engine) onMessage(pc *torrent.PeerConn, m *pp.Message) {
	if pc.Discovery == torrent.PeerSourceIncoming || m.Type != pp.HaveNone && (m.Type != pp.Bitfield || !slices.Contains(m.Bitfield, false)) {
		return
	}
	e.onDialed(pc.RemoteAddr.String(), manifests.InfoHash(pc.Torrent().InfoHash()), false)
}

// onData notes who sends what, so that a bad piece has a name to it.
func (e *Engine) onData(ev torrent.ReceivedUsefulDataEvent) {
	h := manifests.InfoHash(ev.Peer.Torrent().InfoHash())
	e.mu.Lock()
	defer e.mu.Unlock()
	if en := e.entries[h]; en != nil && en.loaded != nil {
		en.loaded.from[ev.Peer.RemoteAddr.String()] += int64(len(ev.Message.Piece))
	}
}

// dialer gives the library limited connections and tells the book how they went.
type dialer struct{ e *Engine }

func (dialer) DialerNetwork() string { return "tcp" }

func (d dialer) Dial(ctx context.Context, addr string) (net.Conn, error) {
	release, err := d.e.book.wait(ctx, addr)
	if err != nil {
		return nil, err
	}
	nc, err := d.e.cfg.Dial(ctx, "tcp", addr)
	if err != nil {
		release()
		d.e.onDialed(addr, manifests.InfoHash{}, false)
		return nil, err
	}
	c := newConn(nc, d.e.limits)
	c.dialed, c.release, c.met = addr, release, d.e.onDialed
	return c, nil
}

// onDialed: a peer that hangs up does not hold the torrent; ask the others at
// once instead of waiting.
func (e *Engine) onDialed(addr string, h manifests.InfoHash, welcome bool) {
	if welcome {
		return
	}
	if a, err := netip.ParseAddrPort(addr); err == nil {
		e.book.refused(a)
	}
	if !h.IsZero() {
		e.post(event{kind: evRefused, hash: h})
	}
}

// loaded is a torrent that the library holds right now.
type loaded struct {
	en      *entry
	t       *torrent.Torrent
	d       *data
	started time.Time
	used    time.Time        // when a peer last asked for it; guarded by Engine.mu
	from    map[string]int64 // bytes by sender; guarded by Engine.mu

	// Of downloads, only touched by the engine's one worker:
	nextDial time.Time
	dials    int
	tried    bool // all known peers were asked, not just the best
}

// newData reads the torrent's info dictionary back and makes its storage.
// Called with Engine.mu.
func (e *Engine) newData(en *entry) (*data, []byte, error) {
	info, err := e.session.bytes(en.info)
	if err != nil {
		return nil, nil, err
	}
	d := &data{root: en.root, path: en.path, length: en.length, seal: en.stamp, tell: e.tell, hash: en.hash, gone: make(chan struct{})}
	fields, err := raw(info).dict()
	if err != nil {
		return nil, nil, fmt.Errorf("session: info dictionary of %s: %w", en.hash, err)
	}
	pieceLength, _ := fields["piece length"].int()
	hashes, _ := fields["pieces"].bytes()
	if pieceLength <= 0 || len(hashes) != 20*numPieces(en.length, pieceLength) {
		return nil, nil, fmt.Errorf("session: info dictionary of %s is damaged", en.hash)
	}
	d.pieceLength, d.hashes = pieceLength, hashes
	if f := en.fetch; f != nil {
		d.have, d.left = append(bitfield(nil), f.have...), f.left
		d.writing.Store(true)
	}
	return d, info, nil
}

// load gives a torrent to the library. Called with Engine.loading.
func (e *Engine) load(en *entry) (*loaded, error) {
	e.mu.Lock()
	if e.closing || e.entries[en.hash] != en {
		e.mu.Unlock()
		return nil, errClosed
	}
	d, info, err := e.newData(en)
	e.mu.Unlock()
	if err != nil {
		return nil, err
	}
	t, _ := e.client.AddTorrentOpt(torrent.AddTorrentOpts{
		InfoHash: infohash.T(en.hash), Storage: d, InfoBytes: info, DisableInitialPieceCheck: true,
	})
	if t.Info() == nil { // the library says nothing when it dislikes the bytes
		t.Drop()
		return nil, fmt.Errorf("the BitTorrent library refuses the info dictionary of %s", en.hash)
	}
	t.SetOnWriteChunkError(func(error) {}) // the storage has told already
	l := &loaded{en: en, t: t, d: d, started: time.Now(), used: time.Now(), from: map[string]int64{}}
	e.mu.Lock()
	en.loaded = l
	e.mu.Unlock()
	return l, nil
}

// loadSeed makes a complete torrent ready to be served, or keeps it ready.
func (e *Engine) loadSeed(en *entry) error {
	e.loading.Lock()
	defer e.loading.Unlock()
	e.mu.Lock()
	l, ok := en.loaded, en.seedable()
	if now := time.Now(); l != nil && now.After(l.used) {
		l.used = now
	}
	e.mu.Unlock()
	if l != nil || !ok {
		return nil
	}
	l, err := e.load(en)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.seeding[en] = l
	e.mu.Unlock()
	return nil
}

// drop takes a torrent from the library; the record stays. Called with
// Engine.loading.
func (e *Engine) drop(en *entry) {
	e.mu.Lock()
	l := en.loaded
	e.mu.Unlock()
	if l == nil {
		return
	}
	l.t.Drop()
	e.mu.Lock()
	defer e.mu.Unlock()
	if en.fetch != nil && en.fetch.have != nil {
		en.fetch.have, en.fetch.left = l.d.progress()
	}
	en.loaded = nil
	delete(e.seeding, en)
	delete(e.downloads, en)
}

// addPeers lets the library dial addresses.
func (l *loaded) addPeers(addrs []netip.AddrPort) {
	infos := make([]torrent.PeerInfo, len(addrs))
	for i, a := range addrs {
		infos[i] = torrent.PeerInfo{Addr: net.TCPAddrFromAddrPort(a), Source: torrent.PeerSourceDirect, Trusted: true}
	}
	l.t.AddPeers(infos)
}
