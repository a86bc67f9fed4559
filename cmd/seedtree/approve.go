package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"seedtree/gitsource"
	"seedtree/manifests"
)

func (a *app) approveCommand() *cobra.Command {
	var since string
	cmd := &cobra.Command{
		Use:   "approve REV",
		Short: "Release removals that sites hold back",
		Long: `Shows what disappears with REV and commits that it was looked at: every site then
removes those files (into its trash) although they are more than the limit.`,
		Example: "  seedtree approve HEAD",
		Args:    theArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.approve(cmd.Context(), args[0], since)
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "show removals since this `revision` (default: the oldest that a site has applied)")
	return cmd
}

func (a *app) approve(ctx context.Context, rev, since string) error {
	s, err := a.begin(ctx, needCatalog)
	if err != nil {
		return err
	}
	cfg, src := s.cfg, s.src
	defer src.Close()
	target, err := src.Revision(ctx, rev)
	if err != nil {
		return err
	}
	removed, from, err := removals(ctx, src, target, since)
	if err != nil {
		return err
	}
	lines := changeLines(manifests.Diff{Removed: removed})
	if a.output == "text" {
		writeLines(a.std.out, lines)
	}
	rep, err := a.editManifest(ctx, src, "Approve the removals of "+target.Short(),
		func(_ context.Context, _ *gitsource.Revision, m *manifests.Manifest, data []byte) ([]byte, error) {
			if m.Prune.Approved == target.ID() {
				return nil, nil
			}
			return manifests.SetApproved(data, target.ID())
		})
	if err != nil {
		return err
	}
	if rep.Revision != "" {
		a.wake(cfg)
	}
	rep.Changes = lines
	rep.Notes = append(rep.Notes, fmt.Sprintf("%s go between %s and %s", entries(len(removed)), from, target.Short()))
	return a.emit(rep, func(w io.Writer) { rep.write(w) })
}

// removals lists what disappears with a revision, compared with the oldest
// revision that a site still shows.
func removals(ctx context.Context, src *gitsource.Source, target *gitsource.Revision, since string) ([]manifests.Entry, string, error) {
	base, err := approvalBase(ctx, src, target, since)
	if err != nil {
		return nil, "", err
	}
	if base == nil {
		return nil, "nothing applied", nil
	}
	before, err := base.Listing(ctx)
	if err != nil {
		return nil, "", err
	}
	after, err := target.Listing(ctx)
	if err != nil {
		return nil, "", err
	}
	return before.Diff(after).Removed, base.Short(), nil
}

// approvalBase chooses the revision to compare with: the one asked for, else
// the oldest one applied somewhere, else the parent.
func approvalBase(ctx context.Context, src *gitsource.Source, target *gitsource.Revision, since string) (*gitsource.Revision, error) {
	if since != "" {
		return src.Revision(ctx, since)
	}
	statuses, err := src.Statuses(ctx)
	if err != nil {
		return nil, err
	}
	var applied []string
	for _, data := range statuses {
		// An unreadable status is that site's trouble; status shows it.
		if s, err := manifests.DecodeStatus(data); err == nil && s.Applied != "" {
			applied = append(applied, s.Applied)
		}
	}
	log, err := src.Log(ctx, target.ID(), logDepth)
	if err != nil {
		return nil, err
	}
	for _, r := range slices.Backward(log) {
		if slices.Contains(applied, r.ID()) {
			return r, nil
		}
	}
	if len(target.Parents) == 0 {
		return nil, nil
	}
	return src.Revision(ctx, target.Parents[0])
}

// logDepth is how far back applied revisions are looked for.
const logDepth = 1000
