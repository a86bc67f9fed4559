package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seedtree/gitsource"
	"seedtree/manifests"
)

func (a *app) promoteCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "promote SITE",
		Short: "Make another site main",
		Long: `Commits a manifest that names SITE as main. Refused unless the site's status says
that it holds every byte of the catalog's head: what a new main lacks would be lost to
all. The old main becomes a follower at its next pass.`,
		Example: "  seedtree promote lima",
		Args:    theArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.promote(cmd.Context(), args[0], force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "name it main even if it lacks files; they come back only if some site still has them")
	return cmd
}

func (a *app) promote(ctx context.Context, site string, force bool) error {
	if err := manifests.ValidSiteName(site); err != nil {
		return err
	}
	cfg, err := a.site(needCatalog)
	if err != nil {
		return err
	}
	src, err := a.openSource(cfg)
	if err != nil {
		return err
	}
	defer src.Close()
	var note string
	rep, err := a.editManifest(ctx, src, "Make "+site+" main",
		func(ctx context.Context, head *gitsource.Revision, m *manifests.Manifest, data []byte) ([]byte, error) {
			if m.Main == site {
				return nil, nil
			}
			note, err = candidate(ctx, src, head, m, site)
			switch {
			case err != nil && !force:
				return nil, withHint(err, "seedtree promote %s --force   (what it lacks is lost unless a site still has it)", site)
			case err != nil:
				note = "forced: " + err.Error()
			}
			if _, listed := m.Sites[site]; !listed {
				if data, err = manifests.AddSite(data, site, manifests.SiteSpec{}); err != nil {
					return nil, err
				}
			}
			return manifests.SetMain(data, site)
		})
	if err != nil {
		return err
	}
	if rep.Revision == "" {
		note = site + " is main already"
	} else {
		a.wake(cfg)
	}
	if note != "" {
		rep.Notes = append(rep.Notes, note)
	}
	return a.emit(rep, rep.write)
}

// candidate checks that a site could act as main without loss, by its own
// status, and says what is known about it.
func candidate(ctx context.Context, src *gitsource.Source, head *gitsource.Revision, m *manifests.Manifest, site string) (string, error) {
	if spec := m.Sites[site]; len(spec.Include)+len(spec.Exclude) > 0 {
		return "", fmt.Errorf("%s is a partial site: everything outside its filters would be taken for removed", site)
	}
	statuses, err := src.Statuses(ctx)
	if err != nil {
		return "", err
	}
	data, ok := statuses[site]
	if _, listed := m.Sites[site]; !ok && !listed {
		return "", fmt.Errorf("%s is not among the sites of the manifest (%s) and has never reported a status",
			site, strings.Join(sortedKeys(m.Sites), ", "))
	}
	if !ok {
		return "", fmt.Errorf("%s has never reported a status, so nobody knows what it holds", site)
	}
	s, err := manifests.DecodeStatus(data)
	if err != nil {
		return "", fmt.Errorf("status of %s: %w", site, err)
	}
	if s.Complete == head.ID() {
		return fmt.Sprintf("%s is complete at %s, reported %s", site, head.Short(), ago(s.Time)), nil
	}
	return "", fmt.Errorf("%s is complete at %s, not at the head %s: %s entries, %s missing there, as it reported %s",
		site, orNone(s.Complete), head.Short(), comma(s.Entries.Missing), bytesText(s.Bytes.Missing), ago(s.Time))
}

func orNone(rev string) string {
	if rev == "" {
		return "no revision"
	}
	return rev[:min(len(rev), 12)]
}

// ago words how long something is past.
func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := time.Since(t)
	switch {
	case d < 0:
		return "in the future, by its clock"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}
