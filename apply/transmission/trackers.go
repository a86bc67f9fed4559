package transmission

import (
	"context"
	"fmt"
	"slices"
	"strings"

	transmissionrpc "github.com/hekmon/transmissionrpc/v2"
)

// introduction is what the torrents of one run of the daemon were last told.
type introduction struct{ session, trackers string }

// Introduce implements apply.Introducer. A client cannot be told the addresses
// of peers: they meet at the trackers. As long as the trackers and the daemon's
// session stay the same, nothing but the session is asked for.
func (e *Engine) Introduce(ctx context.Context, trackers [][]string, _ []string) error {
	session, err := e.ready(ctx)
	if err != nil {
		return fmt.Errorf("introduce trackers: %w", err)
	}
	next := introduction{session, trackerList(trackers)}
	if e.introduced == next {
		return nil
	}
	var all []transmissionrpc.Torrent
	err = e.settled(ctx, func(ctx context.Context) error {
		return e.rpc.do(ctx, func(ctx context.Context, lib *transmissionrpc.Client) (err error) {
			all, err = lib.TorrentGet(ctx, []string{"hashString", "labels", "comment", "trackers"}, nil)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("introduce trackers: %w", err)
	}
	var groups retrackings
	for i := range all {
		if isOurs(&all[i]) {
			groups.add(&all[i], trackers, e.arrangesTiers())
		}
	}
	err = e.retrack(ctx, groups)
	if whole(err) {
		return fmt.Errorf("introduce trackers: %w", err)
	}
	if err != nil { // a URL that it does not like: without the tracker is better than without the pass
		e.log.Warn("Transmission refuses the trackers", "err", err)
	}
	e.introduced = next
	return nil
}

// retracking is about torrents that have the same trackers and shall have the
// same other ones.
type retracking struct {
	have   []*transmissionrpc.Tracker
	want   [][]string
	hashes []string
}

// retrackings are told apart by what they want and, unless the client takes
// that as a whole, by what they have.
type retrackings map[string]*retracking

// add notes a torrent, if it has other trackers than it should.
func (r *retrackings) add(t *transmissionrpc.Torrent, want [][]string, whole bool) {
	wanted := trackerList(want)
	if trackerList(tiersOf(t)) == wanted {
		return
	}
	var key strings.Builder
	key.WriteString(wanted)
	for _, tracker := range t.Trackers {
		if !whole { // 3.00 numbers each torrent's trackers from 0, later versions all there are
			fmt.Fprintf(&key, "\x00%d %s", tracker.ID, tracker.Announce)
		}
	}
	if *r == nil {
		*r = retrackings{}
	}
	one := (*r)[key.String()]
	if one == nil {
		one = &retracking{have: t.Trackers, want: want}
		(*r)[key.String()] = one
	}
	one.hashes = append(one.hashes, value(t.HashString))
}

// retrack replaces trackers. The client announces there within seconds.
func (e *Engine) retrack(ctx context.Context, groups retrackings) error {
	for _, g := range groups {
		args := map[string]any{}
		if e.arrangesTiers() {
			args["trackerList"] = trackerList(g.want)
		} else {
			g.difference(args)
		}
		if len(args) == 0 {
			continue
		}
		for part := range slices.Chunk(g.hashes, batch) { // never with no hash: that sets all
			args["ids"] = part
			if err := e.rpc.call(ctx, "torrent-set", args, nil); err != nil {
				return err
			}
			if !e.arrangesTiers() {
				continue // 3.00 announces by itself
			}
			// 4.1 exchanges the list and then, until it is started anew,
			// announces to nobody on it.
			if err := e.rpc.call(ctx, "torrent-reannounce", map[string]any{"ids": part}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// arrangesTiers reports whether the client takes a list of trackers as a whole.
func (e *Engine) arrangesTiers() bool { return e.rpcVersion() >= modernRPC }

// difference is for 3.00, which can add and remove announce URLs but not
// arrange tiers: the set of URLs is made right and every new one is its own
// tier.
func (g *retracking) difference(args map[string]any) {
	wanted := slices.Concat(g.want...)
	var drop []int64
	var have, add []string
	for _, tracker := range g.have {
		have = append(have, tracker.Announce)
		if !slices.Contains(wanted, tracker.Announce) {
			drop = append(drop, tracker.ID)
		}
	}
	for _, url := range wanted {
		if !slices.Contains(have, url) {
			add = append(add, url)
		}
	}
	if len(add) > 0 {
		args["trackerAdd"] = add
	}
	if len(drop) > 0 {
		args["trackerRemove"] = drop
	}
}

// trackerList writes tiers as RPC 17 takes them: a line each, an empty line
// between tiers.
func trackerList(tiers [][]string) string {
	var parts []string
	for _, tier := range tiers {
		if len(tier) > 0 {
			parts = append(parts, strings.Join(tier, "\n"))
		}
	}
	return strings.Join(parts, "\n\n")
}

func tiersOf(t *transmissionrpc.Torrent) [][]string {
	var tiers [][]string
	last := int64(-1)
	for _, tracker := range t.Trackers {
		if tracker.Tier != last || len(tiers) == 0 {
			tiers = append(tiers, nil)
			last = tracker.Tier
		}
		tiers[len(tiers)-1] = append(tiers[len(tiers)-1], tracker.Announce)
	}
	return tiers
}
