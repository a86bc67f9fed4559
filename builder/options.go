package builder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"seedtree/internal/pieces"
	"seedtree/manifests"
)

// Errors that mean nothing was built and nothing may be changed.
var (
	// ErrNotMounted: a tree's root is absent or carries no marker of this tree
	// and site. Most often a drive is not mounted.
	ErrNotMounted = errors.New("tree is not mounted")
	// ErrNotReady: a marker says that the tree is a copy. This site has to
	// complete as a follower before its files are the truth.
	ErrNotReady = errors.New("tree is a copy, not the source")
	// ErrEmpty: a tree with listed entries has nothing in it any more.
	ErrEmpty = errors.New("source is empty")
	// ErrTooManyRemovals: the manifest's limit; see LimitError.
	ErrTooManyRemovals = errors.New("too many removals")
)

// Options says what to build.
type Options struct {
	Site     string
	Trees    map[string]string // tree name to the folder of its source
	Manifest *manifests.Manifest
	Previous *manifests.Listing // nil: the first build
	// Metainfo returns the catalog's bytes of an entry of Previous. It is asked
	// when nothing but the executable bit of a file changed. Without it such
	// files are hashed again.
	Metainfo func(context.Context, manifests.Entry) ([]byte, error)
	// Store takes every .torrent as soon as it is made, so that those of a
	// first build of millions of files are never in memory together. It must not
	// keep data, and is called from the goroutine that called Build, also in a build that fails
	// later; its own error ends the build. nil: Blob.Data carries them.
	Store func(data []byte) (Ref, error)

	// Journal keeps what is hashed for the next build, should this one not come
	// to its end; what it holds already is not read again. nil: none.
	Journal *Journal

	// Rehash reads every file, whatever the listing says, and compares: see
	// Suspect. Accept names files, directories or trees (an empty path) whose
	// bytes are meant: they are read, and listed as they are.
	Rehash bool
	Accept []manifests.Key
	// Mounts are the Result.Mounts of the last build: where drives were mounted
	// inside the sources. One that is not mounted now keeps its entries.
	Mounts        []manifests.Key
	AllowRemovals bool // somebody looked at the removals and wants them
	Workers       int  // that hash; 0: all cores
	Pool          *pieces.Pool
	// Progress is called now and then from a single goroutine that is not the
	// caller's, and a last time before Build returns.
	Progress func(Progress)
	Clock    func() time.Time // nil: time.Now
}

// Progress is how far a build has come.
type Progress struct {
	Seen              int // entries found so far
	Files, FilesTotal int // hashed, and known to need it
	Bytes, BytesTotal int64
}

// Result is the next listing and how to get there.
type Result struct {
	Listing *manifests.Listing
	Diff    manifests.Diff // against Options.Previous
	Put     Blobs
	Delete  []string // catalog names, ordered; none of them is in Put
	// Skipped is what a catalog cannot carry: pipes, sockets, devices.
	Skipped []Skip
	// Warnings are listed all the same, but will cause trouble somewhere.
	Warnings []Skip
	// Failed could not be read. What Previous says of them is kept.
	Failed []Failure
	// Mounts are the folders that are other file systems: Options.Mounts of the
	// next build.
	Mounts []manifests.Key
	// Suspects look rotten. What Previous says of them is kept.
	Suspects []Suspect

	HashedFiles  int
	HashedBytes  int64
	ResumedFiles int // not read, since an interrupted build had
	ResumedBytes int64
	BytesTotal   int64 // of all listed files
}

// Skip is a place in a source and what is the matter with it.
type Skip struct {
	Key    manifests.Key
	Reason string
}

// Failure is a place in a source that could not be read.
type Failure struct {
	Key manifests.Key
	Err error
}

// Error names the place, then the fault.
func (f Failure) Error() string { return fmt.Sprintf("%s: %v", f.Key, f.Err) }

// Unwrap returns the fault.
func (f Failure) Unwrap() error { return f.Err }

// BlobMode is what git calls the mode of a blob.
type BlobMode uint8

// The modes a catalog uses.
const (
	File BlobMode = iota
	Executable
	SymbolicLink
)

// Blob is one file to be written to the catalog.
type Blob struct {
	Name string // in the catalog
	Data []byte // nil if Store took it, and for empty files
	Ref  Ref    // what Store said of it
	Mode BlobMode
}

// Ref is Store's name for what it took. The zero Ref names nothing.
type Ref [20]byte

// LimitError says that more would vanish from the catalog than the manifest
// allows in one step. It is an ErrTooManyRemovals.
type LimitError struct {
	Removed int // entries whose bytes are nowhere any more
	Base    int // entries before
	Limit   manifests.Limit
	Sample  []manifests.Key // the first of them
}

func (e *LimitError) Error() string {
	var names []string
	for _, k := range e.Sample {
		names = append(names, fmt.Sprintf("%q", k.String()))
	}
	if e.Removed > len(e.Sample) {
		names = append(names, "...")
	}
	return fmt.Sprintf("%v: %d of %d entries, the limit is %d%% and %d: %s",
		ErrTooManyRemovals, e.Removed, e.Base, e.Limit.Percent, e.Limit.Files, strings.Join(names, ", "))
}

// Is makes errors.Is(err, ErrTooManyRemovals) hold.
func (e *LimitError) Is(target error) bool { return target == ErrTooManyRemovals }
