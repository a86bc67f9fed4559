package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

var errNoTracker = errors.New("no tracker can be reached at the moment")

// tiersOf returns the swarm's trackers as they stand in line now. What cannot
// be spoken to is left out, once, with a warning. Called with announcer.mu.
func (a *announcer) tiersOf(sw *swarm) [][]*tracker {
	if tiers, ok := a.tiers[sw]; ok {
		return tiers
	}
	var tiers [][]*tracker
	for _, urls := range sw.tiers {
		var tier []*tracker
		for _, s := range urls {
			if t := a.trackers[s]; t != nil {
				tier = append(tier, t)
				continue
			}
			u, err := parseTracker(s)
			if err != nil {
				a.e.log.Warn("this tracker is not used", "error", err)
				continue
			}
			t := &tracker{url: u}
			a.trackers[s] = t
			tier = append(tier, t)
		}
		// BEP 12: shuffled when first read, then the one that answers first.
		rand.Shuffle(len(tier), func(i, j int) { tier[i], tier[j] = tier[j], tier[i] })
		tiers = append(tiers, tier)
	}
	a.tiers[sw] = tiers
	return tiers
}

// tryTiers announces to the first tracker that answers, tier by tier. A
// goodbye goes to the tracker that knows us and to no other.
func (a *announcer) tryTiers(ctx context.Context, sw *swarm, told *tracker, req announce) (*tracker, answer, error) {
	a.mu.Lock()
	var order []*tracker
	if req.event == "stopped" {
		order = []*tracker{told}
	} else {
		order = slices.Concat(a.tiersOf(sw)...)
	}
	now := time.Now()
	order = slices.DeleteFunc(slices.Clone(order), func(t *tracker) bool { return t == nil || now.Before(t.until) })
	a.mu.Unlock()
	err := errNoTracker
	for _, t := range order {
		if req.event != "stopped" && t != told && told != nil {
			req.event = "started" // this one has not heard of us
		}
		ans, aerr := ask(ctx, a.client, t.url, req)
		if ctx.Err() != nil {
			return nil, answer{}, ctx.Err()
		}
		a.judge(sw, t, aerr)
		if aerr == nil {
			return t, ans, nil
		}
		err = fmt.Errorf("tracker %s: %w", t.url.Redacted(), aerr)
	}
	return nil, answer{}, err
}

// judge moves a tracker that answered to the front of its tier and leaves one
// that did not in peace for a while, for all torrents together.
func (a *announcer) judge(sw *swarm, t *tracker, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil && !errors.Is(err, errRefused) {
		if t.fails == 0 {
			a.e.log.Warn("tracker does not answer", "tracker", t.url.Redacted(), "error", err)
		}
		t.until = time.Now().Add(jitter(min(5*time.Second<<min(t.fails, 10), maxDownPause)))
		t.fails++
		return
	}
	if t.fails > 0 {
		a.e.log.Info("tracker answers again", "tracker", t.url.Redacted())
	}
	t.fails = 0
	if err != nil {
		return
	}
	for _, tier := range a.tiers[sw] {
		if i := slices.Index(tier, t); i > 0 {
			copy(tier[1:i+1], tier[:i])
			tier[0] = t
		}
	}
}
