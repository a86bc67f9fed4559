package transmission

import (
	"context"
	"slices"
	"strings"

	transmissionrpc "github.com/hekmon/transmissionrpc/v2"
)

// retrack gives torrents that the client holds the trackers of their additions,
// where they differ. The client announces there within seconds.
func (e *Engine) retrack(ctx context.Context, tasks []*task, held map[string]*transmissionrpc.Torrent) error {
	for _, k := range tasks {
		t := held[k.hash]
		if trackerList(tiersOf(t)) == trackerList(k.Trackers) {
			continue
		}
		if err := e.setTrackers(ctx, k, t); err != nil {
			return err
		}
	}
	return nil
}

// setTrackers replaces one torrent's trackers. 3.00 can add and remove announce URLs but not arrange
// tiers: there the set of URLs is made right and every new one is its own tier.
func (e *Engine) setTrackers(ctx context.Context, k *task, t *transmissionrpc.Torrent) error {
	args := map[string]any{"ids": []string{k.hash}}
	if e.rpcVersion() >= modernRPC {
		args["trackerList"] = trackerList(k.Trackers)
		return e.rpc.call(ctx, "torrent-set", args, nil)
	}
	wanted := slices.Concat(k.Trackers...)
	var drop []int64
	var have, add []string
	for _, tracker := range t.Trackers {
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
	if len(args) == 1 {
		return nil
	}
	return e.rpc.call(ctx, "torrent-set", args, nil)
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
