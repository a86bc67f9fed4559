package embedded

import (
	"os"
	"path/filepath"
	"time"

	"seedtree/apply"
	"seedtree/manifests"
)

// stamp is what a file looked like when its bytes were last known to be good.
type stamp struct {
	size  int64
	mtime time.Time
}

func stampOf(fi os.FileInfo) stamp { return stamp{fi.Size(), fi.ModTime()} }

func (s stamp) equal(o stamp) bool { return s.size == o.size && s.mtime.Equal(o.mtime) }

// entry is one torrent that is held. Its fields are guarded by Engine.mu; hash,
// path, length and info never change.
type entry struct {
	hash        manifests.InfoHash
	root        string
	path        string // slash separated, below root
	length      int64  // bytes
	pieceLength int64
	info        span // the info dictionary's bytes in the session log
	swarm       *swarm

	readOnly bool // the file is never opened for writing
	// fixed: our own code vouched for the whole file at its place. When it
	// changes afterwards that is the user's doing: stop and report, never
	// "repair" it in place.
	fixed bool

	stamp   stamp     // valid when fetch is nil
	looked  time.Time // when the file was last compared with stamp
	problem string    // why it is stopped, "" if it is not
	fetch   *fetch    // nil once every piece is there
	loaded  *loaded   // nil unless the library holds it; written under Engine.loading too
	heard   hearing   // what trackers were told
}

// fetch is the state of a torrent with pieces missing.
type fetch struct {
	have      bitfield
	left      int64 // bytes missing
	unchecked bool  // have is a guess from before a restart: hash the file first
	checking  bool
	touched   bool // it was complete until the file's time or size changed
	retries   int  // stalls and bad pieces since it last made progress
	notBefore time.Time
	queued    bool
	shunned   map[string]time.Time // peers that sent bad pieces, and until when to avoid them
}

// span is a place in the session log.
type span struct {
	off int64
	len int32
}

func (en *entry) complete() bool { return en.fetch == nil }

// seedable reports whether peers may be served from it.
func (en *entry) seedable() bool { return en.fetch == nil && en.problem == "" }

// report is the engine's view of the entry in the contract's words.
func (en *entry) report() apply.Torrent {
	t := apply.Torrent{InfoHash: en.hash, Root: en.root, Err: en.problem}
	switch {
	case en.fetch == nil && en.problem == "":
		t.State = apply.Seeding
	case en.fetch == nil:
		t.State = apply.Stopped
		t.Left = en.length // nobody can say which bytes are still right
	default:
		t.Left = en.fetch.left
		switch {
		case en.problem != "":
			t.State = apply.Stopped
		case en.fetch.unchecked || en.fetch.checking:
			t.State = apply.Checking
		default:
			t.State = apply.Downloading
		}
	}
	return t
}

// doubt takes note that something is wrong with a complete file. One that our
// own code vouched for belongs to the user now: stop, and report whether that
// is news. One that was fetched into staging is ours: hash it and fetch what is
// wrong.
func (en *entry) doubt(err error) (stopped bool) {
	if err == nil {
		return false
	}
	if en.fixed || en.readOnly {
		stopped = en.problem == ""
		en.problem = err.Error()
		return stopped
	}
	en.fetch = &fetch{left: en.length, unchecked: true, touched: true}
	return false
}

// look compares the file with the stamp, through os.Root so that no symlink
// leads out of the tree.
func look(root, path string) (stamp, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return stamp{}, err
	}
	defer r.Close()
	fi, err := r.Lstat(filepath.FromSlash(path))
	if err != nil {
		return stamp{}, err
	}
	if !fi.Mode().IsRegular() {
		return stamp{}, &os.PathError{Op: "read", Path: filepath.Join(root, path), Err: errNotRegular}
	}
	return stampOf(fi), nil
}
