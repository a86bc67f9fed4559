package transmission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	transmissionrpc "github.com/hekmon/transmissionrpc/v2"

	"seedtree/apply"
)

// launch verifies what may have data and starts what may run. A torrent that
// may fetch is started right behind its verification. For a read-only one the
// outcome is waited for, but not for ever: a file of a terabyte takes hours.
// Those that are not through stay as they are, and the next Add looks again.
func (e *Engine) launch(ctx context.Context, check, wait, ready []*task) error {
	run := hashesOf(ready)
	var verify, must []string
	byHash := map[string]*task{}
	for _, k := range check {
		if k.data || k.Have != nil || k.ReadOnly {
			verify = append(verify, k.hash)
		}
	}
	for _, k := range slices.Concat(check, wait) {
		if byHash[k.hash] = k; k.ReadOnly {
			must = append(must, k.hash)
		} else {
			run = append(run, k.hash)
		}
	}
	if err := e.each(ctx, verify, verifyHashes); err != nil {
		return err
	}
	if err := e.each(ctx, run, startHashes); err != nil {
		return err
	}
	patient, cancel := context.WithTimeoutCause(ctx, patience, errImpatient)
	defer cancel()
	if err := e.passQueue(patient, run); err != nil {
		return err
	}
	run = nil
	err := e.await(patient, must, listFields(), "be verified", func(h string, t *transmissionrpc.Torrent) bool {
		if t != nil && state(t) == apply.Checking {
			return false
		}
		if t != nil && left(t) == 0 && localError(t) == "" {
			run = append(run, h)
		} else {
			byHash[h].err = differs(t)
		}
		return true
	})
	if err != nil && !errors.Is(err, errImpatient) {
		return err
	}
	return e.each(ctx, run, startHashes)
}

// passQueue starts again what got into the client's queue all the same: a start
// behind a verification, which 3.00 also makes for what has no data, forgets
// that it was to pass it. 4.x is rid of that for torrents without data only.
func (e *Engine) passQueue(ctx context.Context, hashes []string) error {
	if !e.queues() {
		return nil
	}
	var queued []string
	err := e.await(ctx, hashes, []string{"hashString", "status"}, "be verified", func(h string, t *transmissionrpc.Torrent) bool {
		if t != nil && state(t) == apply.Checking {
			return false
		}
		if t != nil && (*t.Status == transmissionrpc.TorrentStatusDownloadWait || *t.Status == transmissionrpc.TorrentStatusSeedWait) {
			queued = append(queued, h)
		}
		return true
	})
	if err != nil && !errors.Is(err, errImpatient) {
		return err
	}
	return e.each(ctx, queued, startHashes)
}

// patience is how long one batch waits for the client's verification; 3.00
// needs 50 s for a batch of small files.
const patience = 2 * time.Minute

var errImpatient = errors.New("not waiting longer")

func differs(t *transmissionrpc.Torrent) error {
	if t == nil {
		return errors.New("the client took the torrent and does not hold it any more")
	}
	if s := localError(t); s != "" {
		return fmt.Errorf("%w: %s", ErrDiffers, s)
	}
	return fmt.Errorf("%w: %d bytes differ or are missing", ErrDiffers, left(t))
}

func verifyHashes(ctx context.Context, lib *transmissionrpc.Client, hashes []string) error {
	return lib.TorrentVerifyHashes(ctx, hashes)
}

// startHashes starts past the queues, which would hold ours behind the user's.
func startHashes(ctx context.Context, lib *transmissionrpc.Client, hashes []string) error {
	return lib.TorrentStartNowHashes(ctx, hashes)
}
