package embedded

import (
	"errors"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"time"

	"seedtree/manifests"
)

const (
	defaultWindow = 200
	tickEvery     = 250 * time.Millisecond
	seedLinger    = time.Second // a torrent without connections stays loaded that long
	// perTorrent is the download limit that makes room for one more torrent at
	// a time, in bytes per second.
	perTorrent = 64 << 10
	minWindow  = 8

	dialAllAfter  = time.Second // when the best peer alone has not delivered; see patience
	dialAllAbove  = 4 << 20     // bytes; from here on every peer is worth a connection
	maxDialPause  = 15 * time.Second
	stallOurs     = 12 * time.Second // without a byte from peers of our own kind
	stallOthers   = 45 * time.Second // others unchoke in rounds of ten seconds and more
	unreachable   = 10 * time.Second // without a connection, while others wait for the place
	badPieceShun  = 10 * time.Minute
	maxRetryPause = 5 * time.Minute
)

type eventKind uint8

const (
	evStorage eventKind = iota // what a storage says: what, err
	evChecked                  // a file was hashed: have, seal, err
	evRefused                  // a peer does not hold hash
	evPeers                    // a tracker answered for hash
)

// event is something that happened elsewhere and that the worker acts on.
type event struct {
	kind  eventKind
	d     *data
	hash  manifests.InfoHash
	what  verdict
	err   error
	have  bitfield
	seal  stamp
	peers []netip.AddrPort
}

// post hands an event to the worker. It never blocks and takes no lock that
// is held while the library is called.
func (e *Engine) post(ev event) {
	e.evmu.Lock()
	e.events = append(e.events, ev)
	e.evmu.Unlock()
	e.poke()
}

func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *Engine) tell(d *data, what verdict, err error) {
	e.post(event{kind: evStorage, d: d, hash: d.hash, what: what, err: err})
}

// run is the worker: it alone moves torrents through the window.
func (e *Engine) run() {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-e.wake:
		case now := <-tick.C:
			e.watch(now)
			e.unloadIdle(now)
			e.wakeDelayed()
		}
		e.evmu.Lock()
		events := e.events
		e.events = nil
		e.evmu.Unlock()
		var done []packer
		for _, ev := range events {
			done = append(done, e.handle(ev)...)
		}
		if _, err := e.session.append(done, false); err != nil {
			// Harmless: after a restart those files are hashed once more.
			e.log.Warn("cannot note finished torrents", "error", err)
		}
		e.fill(time.Now())
	}
}

// handle acts on one event and returns what the session log shall say.
func (e *Engine) handle(ev event) []packer {
	e.mu.Lock()
	if ev.kind == evChecked {
		e.checks--
	}
	en := e.entries[ev.hash]
	var l *loaded
	if en != nil {
		l = en.loaded
	}
	e.mu.Unlock()
	if en == nil {
		return nil
	}
	switch {
	case ev.kind == evChecked:
		return e.onChecked(en, ev)
	case ev.kind == evPeers:
		e.onPeers(en, l, ev.peers)
		return nil
	case l == nil:
		return nil
	case ev.kind == evRefused:
		if !l.tried {
			e.dialAll(l)
		}
		return nil
	case l.d != ev.d: // an echo of an earlier load
		return nil
	case ev.what == allGood:
		return e.onComplete(en, l, ev.err)
	case ev.what == readFailed && !l.d.writing.Load():
		e.onChanged(en, ev.err)
	case ev.what == pieceBad:
		e.onBadPiece(en, l)
	case ev.what == writeFailed, ev.what == readFailed:
		e.onDiskFailed(en, ev.err)
	}
	return nil
}

// onComplete retires a download. While peers fetch from it, it stays loaded.
func (e *Engine) onComplete(en *entry, l *loaded, err error) []packer {
	e.loading.Lock()
	defer e.loading.Unlock()
	e.mu.Lock()
	en.fetch, en.stamp, en.looked = nil, l.d.seal, time.Now()
	if err != nil {
		en.problem = err.Error()
	}
	delete(e.downloads, en)
	e.seeding[en] = l
	if l.d.length < dialAllAbove {
		e.pace += (time.Since(l.started) - e.pace) / 32
	}
	senders := slices.Collect(maps.Keys(l.from))
	if err == nil {
		e.announcer.finished(en)
	}
	e.mu.Unlock()
	for _, addr := range senders {
		if a, err := netip.ParseAddrPort(addr); err == nil {
			e.book.delivered(a)
		}
	}
	if err != nil || !wanted(l) {
		e.drop(en)
	}
	if err != nil {
		return nil
	}
	return []packer{packStamped(recordDone, en)}
}

// wanted reports whether a peer is connected that still lacks pieces.
func wanted(l *loaded) bool {
	for _, pc := range l.t.PeerConns() {
		if pc.Stats().RemotePieceCount < l.t.NumPieces() {
			return true
		}
	}
	return false
}

// onChanged stops a torrent whose complete file is no longer what it was.
func (e *Engine) onChanged(en *entry, err error) {
	e.loading.Lock()
	e.drop(en)
	e.loading.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.changed(en, err) {
		e.log.Warn("file changed behind our back, not serving it", "hash", en.hash, "path", en.path, "root", en.root, "error", err)
	}
}

// changed decides what becomes of such a torrent, and reports whether it is
// newly stopped. Called with Engine.mu.
func (e *Engine) changed(en *entry, err error) (stopped bool) {
	if en.fetch != nil {
		return false
	}
	stopped = en.doubt(err)
	if en.fetch != nil {
		e.enqueue(en)
	}
	return stopped
}

// onBadPiece backs off from a torrent whose pieces come damaged, and avoids
// the peer that sent them if there is but one suspect.
func (e *Engine) onBadPiece(en *entry, l *loaded) {
	e.mu.Lock()
	f := en.fetch
	if f == nil {
		e.mu.Unlock()
		return
	}
	if f.shunned == nil {
		f.shunned = map[string]time.Time{}
	}
	if len(l.from) == 1 {
		for addr := range l.from {
			f.shunned[addr] = time.Now().Add(badPieceShun)
		}
	}
	e.mu.Unlock()
	e.log.Warn("a piece arrived damaged", "hash", en.hash, "path", en.path, "peers", len(l.from))
	e.retry(en, pause(f.retries), "")
	e.mu.Lock()
	f.retries++
	e.mu.Unlock()
}

// onDiskFailed lets a download rest whose file cannot be read or written.
func (e *Engine) onDiskFailed(en *entry, err error) {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		e.pauseUntil = time.Now().Add(e.cfg.diskPause)
	}
	e.log.Warn("cannot use a file", "hash", en.hash, "path", en.path, "root", en.root, "error", err)
	e.retry(en, e.cfg.diskPause, err.Error())
}

// pause grows with the number of failures: 1 s, 2 s, 4 s ... 5 min.
func pause(retries int) time.Duration {
	return min(time.Second<<min(retries, 16), maxRetryPause)
}

// retry takes a download out of the window and puts it at the end of the queue.
func (e *Engine) retry(en *entry, after time.Duration, problem string) {
	e.loading.Lock()
	e.drop(en)
	e.loading.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if en.fetch == nil {
		return
	}
	en.problem = problem
	en.fetch.notBefore = time.Now().Add(after)
	e.enqueue(en)
}

// enqueue puts an incomplete torrent in line: to be hashed, to wait, or to be
// downloaded. Called with Engine.mu.
func (e *Engine) enqueue(en *entry) {
	f := en.fetch
	if f == nil || f.queued || f.checking || en.loaded != nil {
		return
	}
	switch {
	case time.Now().Before(f.notBefore):
		e.delayed = append(e.delayed, en)
	case f.unchecked:
		e.unchecked = append(e.unchecked, en)
	case en.readOnly || en.fixed:
		return
	default:
		e.queue = append(e.queue, en)
	}
	f.queued = true
}

// fill starts downloads and checks while there is room. Only the worker calls it.
func (e *Engine) fill(now time.Time) {
	if now.Before(e.pauseUntil) {
		return
	}
	for {
		e.mu.Lock()
		var en *entry
		switch {
		case e.closing:
		case len(e.unchecked) > 0 && e.checks < runtime.GOMAXPROCS(0):
			en, e.unchecked = e.unchecked[0], e.unchecked[1:]
		case len(e.queue) > 0 && len(e.downloads) < e.window():
			en, e.queue = e.queue[0], e.queue[1:]
		}
		if en == nil {
			e.mu.Unlock()
			return
		}
		f := en.fetch
		if e.entries[en.hash] != en || f == nil || !f.queued {
			e.mu.Unlock()
			continue // removed or completed while it was in line
		}
		f.queued = false
		if f.unchecked {
			e.startCheck(en)
			e.mu.Unlock()
			continue
		}
		en.problem = ""
		e.mu.Unlock()
		e.startDownload(en, now)
	}
}

// wakeDelayed puts those whose pause is over back in line.
func (e *Engine) wakeDelayed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.delayed
	e.delayed = nil
	for _, en := range old {
		if f := en.fetch; f != nil && f.queued && e.entries[en.hash] == en {
			f.queued = false
			e.enqueue(en)
		}
	}
}

// window is how many torrents download at once. Called with Engine.mu.
func (e *Engine) window() int {
	if n := e.downLimit; n > 0 {
		return max(minWindow, min(e.cfg.Window, int(n/perTorrent)))
	}
	return e.cfg.Window
}
