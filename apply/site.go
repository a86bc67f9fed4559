package apply

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"seedtree/internal/pieces"
	"seedtree/manifests"
)

// Role is what a site is for one revision.
type Role uint8

// The roles of a site. The manifest names main, the markers in the trees say
// whether this site's files already are the truth.
const (
	Follower    Role = iota // files are made to match the listing
	PendingMain             // named main, but still completing as a follower
	Main                    // files are the truth: read, never written
)

// String names the role as the status document does.
func (r Role) String() string {
	switch r {
	case Main:
		return "main"
	case PendingMain:
		return "pending main"
	default:
		return "follower"
	}
}

// DriftPolicy says what happens to a file that differs from what was put there.
type DriftPolicy uint8

// Drift policies.
const (
	Heal   DriftPolicy = iota // the differing copy goes to the trash
	Report                    // only counted and told
)

// Config describes one site.
type Config struct {
	Name   string            // the site's name in the manifest
	Engine Engine            // not closed by Site
	Trees  map[string]string // tree name to the folder that holds it here
	Pool   *pieces.Pool      // nil: one worker per core
	Drift  DriftPolicy
	Log    *slog.Logger     // nil: nothing is logged
	Clock  func() time.Time // nil: time.Now
}

// Site makes one place's trees and its engine match a revision. Its methods
// are for one goroutine at a time.
type Site struct {
	cfg   Config
	roots map[string]string // tree name to absolute folder
	names []string          // tree names, sorted

	recent   map[manifests.InfoHash]time.Time // when a broken torrent was last taken up again
	trashes  trashCache
	progress progress
	// step, when set by a test, is told before every change to the file
	// system or the engine. It stands in for kill -9 at that very moment.
	step func(op string)
	// beat tells whoever watches the pass that it gets on.
	beat func()
	// fsync is (*os.File).Sync, but for tests that kill no power.
	fsync func(*os.File) error
}

// Desired is what a site shall look like.
type Desired struct {
	Revision string
	Manifest *manifests.Manifest
	Listing  *manifests.Listing
	// Metainfo returns the catalog's .torrent of a listed regular file.
	Metainfo func(context.Context, manifests.Entry) ([]byte, error)
	// Owned is the listing of the last revision whose Result said Applied,
	// as filtered for this site at that time (see Wanted). What is in it and no
	// longer listed was put here by us and may be pruned. nil: nothing is known.
	Owned *manifests.Listing
	// Earlier are the listings of revisions that were begun after Owned, in
	// that order: what they put here is ours as well.
	Earlier []*manifests.Listing
	// AllowPrune says that an operator looked at this revision's removals.
	AllowPrune bool
}

// Errors a caller decides on.
var (
	// ErrNoMarker: a tree root without its marker, an unmounted drive most likely.
	ErrNoMarker = errors.New("no marker " + manifests.MarkerName)
	// ErrMarker: the marker is unreadable or that of another tree or site.
	ErrMarker = errors.New("the marker is not this tree's")
)

// Wanted is the part of a listing that a site shall hold.
func Wanted(m *manifests.Manifest, site string, l *manifests.Listing) *manifests.Listing {
	if m == nil || l == nil {
		return l
	}
	if s := m.Sites[site]; len(s.Include)+len(s.Exclude) == 0 {
		return l
	}
	return l.Filter(func(e manifests.Entry) bool { return m.Includes(site, e) })
}

// Open checks a configuration. It touches neither the trees nor the engine.
func Open(cfg Config) (*Site, error) {
	if err := manifests.ValidSiteName(cfg.Name); err != nil {
		return nil, err
	}
	if cfg.Engine == nil {
		return nil, errors.New("no engine is given")
	}
	if cfg.Pool == nil {
		cfg.Pool = pieces.New(0)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Site{
		cfg: cfg, roots: map[string]string{},
		recent: map[manifests.InfoHash]time.Time{}, trashes: trashCache{},
		fsync: (*os.File).Sync, beat: func() {},
	}
	for name, dir := range cfg.Trees {
		if err := manifests.ValidTreeName(name); err != nil {
			return nil, err
		}
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("tree %s: %w", name, err)
		}
		s.roots[name] = abs
		s.names = append(s.names, name)
	}
	sort.Strings(s.names)
	return s, s.refuseOverlap()
}

// refuseOverlap: two trees on one folder, or one inside another, would each
// take the other's files for strangers, or for its own.
func (s *Site) refuseOverlap() error {
	real := map[string]string{}
	for name, dir := range s.roots {
		real[name] = dir
		if resolved, err := filepath.EvalSymlinks(dir); err == nil {
			real[name] = resolved
		}
	}
	for i, a := range s.names {
		for _, b := range s.names[i+1:] {
			for _, pair := range [][2]string{{a, b}, {b, a}} {
				outer, inner := real[pair[0]], real[pair[1]]
				if outer == inner || strings.HasPrefix(inner, strings.TrimSuffix(outer, string(os.PathSeparator))+string(os.PathSeparator)) {
					return fmt.Errorf("tree %s (%s) is inside tree %s (%s): trees must not share files", pair[1], inner, pair[0], outer)
				}
			}
		}
	}
	return nil
}

// Close ends the use of the site. The engine stays open.
func (s *Site) Close() error { return nil }

// Name returns the site's name.
func (s *Site) Name() string { return s.cfg.Name }

// role derives the role from the manifest and the markers of all trees.
func role(site, mainSite string, markers []manifests.Marker) Role {
	if site != mainSite {
		return Follower
	}
	for _, m := range markers {
		if m.Role != manifests.RoleSource {
			return PendingMain
		}
	}
	return Main
}

// sameTime reports whether a file's time is the listed one, as far as the file
// system can express it: FAT counts in two seconds, others in seconds,
// microseconds or 100 nanoseconds, and all of them cut.
func sameTime(listed, found time.Time) bool {
	listed, found = manifests.StoredTime(listed), manifests.StoredTime(found)
	if listed.Equal(found) {
		return true
	}
	for _, grain := range []time.Duration{100, time.Microsecond, time.Millisecond, time.Second, 2 * time.Second} {
		if found.Equal(time.Unix(0, listed.UnixNano()-mod(listed.UnixNano(), int64(grain)))) {
			return true
		}
	}
	return false
}

// mod is the remainder that is never negative, for times before 1970.
func mod(a, b int64) int64 { return (a%b + b) % b }
