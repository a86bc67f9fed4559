package transmission

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"unicode/utf8"

	transmissionrpc "github.com/hekmon/transmissionrpc/v2"

	"seedtree/apply"
	"seedtree/manifests"
)

// What an addition can meet, inside an *apply.EngineError.
var (
	// ErrForeign: the user holds this torrent themselves.
	ErrForeign = errors.New(`the client already holds this torrent for its user: give it the label "seedtree" there to hand it over, or remove it there`)
	// ErrDiffers: our own code found every byte, the client does not.
	ErrDiffers = errors.New("the client does not find the bytes that were just checked; the torrent is left stopped")
	// ErrName: the client would work on another file name than the listed one.
	ErrName = errors.New("this client cannot store the file under its name")
)

// task is one addition on its way into the client.
type task struct {
	apply.Addition
	hash    string
	dir     string // download directory as the client sees it
	torrent []byte
	data    bool // the data file exists: bytes of it may be taken over
	full    bool // our own code has just found every piece
	// labelled: it has our label, perhaps beside others that are the user's.
	labelled bool
	err      error
}

// newTask checks everything about an addition that needs no client.
func (e *Engine) newTask(a apply.Addition) (*task, error) {
	k := &task{Addition: a, hash: a.Entry.InfoHash.String()}
	m, err := manifests.DecodeMetainfo(a.Metainfo)
	if err != nil {
		return k, err
	}
	if h := m.InfoHash(); h != a.Entry.InfoHash || m.Path != a.Entry.Path || m.Tree != a.Entry.Tree {
		return k, fmt.Errorf("the metainfo is that of %s/%s (%s), not that of %s", m.Tree, m.Path, h, a.Entry.Key())
	}
	if !utf8.ValidString(string(m.Path)) {
		return k, fmt.Errorf("%w: %q is not valid UTF-8", ErrName, m.Path)
	}
	if k.dir, err = e.downloadDir(a.Root, m.Tree); err != nil {
		return k, err
	}
	k.torrent = marked(m, a.Trackers)
	k.full = a.Have != nil && isFull(a.Have, m.NumPieces())
	_, err = os.Lstat(filepath.Join(a.Root, filepath.FromSlash(string(m.Path))))
	k.data = err == nil
	return k, nil
}

// downloadDir returns the client's name of the directory that holds root. The
// client puts a folder with the torrent's name there, so root must have it.
func (e *Engine) downloadDir(root, tree string) (string, error) {
	mapped, err := e.paths.toClient(root)
	if err != nil {
		return "", fmt.Errorf("%w: %w", apply.ErrEngineConfig, err)
	}
	if base := path.Base(mapped); base != tree {
		return "", fmt.Errorf("%w: Transmission keeps tree %q in a folder of that name, but its root is %s: rename the folder to %q, bind-mount it under that name, or use the embedded engine",
			apply.ErrEngineConfig, tree, mapped, tree)
	}
	return path.Dir(mapped), nil
}

// marked encodes the .torrent for the client with our comment in it, which
// sorts between announce-list and "created by".
func marked(m manifests.Metainfo, trackers [][]string) []byte {
	rest := m.EncodeWith(nil)[1:] // what follows the trackers, whatever they are
	head, found := bytes.CutSuffix(m.EncodeWith(trackers), rest)
	if !found {
		panic("transmission: the trackers do not stand first in a .torrent")
	}
	out := fmt.Appendf(head, "7:comment%d:%s", len(mark), mark)
	return append(out, rest...)
}

func isFull(have []byte, pieces int) bool {
	if len(have) < (pieces+7)/8 {
		return false
	}
	for i := range pieces {
		if have[i/8]&(0x80>>(i%8)) == 0 {
			return false
		}
	}
	return true
}

// need says how far a torrent that the client already holds is from wanted.
type need uint8

const (
	nothing need = iota
	claim        // set label and limits
	start        // claim, then start
	outcome      // claim; it is being verified, and started when that went well
	verify       // claim, verify, then start
	redo         // forget it and add it anew
	refuse       // it is the user's
)

// missing reads what the client holds of one addition.
func (k *task) missing(t *transmissionrpc.Torrent) need {
	k.labelled = slices.Contains(t.Labels, label)
	if !isOurs(t) {
		return refuse
	}
	if path.Clean(value(t.DownloadDir)) != k.dir || localError(t) != "" {
		// Moving and repairing have traps in every version; adding anew has
		// none, and finds by verification what is there.
		return redo
	}
	switch value(t.Status) {
	case transmissionrpc.TorrentStatusCheck, transmissionrpc.TorrentStatusCheckWait:
		return outcome // to ask again would begin again
	case transmissionrpc.TorrentStatusDownload, transmissionrpc.TorrentStatusDownloadWait:
		if k.ReadOnly {
			return redo // it must not go on, and stopping is not immediate
		}
		if value(t.Status) == transmissionrpc.TorrentStatusDownloadWait {
			return start // queued behind others: not ours
		}
	case transmissionrpc.TorrentStatusSeedWait:
		return start
	case transmissionrpc.TorrentStatusSeed:
		if left(t) > 0 { // it serves the part that it has
			return redo
		}
	default:
		if left(t) == 0 && k.full {
			return start // both of us know it to be complete
		}
		return verify // bytes may have come or gone while it was stopped
	}
	unwanted := len(t.FileStats) == 1 && !t.FileStats[0].Wanted
	if k.ReadOnly != unwanted || !k.labelled {
		return claim
	}
	return nothing
}

// deepestHere returns a directory, or the nearest one above it that exists.
func deepestHere(dir string) string {
	for {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return dir
		}
		dir = up
	}
}
