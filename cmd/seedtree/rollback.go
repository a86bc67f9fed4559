package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"seedtree/gitsource"
	"seedtree/manifests"
)

// rollbackFlags are what `seedtree rollback` is told.
type rollbackFlags struct {
	manifest, dryRun, restoreSource bool
}

func (a *app) rollbackCommand() *cobra.Command {
	var flags rollbackFlags
	cmd := &cobra.Command{
		Use:   "rollback REV",
		Short: "Make the catalog list again what it listed at REV",
		Long: `Commits the listing as of REV on top of the head; history stays. Followers take what
comes back from their trash, so within its retention no bytes travel. The manifest,
and so main, stays as it is unless --manifest is given.

Main's own source is never changed unasked, and its builds stop while they would undo
the rollback. --restore-source, at main, lets the source follow the catalog once: what
it lacks comes from the other sites, what it has beyond REV goes to its trash (files
that were never committed stay), and when nothing is missing it is the source again.
If the catalog lists REV already, after a git revert say, nothing is committed.`,
		Example: `  seedtree rollback HEAD~1 --dry-run
  seedtree rollback HEAD~1 --restore-source   at main
  seedtree rollback HEAD~1`,
		Args: theArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.rollback(cmd.Context(), args[0], flags)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&flags.manifest, "manifest", false, "restore manifest.yaml as of REV too, main included")
	f.BoolVar(&flags.dryRun, "dry-run", false, "show the changes, commit nothing")
	f.BoolVar(&flags.restoreSource, "restore-source", false, "at main: make the source folders follow as well")
	cmd.MarkFlagsMutuallyExclusive("manifest", "restore-source")
	return cmd
}

func (a *app) rollback(ctx context.Context, rev string, flags rollbackFlags) error {
	needs := []need{needCatalog}
	if flags.restoreSource {
		needs = append(needs, needSite, needTrees)
	}
	s, err := a.begin(ctx, needs...)
	if err != nil {
		return err
	}
	cfg, src, head := s.cfg, s.src, s.head
	defer src.Close()
	// Named once: HEAD~1 must not move on while a push is retried.
	target, err := src.Revision(ctx, rev)
	if err != nil {
		return err
	}
	if err := inHistory(ctx, head, target); err != nil {
		return err
	}
	rep := &commitReport{}
	var back *comeback
	if flags.restoreSource {
		if back, err = a.openComeback(ctx, cfg, src, head, target); err != nil {
			return err
		}
	}
	next, err := commitOnto(ctx, src, func(ctx context.Context, head *gitsource.Revision) (*gitsource.Commit, error) {
		*rep = commitReport{Parent: head.ID(), Message: "Roll back to " + target.Short()}
		c, err := rep.restore(ctx, head, target, cfg, flags)
		if err != nil || len(c.Put)+len(c.Delete) == 0 || flags.dryRun {
			return nil, err
		}
		return c, nil
	})
	if err != nil {
		return err
	}
	if next != nil {
		rep.Revision = next.ID()
	}
	if flags.dryRun && len(rep.Changes)+len(rep.Manifest) > 0 {
		rep.idle = "nothing was committed"
	}
	if back != nil {
		if err := back.begin(rep, flags.dryRun); err != nil {
			return err
		}
	}
	if rep.Revision != "" || back != nil && !flags.dryRun {
		a.wake(cfg) // only now: the pass is to find the source given up
	}
	return a.emit(rep, rep.writeAll)
}

// inHistory refuses a revision that the catalog never stood at. The mirror has more
// than the branch's history: a head that was refused, or one that was given up. An
// operator's signature would make their content good.
func inHistory(ctx context.Context, head, target *gitsource.Revision) error {
	in, err := head.Descends(ctx, target)
	if err == nil && !in {
		err = withHint(fmt.Errorf("revision %s is not in the history of the catalog's head %s: it was never taken over, or was given up", target.ID(), head.ID()),
			"git log names the revisions that are")
	}
	return err
}

// writeAll tells what goes and comes, down to the manifest's lines.
func (r *commitReport) writeAll(w io.Writer) {
	writeLines(w, r.Changes)
	for _, l := range r.Manifest {
		fmt.Fprintln(w, l)
	}
	r.write(w)
}

// restore makes the commit that turns head's listing into target's.
func (r *commitReport) restore(ctx context.Context, head, target *gitsource.Revision, cfg *Config, flags rollbackFlags) (*gitsource.Commit, error) {
	now, err := head.Listing(ctx)
	if err != nil {
		return nil, err
	}
	then, err := target.Listing(ctx)
	if err != nil {
		return nil, err
	}
	m, err := head.Manifest(ctx)
	if err != nil {
		return nil, err
	}
	diff := now.Diff(then)
	r.Changes = changeLines(diff)
	c := &gitsource.Commit{Message: r.Message + "\n\n" + countDiff(diff).String()}
	if err := putListing(ctx, c, now, then, target); err != nil {
		return nil, err
	}
	if lost := diff.Lost(then); !m.Prune.Limit.Allows(lost, now.Len()) {
		r.Notes = append(r.Notes, fmt.Sprintf("%s files go, more than the limit: sites hold these removals until they are approved (seedtree approve REV)", comma(lost)))
	}
	if flags.restoreSource {
		return c, notMain(m, cfg.Site)
	}
	r.noteSource(cfg, m, target, diff)
	if !flags.manifest {
		return c, nil
	}
	before, err := head.ManifestBytes(ctx)
	if err != nil {
		return nil, err
	}
	after, err := target.ManifestBytes(ctx)
	if err != nil {
		return nil, err
	}
	if r.Manifest = lineDiff(before, after); len(r.Manifest) > 0 {
		c.Put = append(c.Put, gitsource.File{Name: manifestName, Data: after})
	}
	return c, nil
}

// putListing enters into a commit what turns one listing into another.
func putListing(ctx context.Context, c *gitsource.Commit, now, then *manifests.Listing, target *gitsource.Revision) error {
	for e := range then.All() {
		if old, ok := now.Get(e.Key()); ok && old.Equal(e) {
			continue
		}
		f, err := entryFile(ctx, target, e)
		if err != nil {
			return err
		}
		c.Put = append(c.Put, f)
	}
	for e := range now.All() {
		// The kind is part of a catalog name, so a changed kind is a removal too.
		if next, ok := then.Get(e.Key()); !ok || next.Kind != e.Kind {
			c.Delete = append(c.Delete, manifests.CatalogName(e))
		}
	}
	return nil
}

// entryFile is the catalog file of one entry of a revision.
func entryFile(ctx context.Context, rev *gitsource.Revision, e manifests.Entry) (gitsource.File, error) {
	f := gitsource.File{Name: manifests.CatalogName(e), Mode: gitsource.Regular}
	if e.Executable {
		f.Mode = gitsource.Executable
	}
	switch e.Kind {
	case manifests.Symlink:
		f.Mode, f.Data = gitsource.Symlink, []byte(e.Target)
	case manifests.Regular:
		data, err := rev.Metainfo(ctx, e)
		if err != nil {
			return f, err
		}
		f.Data = data
	}
	return f, nil
}
