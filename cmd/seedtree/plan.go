package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"seedtree/apply"
	"seedtree/gitsource"
)

// planReport is what `seedtree plan` prints.
type planReport struct {
	Revision string            `json:"revision"`
	Role     string            `json:"role"`
	Actions  []actionLine      `json:"actions"`
	Held     []actionLine      `json:"held"`
	HeldWhy  string            `json:"heldWhy,omitempty"`
	Entries  int               `json:"entries"`
	InSync   int               `json:"inSync"`
	Waiting  int               `json:"waiting"`
	Drift    int               `json:"drift"`
	Foreign  int               `json:"foreign"`
	Stopped  map[string]string `json:"stopped,omitempty"`
	Problems map[string]string `json:"problems,omitempty"`
	Fetch    int64             `json:"fetchBytes"`
	Reuse    int64             `json:"reuseBytes"`
	Free     int64             `json:"freeBytes"` // once the trash has let go of it
}

// actionLine is one action as data.
type actionLine struct {
	Kind   string `json:"kind"`
	Path   string `json:"path"`
	From   string `json:"from,omitempty"`
	Reason string `json:"reason,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	sign   string
}

func newActionLine(a apply.Action) actionLine {
	l := actionLine{Kind: a.Kind.String(), Path: a.Entry.Key().String(), From: a.From, Reason: a.Reason, Bytes: a.Bytes, sign: "+"}
	switch a.Kind {
	case apply.Move:
		l.sign = ">"
	case apply.Prune, apply.Forget:
		l.sign = "-"
	case apply.Attributes:
		l.sign = "~"
	}
	return l
}

func (l actionLine) String() string {
	s := l.sign + " " + l.Kind + " " + shown(l.Path)
	if l.From != "" {
		s += " from " + shown(l.From)
	}
	if l.Bytes > 0 {
		s += "  " + bytesText(l.Bytes)
	}
	if l.Reason != "" {
		s += "  (" + l.Reason + ")"
	}
	return s
}

func (a *app) planCommand() *cobra.Command {
	var detailed bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what a pass would do here",
		Long: `Looks at the catalog, the client and the files, and prints what sync would do.
Changes nothing. Lines begin with + (comes), ~ (changes), > (moves) or - (goes).`,
		Example: "  seedtree plan\n  seedtree plan --detailed-exitcode   ends with 2 if there is anything to do",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.plan(cmd.Context(), detailed) },
	}
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "end with 2 if there is anything to do")
	return cmd
}

func (a *app) plan(ctx context.Context, detailed bool) error {
	w, err := a.openWorks(ctx, worksOptions{usual: slog.LevelWarn, looks: true})
	if err != nil {
		return err
	}
	defer w.Close()
	plan, rev, err := w.agent.Plan(ctx)
	if err != nil {
		return err
	}
	r := newPlanReport(plan, rev)
	if err := a.emit(r, r.write); err != nil {
		return err
	}
	if detailed && len(r.Actions)+len(r.Held)+r.Waiting > 0 {
		return errChanges
	}
	return nil
}

func newPlanReport(p *apply.Plan, rev *gitsource.Revision) *planReport {
	r := &planReport{
		Revision: rev.ID(), Role: p.Role.String(), Actions: []actionLine{}, Held: []actionLine{}, HeldWhy: p.HeldWhy,
		Entries: p.Entries, InSync: p.InSync, Waiting: p.Waiting, Drift: p.Drift, Foreign: p.Foreign,
		Stopped: p.Stopped, Problems: map[string]string{},
	}
	for _, a := range p.Actions {
		r.Actions = append(r.Actions, newActionLine(a))
		switch a.Kind {
		case apply.Add:
			r.Fetch += a.Bytes
		case apply.Move, apply.Copy, apply.Restore, apply.Adopt:
			r.Reuse += a.Bytes
		case apply.Prune:
			r.Free += a.Bytes
		}
	}
	for _, a := range p.Held {
		r.Held = append(r.Held, newActionLine(a))
	}
	for key, why := range p.Problems {
		r.Problems[key.String()] = why
	}
	return r
}

func (r *planReport) write(w io.Writer) {
	for _, group := range []struct {
		prefix string
		lines  []actionLine
	}{{"", r.Actions}, {"held: ", r.Held}} {
		for i, l := range group.lines {
			if i == maxShownLines {
				fmt.Fprintf(w, "%s... and %s more (-o json shows all)\n", group.prefix, comma(len(group.lines)-i))
				break
			}
			fmt.Fprintln(w, group.prefix+l.String())
		}
	}
	for _, tree := range sortedKeys(r.Stopped) {
		fmt.Fprintf(w, "stopped: tree %s: %s\n", tree, r.Stopped[tree])
	}
	if notMounted(r.Stopped) {
		fmt.Fprintf(w, "hint: %s\n", mountHint)
	}
	for _, name := range sortedKeys(r.Problems) {
		fmt.Fprintf(w, "problem: %s: %s\n", shown(name), r.Problems[name])
	}
	if r.HeldWhy != "" {
		fmt.Fprintf(w, "held: %s\nhint: seedtree approve %.12s   (at every site) or seedtree sync --allow-prune %.12s   (here)\n", r.HeldWhy, r.Revision, r.Revision)
	}
	fmt.Fprintf(w, "%s at %.12s: %s of %s entries in sync, %s actions, %s being fetched, %s held\n", r.Role, r.Revision,
		comma(r.InSync), comma(r.Entries), comma(len(r.Actions)), comma(r.Waiting), comma(len(r.Held)))
	fmt.Fprintf(w, "to fetch %s, to reuse %s, to free %s; %s files are not ours and stay\n", bytesText(r.Fetch), bytesText(r.Reuse), bytesText(r.Free), comma(r.Foreign))
}
