package apply

import (
	"context"
	"errors"

	"seedtree/manifests"
)

// What can be wrong with a client as a whole, found with errors.Is.
var (
	// ErrEngineUnreachable: the client does not answer, or not yet. Nothing
	// was learnt and nothing need be changed; a later pass may succeed.
	ErrEngineUnreachable = errors.New("BitTorrent client is unreachable")
	// ErrEngineConfig: the client answers, but not to us: wrong password, too
	// old, another directory under the same name. Waiting does not help.
	ErrEngineConfig = errors.New("BitTorrent client cannot be used as configured")
)

// Engine is a BitTorrent client that holds torrents for one site. It never
// decides and never deletes, renames or truncates data below a tree root.
// Methods may be called by one goroutine at a time.
type Engine interface {
	// List returns the torrents that carry our label, and only those.
	List(ctx context.Context) ([]Torrent, error)
	// Add hands torrents over. It is idempotent: a torrent that is already
	// held at the same root is left alone. Errors of single torrents come
	// joined, each an *EngineError; the others are added all the same.
	// Directories below Root are made by the engine when it must write.
	Add(ctx context.Context, additions []Addition) error
	// Move tells the client that the data now stands below root (we have put
	// it there); the torrent follows and goes on seeding without a transfer.
	// From then on it is ReadOnly, whatever it was added as. A hash that is
	// not held is an *EngineError.
	Move(ctx context.Context, h manifests.InfoHash, root string) error
	// Remove forgets torrents, never their data. Unknown hashes are no error.
	Remove(ctx context.Context, hashes []manifests.InfoHash) error
	Close() error
}

// Introducer is an optional interface of engines that can be told, for all
// torrents they hold and will hold, where the other sites are now. The manifest
// of the applied revision says so: a new tracker is a commit, not new torrents.
type Introducer interface {
	// Introduce replaces what earlier calls and additions said. Equal calls
	// must be cheap: there is one per pass.
	Introduce(ctx context.Context, trackers [][]string, peers []string) error
}

// Meter is the second, optional interface of engines that count traffic.
type Meter interface {
	// Traffic returns payload bytes moved since the engine was opened.
	Traffic(ctx context.Context) (Traffic, error)
}

// Traffic counts payload bytes over the wire.
type Traffic struct{ Downloaded, Uploaded int64 }

// Addition is one torrent for an engine.
type Addition struct {
	Entry    manifests.Entry
	Metainfo []byte // the catalog's .torrent, without announce
	// Root is the directory that stands for the torrent's name: the data file
	// is Root/<Entry.Path>. It is a tree root, or a folder in staging.
	Root string
	// Have says which pieces our own code has just checked: bit i (from the
	// most significant bit of byte 0, as BEP 3 draws bitfields) is piece i.
	// nil: no piece is there.
	Have []byte
	// ReadOnly: seed only. The engine must not open the file for writing, and
	// a piece that does not verify is reported, never fetched.
	ReadOnly bool
	// Trackers are BEP 12 tiers and Peers host:port addresses, both from the
	// manifest of the revision that is applied.
	Trackers [][]string
	Peers    []string
}

// State is what an engine does with a torrent.
type State uint8

// States of a torrent in an engine.
const (
	Stopped State = iota // also: stopped because of Err
	Checking
	Downloading
	Seeding
)

// Torrent is an engine's view of one torrent. It is a claim, never a proof:
// bytes are checked against piece hashes before they are placed.
type Torrent struct {
	InfoHash manifests.InfoHash
	Root     string // as in Addition; "" when the client has it somewhere unknown to us
	State    State
	Left     int64  // bytes still missing, by the client's own account
	Err      string // the client's own words, "" if none
}

// Done reports whether the client believes the torrent to be complete.
func (t Torrent) Done() bool { return t.Left == 0 && t.State == Seeding && t.Err == "" }

// EngineError is a failure that concerns one torrent.
type EngineError struct {
	InfoHash manifests.InfoHash
	Op       string // add, move, remove
	Err      error
}

func (e *EngineError) Error() string { return e.Op + " " + e.InfoHash.String() + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *EngineError) Unwrap() error { return e.Err }

// EngineErrors collects the per-torrent failures inside a joined error, and
// reports whether the error holds nothing else.
func EngineErrors(err error) (failed map[manifests.InfoHash]error, only bool) {
	failed, only = map[manifests.InfoHash]error{}, true
	var walk func(error)
	walk = func(err error) {
		var one *EngineError
		switch e := err.(type) { //nolint:errorlint // the tree is walked by hand
		case nil:
		case *EngineError:
			failed[e.InfoHash] = e
		case interface{ Unwrap() []error }:
			for _, sub := range e.Unwrap() {
				walk(sub)
			}
		default:
			if errors.As(err, &one) {
				failed[one.InfoHash] = err
				return
			}
			only = false
		}
	}
	walk(err)
	return failed, only
}
