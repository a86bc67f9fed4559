package embedded

import (
	"container/heap"
	"context"
	"slices"
	"time"
)

// Introduce implements apply.Introducer.
func (e *Engine) Introduce(ctx context.Context, trackers [][]string, peers []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return errClosed
	}
	next := e.swarms.get(trackers, peers)
	left := map[*swarm]bool{}
	for _, en := range e.entries {
		if en.swarm != next {
			left[en.swarm] = true
			e.rejoin(en, next)
		}
	}
	if len(left) == 0 {
		return nil
	}
	e.book.carry(left, next)
	e.log.Info("trackers and peers have changed", "trackers", len(slices.Concat(trackers...)), "peers", len(peers))
	if _, err := e.session.append([]packer{packSwarm(next), packIntroduce(next)}, false); err != nil {
		// After a restart the next call finds them as they were, and says it again.
		e.log.Warn("cannot note new trackers and peers", "error", err)
	}
	return nil
}

// rejoin gives a torrent another swarm and has the trackers and peers there
// asked soon. Called with Engine.mu.
func (e *Engine) rejoin(en *entry, next *swarm) {
	last := en.swarm
	en.swarm = next
	if !slices.EqualFunc(last.tiers, next.tiers, slices.Equal) {
		e.announcer.moved(en)
	}
	if _, active := e.downloads[en]; active && !slices.Equal(last.peers, next.peers) {
		e.post(event{kind: evPeers, hash: en.hash})
	}
}

// moved is told that a torrent has other trackers. Those that are gone are not
// told: as a rule they are not there any more, and they forget us by themselves.
// Called with Engine.mu.
func (a *announcer) moved(en *entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := &en.heard
	h.moved = h.line // what is under way speaks of trackers that do not count any more
	h.fails, h.soonest = 0, time.Time{}
	known := !h.due.IsZero()
	h.due = time.Time{}
	if len(en.swarm.tiers) == 0 || !known && !en.seedable() {
		return // nobody to tell, or a download that asks when it needs somebody
	}
	h.due = time.Now()
	heap.Push(&a.later, appointment{en, h.due})
	a.poke()
}

// carry takes along what trackers told about the swarms that were left: their
// peers do not go away because the trackers do.
func (b *book) carry(left map[*swarm]bool, next *swarm) {
	for sw := range left {
		b.mu.Lock()
		known := b.learned[sw]
		delete(b.learned, sw)
		b.mu.Unlock()
		b.learn(next, known)
	}
}
