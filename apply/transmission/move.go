package transmission

import (
	"context"
	"errors"
	"fmt"
	"path"

	transmissionrpc "github.com/hekmon/transmissionrpc/v2"

	"seedtree/apply"
	"seedtree/manifests"
)

// ErrNotHeld: the client does not hold this torrent.
var ErrNotHeld = errors.New("the client does not hold this torrent")

// Move points the torrent at data that we have put below root; the client
// moves nothing. It is read-only before it gets there: whatever the client
// believes of the new place, it writes nothing into it.
func (e *Engine) Move(ctx context.Context, h manifests.InfoHash, root string) error {
	err := e.move(ctx, h, root)
	if err == nil || errors.Is(err, apply.ErrEngineUnreachable) || ctx.Err() != nil {
		return err
	}
	return failed("move", h, err)
}

func (e *Engine) move(ctx context.Context, h manifests.InfoHash, root string) error {
	var t *transmissionrpc.Torrent
	err := e.settled(ctx, func(ctx context.Context) error {
		found, err := e.get(ctx, []string{h.String()}, listFields())
		t = found[h.String()]
		return err
	})
	if err == nil {
		err = e.harmless()
	}
	switch {
	case err != nil:
		return err
	case t == nil:
		return ErrNotHeld
	case !isOurs(t):
		return ErrForeign
	}
	dir, err := e.downloadDir(root, value(t.Name))
	if err != nil {
		return err
	}
	if err := e.requireSees(ctx, path.Dir(root)); err != nil {
		return err
	}
	one := []string{h.String()}
	if err := e.setBounds(ctx, one, true, true); err != nil {
		return err
	}
	if path.Clean(value(t.DownloadDir)) != dir {
		if err := e.relocate(ctx, one[0], dir); err != nil {
			return err
		}
	}
	if state(t) == apply.Stopped && left(t) == 0 && localError(t) == "" {
		return e.each(ctx, one, startHashes)
	}
	return nil
}

func (e *Engine) relocate(ctx context.Context, hash, dir string) error {
	err := e.rpc.do(ctx, func(ctx context.Context, lib *transmissionrpc.Client) error {
		return lib.TorrentSetLocationHash(ctx, hash, dir, false)
	})
	if err != nil {
		return err
	}
	// The answer comes before the deed.
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("the client does not follow to %s", dir))
	defer cancel()
	return e.await(ctx, []string{hash}, []string{"hashString", "downloadDir"}, "follow", func(_ string, t *transmissionrpc.Torrent) bool {
		return t != nil && path.Clean(value(t.DownloadDir)) == dir
	})
}
