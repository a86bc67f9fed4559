package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"seedtree/apply"
	"seedtree/gitsource"
	"seedtree/internal/pulse"
	"seedtree/manifests"
)

// heartbeat is how old the published status may grow while nothing changes.
const heartbeat = 6 * time.Hour

// refusedAgain is when a site that may not report asks again: permissions change.
const refusedAgain = 30 * time.Minute

// pushed is what the fleet was last told.
type pushed struct {
	what    string // the status without what changes by itself
	at      time.Time
	refused bool // the remote does not let this site report; said once
}

// report makes the status of a pass, keeps it for Status, writes it beside the
// state file and publishes it.
func (a *Agent) report(ctx context.Context, out *Outcome, failed error, started time.Time) {
	pulse.Step(ctx, "reporting")
	st := a.Status()
	if p := out.Plan; p != nil {
		st.Role = p.Role.String()
		st.Entries = manifests.EntryCounts{
			Listed: p.Entries, InSync: p.InSync, Missing: p.Entries - p.InSync,
			Held: len(p.Held), Foreign: p.Foreign, Drift: p.Drift,
		}
	}
	st.Pass = manifests.PassReport{Started: started, Seconds: max(0, a.clock().Sub(started).Seconds())}
	if r := out.Result; r != nil {
		st.Role = r.Role.String()
		st.Entries = manifests.EntryCounts{
			Listed: r.Entries, InSync: r.InSync, Missing: r.Entries - r.InSync,
			Held: r.Held, Foreign: r.Foreign, Drift: r.Drift,
		}
	}
	a.count(ctx, &st, out.Result)
	if a.built != nil {
		failed = errors.Join(failed, fmt.Errorf("last build: %w", a.built))
	}
	st.Errors = problems(out, failed)
	for _, p := range a.cfg.Source.PassedOver() {
		st.Errors = append(st.Errors, fmt.Sprintf("catalog %s is passed over: %s", p.Remote, p.Reason))
	}
	st.Untrusted = untrusted(failed)
	// Who could not be reached a moment ago is not asked again to wait for.
	a.publish(ctx, out, st, !errors.Is(failed, gitsource.ErrUnreachable))
	a.say("pass", out, st)
}

// reportSettled brings the counts up to date between passes. Only a site that
// became complete is news for the fleet; the rest can wait for the next pass.
func (a *Agent) reportSettled(ctx context.Context, out *Outcome, failed error) {
	pulse.Step(ctx, "reporting")
	st := a.Status()
	complete := st.Complete != a.state.Complete
	if r := out.Result; r != nil {
		done := r.Actions[apply.Place]
		if complete {
			done = st.Entries.Missing
		}
		st.Entries.InSync += done
		st.Entries.Missing = max(0, st.Entries.Missing-done)
	}
	a.count(ctx, &st, out.Result)
	if list := problems(out, failed); list != nil {
		st.Errors = list
	}
	a.publish(ctx, out, st, complete)
	a.say("placed what arrived", out, st)
}

// say logs what was done, and only if something was.
func (a *Agent) say(what string, out *Outcome, st manifests.Status) {
	if out.Result == nil || len(out.Result.Actions) == 0 {
		return
	}
	attrs := []any{"revision", out.Revision[:10], "role", st.Role}
	for _, kind := range slices.Sorted(maps.Keys(out.Result.Actions)) {
		attrs = append(attrs, kind.String(), out.Result.Actions[kind])
	}
	attrs = append(attrs, "in-sync", st.Entries.InSync, "listed", st.Entries.Listed, "held", st.Entries.Held, "errors", len(out.Result.Errors))
	a.log.Info(what, attrs...)
}

// publish finishes a status and hands it on. A status that cannot be written
// or pushed keeps nobody from working.
func (a *Agent) publish(ctx context.Context, out *Outcome, st manifests.Status, push bool) {
	st.Time, st.Remote = a.clock(), a.cfg.Source.URL()
	st.Attempted, st.Applied, st.Complete = a.state.Attempted, a.state.Applied, a.state.Complete
	a.status.Store(&st)
	out.Status = st
	if err := writeFile(a.cfg.StateDir, StatusName, st.Encode()); err != nil {
		a.log.Warn("cannot write the status file", "err", err)
	}
	if push && a.cfg.ReportStatus {
		a.push(ctx, st)
	}
}

// push publishes the status when something changed, or as a sign of life.
func (a *Agent) push(ctx context.Context, st manifests.Status) {
	what := essence(st)
	wait := heartbeat
	if a.pushed.refused {
		wait = refusedAgain
	}
	due := st.Time.Sub(a.pushed.at) >= wait || st.Time.Before(a.pushed.at)
	if !due && (what == a.pushed.what || a.pushed.refused) {
		return
	}
	err := a.cfg.Source.PushStatus(ctx, a.cfg.Site, st.Encode())
	switch {
	case err == nil:
		if a.pushed.refused {
			a.log.Info("this site may report its status to the catalog again")
		}
		a.pushed = pushed{what: what, at: st.Time}
	case errors.Is(err, gitsource.ErrRefused), errors.Is(err, gitsource.ErrAuth):
		if !a.pushed.refused {
			a.log.Warn("this site may not report its status to the catalog; everything else works", "err", err)
		}
		a.pushed = pushed{what: what, at: st.Time, refused: true}
	default: // the next pass tries again
		a.log.Debug("cannot push the status", "err", err)
	}
}

// essence is a status without what changes though nothing happened.
func essence(st manifests.Status) string {
	st.Time, st.Pass, st.DiskFree = time.Time{}, manifests.PassReport{}, nil
	st.Bytes.Downloaded, st.Bytes.Uploaded, st.Bytes.Reused = 0, 0, 0
	return string(st.Encode())
}

// untrusted says what of an error is a head that this site does not trust.
func untrusted(err error) *manifests.Untrusted {
	var e *gitsource.UntrustedError
	if !errors.As(err, &e) {
		return nil
	}
	return &manifests.Untrusted{Revision: e.Revision, Commit: e.Commit, Signer: e.Signer, Rule: e.Rule}
}

// problems lists everything that is wrong, the most general first. Encode cuts
// the list where it gets too long.
func problems(out *Outcome, failed error) []string {
	var list []string
	if failed != nil { // joined errors, and the problems of a manifest, are lines
		list = strings.Split(failed.Error(), "\n")
	}
	r := out.Result
	if r == nil {
		return list
	}
	for _, tree := range slices.Sorted(maps.Keys(r.Stopped)) {
		list = append(list, "tree "+tree+": "+r.Stopped[tree])
	}
	if r.HeldWhy != "" {
		list = append(list, r.HeldWhy)
	}
	for _, e := range r.Errors {
		if e.Key != (manifests.Key{}) { // the others ended the pass, and were told above
			list = append(list, e.Error())
		}
	}
	return list
}

// count fills in what a pass or a settle found out about entries and bytes.
func (a *Agent) count(ctx context.Context, st *manifests.Status, r *apply.Result) {
	if r != nil {
		st.Bytes.Missing = r.BytesMissing
		st.Bytes.Reused += r.BytesReused
		st.MissingSample = nil
		for _, k := range r.Missing {
			st.MissingSample = append(st.MissingSample, k.String())
		}
		if st.Pass.Actions == nil {
			st.Pass.Actions = map[string]int{}
		} else {
			st.Pass.Actions = maps.Clone(st.Pass.Actions) // others hold the status before
		}
		for kind, n := range r.Actions {
			st.Pass.Actions[kind.String()] += n
		}
	}
	if t := a.current; t != nil {
		st.Bytes.Listed = t.bytes
		st.Bytes.Have = max(0, st.Bytes.Listed-st.Bytes.Missing)
	}
	if a.cfg.Meter != nil {
		if traffic, err := a.cfg.Meter.Traffic(ctx); err == nil {
			st.Bytes.Downloaded, st.Bytes.Uploaded = traffic.Downloaded, traffic.Uploaded
		}
	}
	st.DiskFree = map[string]int64{}
	for tree, dir := range a.cfg.Trees {
		if free, ok := diskFree(dir); ok {
			st.DiskFree[tree] = free
		}
	}
}
