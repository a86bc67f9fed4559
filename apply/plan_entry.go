package apply

import (
	"slices"

	"seedtree/manifests"
)

// regular is the truth table for a listed regular file of a follower.
//
//	engine has it | file at path              | action
//	no            | length and time as listed | Adopt
//	no            | other, older or absent    | Move, Restore, Copy or Add: see supply
//	in staging    | any                       | wait, or Place when complete
//	in place      | as listed                 | in sync (Attributes for the mode)
//	in place      | missing or differing      | drift, then as if the engine had it not
//	elsewhere, or with an error               | let go of, then as if the engine had it not
func (p *planner) regular(e manifests.Entry) {
	v := p.o.Trees[e.Tree]
	t, where := p.placeOf(e, v)
	st := p.file(e.Key())
	found := compare(e, st)
	there := found == asListed || found == otherMode
	staged, fetched := v.Staged[e.InfoHash]

	switch {
	case where == nowhere && there:
		p.adopt(e, nil, "it is there with the listed length and time")
	case where == nowhere:
		p.need(e, nil, missingOr(found))

	case where == inStaging && t.Done() && fetched && staged.Size >= 0:
		p.act(Action{Kind: Place, Entry: e, Reason: "fetched"})
	case where == inStaging && t.Done():
		p.need(e, only(e), "the client says complete, but staging has no file")
	case where == inStaging && (t.State == Downloading || t.State == Checking) && t.Err == "":
		p.wait(e, t.Left)
	case where == inStaging && p.o.Recent[e.InfoHash]:
		p.wait(e, t.Left)
		p.problem(e, t)
	case where == inStaging:
		p.need(e, only(e), "the client stopped: "+words(t))

	case where == inPlace && found == asListed && t.Done():
		p.plan.InSync++
	case where == inPlace && found == otherMode && t.Done():
		p.attributes(e, "the executable bit differs")
	case where == inPlace && there && t.State == Checking:
		p.wait(e, 0)
	case where == inPlace && there && p.o.Recent[e.InfoHash]:
		p.problem(e, t)
	case where == inPlace && there:
		p.adopt(e, only(e), "the client does not seed it: "+words(t))
	case where == inPlace && found == otherTime && p.untouched(e, st):
		p.attributes(e, "the listed time changed")
	case where == inPlace && p.report():
		p.drifted(e)
	case where == inPlace:
		p.drifted(e)
		p.need(e, only(e), "drift: "+missingOr(found))

	case there: // elsewhere
		p.adopt(e, only(e), "it is there; the client looked elsewhere")
	default:
		p.need(e, only(e), missingOr(found))
	}
}

// only is what is let go of for an entry that replaces nothing but itself.
func only(e manifests.Entry) []manifests.InfoHash { return []manifests.InfoHash{e.InfoHash} }

// untouched reports whether the file still is what we put there for an older
// revision that had the same bytes with another time.
func (p *planner) untouched(e manifests.Entry, st FileState) bool {
	return slices.ContainsFunc(p.d.ownedAt(e.Key()), func(old manifests.Entry) bool {
		return old.InfoHash == e.InfoHash && sameTime(old.ModTime, st.ModTime)
	})
}

func (p *planner) report() bool { return p.o.Drift == Report }

func (p *planner) drifted(e manifests.Entry) {
	p.plan.Drift++
	p.plan.Differs = append(p.plan.Differs, e.Key())
}

func (p *planner) adopt(e manifests.Entry, release []manifests.InfoHash, reason string) {
	p.act(Action{Kind: Adopt, Entry: e, Reason: reason, Bytes: e.Length, release: release})
}

func (p *planner) attributes(e manifests.Entry, reason string) {
	p.act(Action{Kind: Attributes, Entry: e, Reason: reason})
}

func (p *planner) need(e manifests.Entry, release []manifests.InfoHash, reason string) {
	p.needs = append(p.needs, need{e, release, reason})
}

func (p *planner) problem(e manifests.Entry, t Torrent) {
	p.plan.Problems[e.Key()] = "the client does not get on with it: " + words(t)
}

func words(t Torrent) string {
	switch {
	case t.Err != "":
		return t.Err
	case t.Left > 0:
		return "it misses bytes and does not fetch them"
	default:
		return "it is stopped"
	}
}

func missingOr(m match) string {
	switch m {
	case absent:
		return "it is not there"
	case otherTime:
		return "its time differs"
	default:
		return "it differs"
	}
}

// source is the truth table for any listed entry at main, where the files are
// the truth: nothing is ever written, and what differs waits for a build.
//
//	engine has it        | file at path | action
//	no, or not in place  | as listed    | Adopt, read-only, unread: this site hashed it itself
//	in place and seeding | as listed    | in sync
//	in place, an error   | as listed    | Adopt again, its bytes checked
//	any                  | differing    | Forget; build pending
func (p *planner) source(e manifests.Entry) {
	if e.Kind != manifests.Regular {
		if p.asWanted(e) {
			p.plan.InSync++
		} else {
			p.pending(e)
		}
		return
	}
	v := p.o.Trees[e.Tree]
	t, where := p.placeOf(e, v)
	found := compare(e, p.file(e.Key()))
	there := found == asListed || found == otherMode
	switch {
	case !there && where == nowhere:
		p.pending(e)
	case !there:
		p.pending(e)
		p.act(Action{Kind: Forget, Entry: e, Reason: "source changed, build pending", release: only(e)})
	case where == nowhere:
		p.act(Action{Kind: Adopt, Entry: e, Reason: "main's own file"})
	case where == inPlace && t.Done():
		p.plan.InSync++
	case where == inPlace && t.State == Checking:
		p.wait(e, 0)
	case where == inPlace && p.o.Recent[e.InfoHash]:
		p.problem(e, t)
	case where == inPlace:
		p.adopt(e, only(e), "the client does not seed it: "+words(t))
	default:
		p.act(Action{Kind: Adopt, Entry: e, Reason: "main's own file", release: only(e)})
	}
}

func (p *planner) pending(e manifests.Entry) {
	p.plan.pending++
	p.drifted(e)
}

// special is the table for entries that need no engine: they are as wanted or
// they are made.
func (p *planner) special(e manifests.Entry) {
	if p.asWanted(e) {
		p.plan.InSync++
		return
	}
	st := p.file(e.Key())
	drifted := p.applied(e)
	switch {
	case e.Kind == manifests.Empty && st.Type == RegularFile && st.Size == 0:
		p.attributes(e, "the executable bit differs")
	case drifted && p.report():
		p.drifted(e)
	default:
		if drifted {
			p.drifted(e)
		}
		a := Action{Kind: Create, Entry: e, Reason: e.Kind.String()}
		for _, h := range p.d.oldTorrents(e) {
			if _, held := p.o.Torrents[h]; held {
				a.release = append(a.release, h)
			}
		}
		p.act(a)
		p.obstructions(e)
	}
}

// applied reports whether a whole pass already brought exactly this entry.
func (p *planner) applied(e manifests.Entry) bool {
	if p.d.Owned == nil {
		return false
	}
	old, ok := p.d.Owned.Get(e.Key())
	return ok && old.Equal(e)
}

// asWanted compares an entry that is no regular file with what stands there.
func (p *planner) asWanted(e manifests.Entry) bool {
	st := p.file(e.Key())
	switch e.Kind {
	case manifests.Empty:
		return st.Type == RegularFile && st.Size == 0 && st.Executable == e.Executable
	case manifests.Symlink:
		return st.Type == Link && st.Target == e.Target
	case manifests.EmptyDir:
		return st.Type == Directory
	default:
		return false
	}
}

// holds reports whether the engine has an entry's torrent.
func (p *planner) holds(e manifests.Entry) bool {
	_, held := p.o.Torrents[e.InfoHash]
	return held
}
