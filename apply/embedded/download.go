package embedded

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// startCheck hashes a file whose pieces are a guess. Called with Engine.mu.
func (e *Engine) startCheck(en *entry) {
	if e.closing {
		return
	}
	d, _, err := e.newData(en)
	if err != nil {
		en.problem = err.Error()
		return
	}
	en.fetch.checking = true
	e.checks++
	e.group.Go(func() {
		have, seal, err := d.check(func() bool { return e.ctx.Err() != nil })
		e.post(event{kind: evChecked, d: d, hash: d.hash, have: have, seal: seal, err: err})
	})
}

// onChecked takes over what a check found.
func (e *Engine) onChecked(en *entry, ev event) []packer {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := en.fetch
	if f == nil || !f.checking || en.root != ev.d.root {
		return nil // handed over anew in the meantime
	}
	f.checking = false
	if ev.err != nil {
		en.problem, f.notBefore = ev.err.Error(), time.Now().Add(e.cfg.diskPause)
		e.enqueue(en)
		return nil
	}
	f.unchecked, f.have = false, ev.have
	f.left = f.have.missing(en.length, ev.d.pieceLength)
	switch {
	case f.left == 0 && ev.seal.size != en.length:
		en.problem = fmt.Sprintf("file has %d bytes, listed are %d", ev.seal.size, en.length)
	case f.left == 0:
		en.fetch, en.stamp, en.problem, en.looked = nil, ev.seal, "", time.Now()
		e.announcer.finished(en)
		return []packer{packStamped(recordDone, en)}
	case en.fixed || en.readOnly:
		en.problem = fmt.Sprintf("%d of %d bytes do not verify", f.left, en.length)
	default:
		f.notBefore = time.Time{}
		e.enqueue(en)
	}
	return nil
}

// startDownload puts a torrent into the window.
func (e *Engine) startDownload(en *entry, now time.Time) {
	e.loading.Lock()
	defer e.loading.Unlock()
	l, err := e.load(en)
	if err != nil {
		e.mu.Lock()
		if en.fetch != nil && !e.closing {
			en.problem, en.fetch.notBefore = err.Error(), now.Add(e.cfg.diskPause)
			e.enqueue(en)
		}
		e.mu.Unlock()
		return
	}
	e.mu.Lock()
	e.downloads[en] = l
	sw := en.swarm
	e.mu.Unlock()
	l.t.DownloadAll()
	addrs := e.candidates(l)
	l.nextDial = now.Add(e.patience())
	switch {
	case len(addrs) == 0:
		e.announcer.wanted(en, sw)
	case en.length >= dialAllAbove || len(addrs) == 1:
		l.tried = true
		l.addPeers(addrs)
	default:
		l.addPeers(addrs[:1])
	}
}

// candidates are the peers to dial for a torrent, best first, without those
// that sent it bad pieces lately unless there is nobody else.
func (e *Engine) candidates(l *loaded) []netip.AddrPort {
	e.mu.Lock()
	sw := l.en.swarm
	shunned := map[string]bool{}
	retries := 0
	if f := l.en.fetch; f != nil {
		retries = f.retries
		for addr, until := range f.shunned {
			shunned[addr] = time.Now().Before(until)
		}
	}
	e.mu.Unlock()
	all := e.book.of(sw)
	var good []netip.AddrPort
	for _, a := range all {
		if !shunned[a.String()] {
			good = append(good, a)
		}
	}
	if len(good) == 0 {
		good = all
	}
	if retries > 0 && len(good) > 1 {
		// Someone sends damaged pieces: ask one at a time until it is clear who.
		slices.SortFunc(good, netip.AddrPort.Compare)
		i := (retries + l.dials) % len(good)
		return good[i : i+1]
	}
	return good
}

// onPeers dials what a tracker named. For a seed these are peers that may not
// be able to dial us, Transmission behind a firewall for one; our own kind
// dials in by itself.
func (e *Engine) onPeers(en *entry, l *loaded, peers []netip.AddrPort) {
	e.mu.Lock()
	seed := en.seedable()
	e.mu.Unlock()
	if !seed {
		if l != nil {
			e.dialAll(l)
		}
		return
	}
	peers = e.book.strangers(peers)
	if len(peers) == 0 {
		return
	}
	if err := e.loadSeed(en); err != nil {
		return
	}
	e.mu.Lock()
	l = en.loaded
	if l != nil {
		// It must still be there when its turn to shake hands comes.
		l.used = time.Now().Add(dialTimeout)
	}
	e.mu.Unlock()
	if l != nil {
		l.addPeers(peers)
	}
}

func (e *Engine) dialAll(l *loaded) {
	l.tried = true
	l.addPeers(e.candidates(l))
}

// patience is how long the best peer may take before the others are asked as
// well. When everything is slow, because a machine or a line is busy, asking
// more of them for each torrent would only make it slower.
func (e *Engine) patience() time.Duration {
	return max(dialAllAfter, min(4*e.pace, maxDialPause))
}

// watch looks after the downloads: it dials again, asks trackers, and takes
// out those that do not move. Only the worker calls it.
func (e *Engine) watch(now time.Time) {
	e.mu.Lock()
	waiting := len(e.queue) > 0
	slow := e.downLimit > 0
	var all []*loaded
	for _, l := range e.downloads {
		all = append(all, l)
	}
	e.mu.Unlock()
	patience := e.patience()
	for _, l := range all {
		last := l.started
		if ns := l.d.arrived.Load(); ns > 0 {
			last = time.Unix(0, ns)
		}
		idle := now.Sub(last)
		if now.After(l.nextDial) && (idle > patience || !l.tried) {
			l.nextDial = now.Add(min(patience<<min(l.dials, 8), maxDialPause))
			l.dials++
			e.dialAll(l)
		}
		if idle > patience*3/2 { // known peers come before trackers
			e.mu.Lock()
			sw := l.en.swarm
			e.mu.Unlock()
			e.announcer.wanted(l.en, sw)
		}
		if stalled(l, idle, waiting, slow) {
			e.log.Debug("download does not move, trying again later", "hash", l.en.hash, "path", l.en.path, "idle", idle)
			e.retry(l.en, 0, "")
		}
	}
}

// stalled reports whether a download should make room. One with connections
// is started over: the library may have lost a wake-up.
func stalled(l *loaded, idle time.Duration, waiting, slow bool) bool {
	if idle < unreachable {
		return false
	}
	conns := l.t.PeerConns()
	if len(conns) == 0 {
		return waiting
	}
	limit := stallOurs
	for _, pc := range conns {
		if !strings.HasPrefix(string(pc.PeerID[:]), peerIDPrefix[:3]) {
			limit = stallOthers
		}
	}
	if slow {
		limit *= 4
	}
	return idle > limit
}

// unloadIdle drops complete torrents that no peer is connected to.
func (e *Engine) unloadIdle(now time.Time) {
	e.mu.Lock()
	var old []*loaded
	for _, l := range e.seeding {
		if now.Sub(l.used) > seedLinger {
			old = append(old, l)
		}
	}
	e.mu.Unlock()
	for _, l := range old {
		if len(l.t.PeerConns()) > 0 {
			continue
		}
		e.loading.Lock()
		e.mu.Lock()
		idle := now.Sub(l.used) > seedLinger && l.en.loaded == l
		e.mu.Unlock()
		if idle {
			e.drop(l.en)
		}
		e.loading.Unlock()
	}
}
