package apply

import (
	"path/filepath"
	"sort"
	"strings"

	"seedtree/manifests"
)

// ActionKind is what is done about one entry.
type ActionKind uint8

// Actions, in the order in which a plan lists and a pass executes them.
const (
	Move       ActionKind = iota // a departing file here has the bytes
	Restore                      // the trash has the bytes
	Copy                         // a file that stays here has the bytes
	Place                        // fetched: check and publish
	Create                       // an empty file, a symlink, an empty directory
	Add                          // fetch into staging, started from the old version
	Attributes                   // only mode or time differ
	Adopt                        // the file is there: check it and seed it
	Forget                       // a torrent of ours that nothing lists: stop seeding it
	Prune                        // no longer listed: to the trash
)

// String names the action as plans print it.
func (k ActionKind) String() string {
	return [...]string{
		"move", "restore", "copy", "place", "create", "add", "attributes", "adopt", "forget", "prune",
	}[k]
}

// Action is one step of a plan.
type Action struct {
	Kind   ActionKind
	Entry  manifests.Entry
	From   string // for people: where the bytes come from; "" when from peers
	Reason string
	Bytes  int64 // Add: to fetch, at most; Move, Restore, Copy, Adopt: not fetched; Prune: freed in time

	source  source
	release []manifests.InfoHash // torrents to let go of just before
	early   bool                 // a prune that stands in the way of another entry
	lost    bool                 // a prune after which nothing listed has the bytes
}

// Plan is what Execute does, and what a preview shows.
type Plan struct {
	Revision string
	Role     Role
	Actions  []Action
	Held     []Action // removals that wait for somebody to look at them
	HeldWhy  string
	Entries  int                      // wanted at this site
	InSync   int                      // and need nothing
	Waiting  int                      // being fetched
	Drift    int                      // differing from what was put here; at main: from the listing, a build is pending
	Differs  []manifests.Key          // those
	Foreign  int                      // files that are neither listed nor ours
	Stopped  map[string]string        // trees where nothing is done, and why
	Problems map[manifests.Key]string // entries that cannot be brought here, or need a person

	waiting   []waiting
	sources   map[string]bool     // trees whose files are the truth: read, never written
	pending   int                 // entries in them that wait for a build
	leftovers map[string][]string // our own temporary names, by tree
}

// waiting is an entry whose bytes are on their way.
type waiting struct {
	entry manifests.Entry
	left  int64
}

// planner is the state of one NewPlan.
type planner struct {
	site   string
	d      Desired
	o      *Observation
	wanted *manifests.Listing
	plan   *Plan
	used   map[manifests.Key]bool     // departing files that a Move takes
	given  map[manifests.Content]bool // trash items that a Restore takes
	needs  []need
	keep   map[manifests.InfoHash]bool // torrents that go on though nothing lists them
	early  map[manifests.Key]bool      // unlisted paths that stand in the way of listed ones
	folded map[manifests.Key]bool      // listed paths, case folded; made when asked for
	met    int                         // torrents of the engine that a wanted entry asked for
}

// need is a regular entry whose bytes have to come from somewhere.
type need struct {
	entry   manifests.Entry
	release []manifests.InfoHash
	reason  string
}

// NewPlan compares what shall be with what is. It is pure: no clock, no file,
// no engine. The same desire and observation give the same plan.
func NewPlan(d Desired, o *Observation) *Plan {
	p := &planner{
		site: o.Site, d: d, o: o, wanted: Wanted(d.Manifest, o.Site, d.Listing),
		plan: &Plan{
			Revision: d.Revision, Stopped: map[string]string{},
			Problems: map[manifests.Key]string{}, leftovers: map[string][]string{}, sources: map[string]bool{},
		},
		used: map[manifests.Key]bool{}, given: map[manifests.Content]bool{},
		keep: map[manifests.InfoHash]bool{}, early: map[manifests.Key]bool{},
	}
	p.plan.Entries = p.wanted.Len()
	p.trees()
	p.plan.Role = p.role()
	doubles := p.caseDoubles()
	for e := range p.wanted.All() {
		switch {
		case p.plan.Stopped[e.Tree] != "":
			// nothing is known about it
		case len(doubles) > 0 && doubles[e.Key()] != "":
			p.plan.Problems[e.Key()] = doubles[e.Key()]
		case p.plan.sources[e.Tree]:
			p.source(e)
		case e.Kind == manifests.Regular:
			p.regular(e)
		default:
			p.special(e)
		}
	}
	p.supply()
	p.prunes()
	p.forgets()
	sort.SliceStable(p.plan.Actions, func(i, j int) bool {
		return p.plan.Actions[i].Kind < p.plan.Actions[j].Kind
	})
	return p.plan
}

// trees finds the trees that cannot be worked on.
func (p *planner) trees() {
	for name, v := range p.o.Trees {
		if v.Stopped != "" {
			p.plan.Stopped[name] = v.Stopped
		}
		p.plan.Foreign += v.Foreign
		if len(v.leftovers) > 0 {
			p.plan.leftovers[name] = v.leftovers
		}
	}
	for _, name := range p.wanted.Trees() {
		if p.o.Trees[name] == nil {
			p.plan.Stopped[name] = "tree " + name + ": no folder is configured for it"
		}
	}
}

func (p *planner) role() Role {
	mainSite := ""
	if p.d.Manifest != nil {
		mainSite = p.d.Manifest.Main
	}
	markers := make([]manifests.Marker, 0, len(p.o.Trees))
	for name, v := range p.o.Trees {
		markers = append(markers, v.Marker)
		// Tree by tree: while main takes over one more folder, what people
		// edit in its other trees must not be taken for drift.
		p.plan.sources[name] = p.site == mainSite && v.Marker.Role == manifests.RoleSource
	}
	return role(p.site, mainSite, markers)
}

// caseDoubles finds entries that a case-folding tree cannot hold side by side.
// All but the first are left out: bringing them would replace the first, and
// the next pass would bring that one back, for ever.
func (p *planner) caseDoubles() map[manifests.Key]string {
	doubles := map[manifests.Key]string{}
	for name, v := range p.o.Trees {
		if !v.FoldsCase {
			continue
		}
		first := map[string]manifests.Path{}
		for e := range p.wanted.Tree(name) {
			folded := fold(e.Path)
			if one, taken := first[folded]; taken {
				doubles[e.Key()] = "differs only by case from " + string(one) + ", which this file system takes for the same name"
				continue
			}
			first[folded] = e.Path
		}
	}
	return doubles
}

// fold maps names that a case-folding file system takes for one to one string.
func fold(p manifests.Path) string { return strings.ToLower(strings.ToUpper(string(p))) }

// place says where the engine has a torrent.
type place uint8

const (
	nowhere   place = iota // not held
	elsewhere              // held, but at a folder we do not know
	inStaging
	inPlace
)

// placeOf is asked once for each entry.
func (p *planner) placeOf(e manifests.Entry, v *TreeView) (Torrent, place) {
	t, held := p.o.Torrents[e.InfoHash]
	if held {
		p.met++
	}
	switch {
	case !held:
		return t, nowhere
	case t.Root == v.Root:
		return t, inPlace
	case t.Root == filepath.Clean(stagingRoot(v.Root, e.InfoHash, e.Tree)):
		return t, inStaging
	default:
		return t, elsewhere
	}
}

// match says how what stands at a path compares with an entry.
type match uint8

const (
	absent    match = iota
	asListed        // length and time
	otherMode       // as listed but for the executable bit
	otherTime       // only the length is as listed
	differs
)

func compare(e manifests.Entry, st FileState) match {
	switch {
	case st.Type == NoFile:
		return absent
	case st.Type != RegularFile || st.Size != e.Length:
		return differs
	case !sameTime(e.ModTime, st.ModTime):
		return otherTime
	case st.Executable != e.Executable:
		return otherMode
	default:
		return asListed
	}
}

// file returns what stands at an entry's path.
func (p *planner) file(k manifests.Key) FileState {
	v := p.o.Trees[k.Tree]
	if v == nil {
		return FileState{}
	}
	return v.Files[k.Path]
}

func (p *planner) act(a Action) { p.plan.Actions = append(p.plan.Actions, a) }

func (p *planner) wait(e manifests.Entry, left int64) {
	p.plan.Waiting++
	p.plan.waiting = append(p.plan.waiting, waiting{e, left})
}
