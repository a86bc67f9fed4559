package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"seedtree/apply"
	"seedtree/internal/pulse"
	"seedtree/manifests"
)

// ErrLooksOnly is what an Onlooker says to everything that would change something.
var ErrLooksOnly = errors.New("this BitTorrent client only looks")

// Onlooker reads what the engine of a state directory holds and takes nothing:
// no lock, no port, no byte on disk. So it answers while the engine itself is
// at work in another process, from what that one has noted last.
type Onlooker struct{ stateDir string }

var (
	_ apply.Engine = (*Onlooker)(nil)
	_ apply.Meter  = (*Onlooker)(nil)
)

// Look returns an onlooker. A state directory that is not there yet holds nothing.
func Look(stateDir string) *Onlooker { return &Onlooker{stateDir} }

// List implements apply.Engine. Files are compared with what they were when
// they were handed over, as the engine does; what is in flight counts as
// missing altogether, since only the engine knows its pieces.
func (o *Onlooker) List(ctx context.Context) ([]apply.Torrent, error) {
	f, err := os.Open(filepath.Join(o.stateDir, sessionName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("embedded engine: session: %w", err)
	}
	defer f.Close()
	e := &Engine{swarms: newSwarms(), entries: map[manifests.InfoHash]*entry{}, roots: map[string]string{}}
	// What stands behind the last sound record is being written just now, or
	// will be cut off by the engine that opens the session next.
	if _, err := scanSession(f, e.replay); err != nil {
		return nil, nil //nolint:nilerr // no session of ours: the engine will begin a new one
	}
	list := make([]apply.Torrent, 0, len(e.entries))
	beat := pulse.Of(ctx)
	for _, en := range e.entries {
		beat()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if en.fetch == nil {
			en.doubt(compare(en.root, en.path, en.stamp))
		}
		list = append(list, en.report())
	}
	return list, nil
}

// Add implements apply.Engine.
func (o *Onlooker) Add(context.Context, []apply.Addition) error { return ErrLooksOnly }

// Move implements apply.Engine.
func (o *Onlooker) Move(context.Context, manifests.InfoHash, string) error { return ErrLooksOnly }

// Remove implements apply.Engine.
func (o *Onlooker) Remove(context.Context, []manifests.InfoHash) error { return ErrLooksOnly }

// Traffic implements apply.Meter.
func (o *Onlooker) Traffic(context.Context) (apply.Traffic, error) { return apply.Traffic{}, nil }

// Close implements apply.Engine.
func (o *Onlooker) Close() error { return nil }
