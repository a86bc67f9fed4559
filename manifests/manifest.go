package manifests

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// ManifestName is where a catalog keeps its manifest.
const ManifestName = "manifest.yaml"

// APIVersion is what the first line of every manifest says.
const APIVersion = "seedtree/v1"

// Manifest is manifest.yaml: who is main, what there is, who takes part.
type Manifest struct {
	Main     string
	Trackers [][]string // announce URLs in BEP 12 tiers
	Trees    map[string]TreeSpec
	Sites    map[string]SiteSpec // may be empty: then any site may follow
	Prune    PruneSpec
	Revoked  []string // serial numbers of certificates, lower-case hexadecimal
}

// TreeSpec says how one tree is read and shared.
type TreeSpec struct {
	Ignore  []string // gitignore rules
	Seeding []SeedingRule
}

// SeedingRule ends the seeding of matching files at a share ratio.
type SeedingRule struct {
	Match string // doublestar glob over paths in the tree
	Ratio float64
}

// SiteSpec says how a site is reached and, for partial sites, what it holds.
type SiteSpec struct {
	Peer             string   // host:port, "" when nobody can dial it
	Include, Exclude []string // doublestar globs over tree/path
}

// PruneSpec bounds removals and says how long removed files are kept.
type PruneSpec struct {
	Limit    Limit
	Trash    time.Duration
	Approved string // a revision whose removals somebody looked at
}

// defaultPrune is what a manifest gets that says nothing about pruning.
func defaultPrune() PruneSpec {
	return PruneSpec{Limit: Limit{Percent: 10, Files: 1000}, Trash: 30 * 24 * time.Hour}
}

// Includes reports whether a site shall hold an entry. A site that is not
// listed, or has no include globs, holds everything but what it excludes.
func (m *Manifest) Includes(site string, e Entry) bool {
	s, ok := m.Sites[site]
	if !ok || len(s.Include)+len(s.Exclude) == 0 {
		return true
	}
	name := e.Key().String()
	matches := func(glob string) bool { return doublestar.MatchUnvalidated(glob, name) }
	return (len(s.Include) == 0 || slices.ContainsFunc(s.Include, matches)) && !slices.ContainsFunc(s.Exclude, matches)
}

// PeersExcept returns the addresses of all other sites, by site name.
func (m *Manifest) PeersExcept(site string) []string {
	var peers []string
	for _, name := range sortedKeys(m.Sites) {
		if peer := m.Sites[name].Peer; name != site && peer != "" {
			peers = append(peers, peer)
		}
	}
	return peers
}

// Ratio returns the share ratio at which seeding of a path ends; the first
// rule that matches wins. false: it never ends.
func (t TreeSpec) Ratio(p Path) (float64, bool) {
	for _, rule := range t.Seeding {
		if doublestar.MatchUnvalidated(rule.Match, string(p)) {
			return rule.Ratio, true
		}
	}
	return 0, false
}

// Problem is one fault of a manifest. Lines and columns count from 1, columns
// in characters; both are 0 where no place can be named.
type Problem struct {
	Line, Column int
	Message      string
}

// String writes the problem as compilers do, so that editors can jump to it.
func (p Problem) String() string {
	if p.Line == 0 {
		return ManifestName + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", ManifestName, p.Line, p.Column, p.Message)
}

// Problems is every fault of a manifest at once, in the order of the file. It
// is the error that ParseManifest returns.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}
