package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"seedtree/builder"
	"seedtree/gitsource"
	"seedtree/internal/pulse"
	"seedtree/manifests"
)

// buildFlags are what `seedtree build` is told.
type buildFlags struct {
	dryRun, rehash, allowRemovals, asIs bool
	accept, explain                     []string
}

// buildReport is what one build did.
type buildReport struct {
	Parent      string       `json:"parent"`
	Revision    string       `json:"revision,omitempty"` // "" when nothing was committed
	Counts      diffCounts   `json:"counts"`
	Copied      int          `json:"copied"`  // of the added ones
	Changes     []changeLine `json:"changes"` // made by list: there can be millions
	Entries     int          `json:"entries"`
	Bytes       int64        `json:"bytes"`
	HashedFiles int          `json:"hashedFiles"`
	HashedBytes int64        `json:"hashedBytes"`
	// Resumed was not read: a build had that was interrupted, or a dry run.
	ResumedFiles int               `json:"resumedFiles,omitempty"`
	ResumedBytes int64             `json:"resumedBytes,omitempty"`
	Skipped      map[string]string `json:"skipped,omitempty"`
	Warnings     map[string]string `json:"warnings,omitempty"`
	Failed       map[string]string `json:"failed,omitempty"`
	Suspected    []suspectFile     `json:"suspected,omitempty"`
	Seconds      float64           `json:"seconds"`
	drives       bool              // that are not mounted are among the failed
	diff         manifests.Diff
	copies       map[manifests.Content]string // of what was listed before: where
}

func (a *app) buildCommand() *cobra.Command {
	var flags buildFlags
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Commit what main's source folders hold",
		Long: `Scans the source folders of this site, hashes what is new or changed, and commits
one .torrent per file to the catalog. Only main builds. Files whose length and
modification time are as committed are not read again; --rehash reads them all, and
takes one whose bytes differ all the same for rotten: it is named, and what is listed
of it stays until its bytes are good again or are accepted with --accept. More removals than the
manifest's limit stop the build: an unmounted drive looks just like that. So does a
rollback, or another commit that this site did not make, while the source does not
follow it: the build would undo it.`,
		Example: `  seedtree build --dry-run     show what would be committed
  seedtree build
  seedtree build --rehash                       look for rot
  seedtree build --accept photos/2019/a.jpg     these bytes are meant
  seedtree build --explain photos/2019/a.tmp    why is it not listed?`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(flags.explain) > 0 {
				return a.explain(cmd.Context(), flags.explain)
			}
			return a.build(cmd.Context(), flags)
		},
	}
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "show the changes, commit nothing")
	cmd.Flags().BoolVar(&flags.rehash, "rehash", false, "read every file again, and report those that look rotten (exit 7)")
	cmd.Flags().StringArrayVar(&flags.accept, "accept", nil, "commit the bytes of a listed `tree/path`, file or directory, as they are (repeatable)")
	cmd.Flags().StringArrayVar(&flags.explain, "explain", nil, "show what a build makes of a `path` and which ignore rule decided, and build nothing (repeatable)")
	cmd.Flags().BoolVar(&flags.allowRemovals, "allow-removals", false, "commit even if more files disappeared than the manifest's limit allows")
	cmd.Flags().BoolVar(&flags.asIs, "as-is", false, "commit the source as it is, even if that undoes what others committed")
	for _, other := range []string{"dry-run", "rehash", "accept", "allow-removals", "as-is"} {
		cmd.MarkFlagsMutuallyExclusive("explain", other)
	}
	return cmd
}

func (a *app) build(ctx context.Context, flags buildFlags) error {
	cfg, err := a.site(needSite, needCatalog, needTrees)
	if err != nil {
		return err
	}
	src, err := a.openSource(cfg)
	if err != nil {
		return err
	}
	defer src.Close()
	bar := a.progress("hashing")
	b := newBuild(cfg, src, a.logger(slog.LevelWarn))
	b.flags, b.progress, b.memory.on = flags, bar.update, true
	err = b.run(ctx)
	b.memory.end()
	bar.done()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return b.interrupted()
	}
	if err != nil && !errors.Is(err, errPartial) {
		return err
	}
	if b.report.Revision != "" {
		a.wake(cfg)
	}
	b.report.list(flags.dryRun || a.output == "json")
	return errors.Join(err, a.emit(b.report, func(w io.Writer) { b.report.write(w, flags.dryRun) }))
}

// build is one run of the builder between a fetch and a push. The agent and
// the verb share it.
type build struct {
	site     string
	trees    map[string]string
	state    string
	src      *gitsource.Source
	log      *slog.Logger
	flags    buildFlags
	progress func(builder.Progress)
	store    func([]byte) (builder.Ref, error) // takes .torrents as they are made
	journal  *builder.Journal
	hashed   builder.Progress // how far it came
	mounts   []manifests.Key  // where drives are mounted in the sources
	memory   collector
	listing  *manifests.Listing // that was committed
	changed  int                // entries in which it differs from the one before
	report   buildReport
}

func newBuild(cfg *Config, src *gitsource.Source, log *slog.Logger) *build {
	return &build{site: cfg.Site, trees: cfg.Trees, state: cfg.State, src: src, log: log, store: forget}
}

// forget is the store of a build that will not be committed.
func forget([]byte) (builder.Ref, error) { return builder.Ref{1}, nil }

func (b *build) run(ctx context.Context) error {
	begun := time.Now()
	batch := &lazyBatch{src: b.src}
	defer batch.Close()
	if !b.flags.dryRun {
		b.store = func(data []byte) (builder.Ref, error) { return batch.store(ctx, data) }
	}
	b.journal = builder.OpenJournal(b.journalPath(), b.site, b.trees)
	next, err := commitWith(ctx, b.src, batch.commit, b.onto)
	b.settle(err == nil && (b.flags.rehash || !b.flags.dryRun))
	if err != nil {
		return err
	}
	if next != nil {
		b.report.Revision = next.ID()
		if err := next.Remember(ctx, b.listing, b.changed); err != nil {
			b.log.Warn("the listing has to be read anew", "revision", next.Short(), "err", err)
		}
	}
	if !b.flags.dryRun {
		b.remember()
	}
	b.report.Seconds = time.Since(begun).Seconds()
	return errors.Join(b.report.failed(), b.report.rotten())
}

// onto builds on top of one head. It asks anew whether this site is main: in
// a lost race the winner may have named another.
func (b *build) onto(ctx context.Context, head *gitsource.Revision) (*gitsource.Commit, error) {
	m, err := head.Manifest(ctx)
	if err != nil {
		return nil, err
	}
	if err := notMain(m, b.site); err != nil {
		return nil, withHint(err, "seedtree promote %s", b.site)
	}
	if !b.flags.dryRun {
		// Hours of hashing should not end at a key that nobody trusts.
		if err := b.src.CanCommit(ctx, head, false); err != nil {
			return nil, err
		}
	}
	previous, err := head.Listing(ctx)
	if err != nil {
		return nil, err
	}
	accept, err := parseAccept(b.flags.accept, m)
	if err != nil {
		return nil, err
	}
	mounts, err := loadMounts(b.state)
	if err != nil {
		return nil, err
	}
	pulse.Step(ctx, "scanning and hashing the source")
	res, err := builder.Build(ctx, builder.Options{
		Site: b.site, Trees: b.trees, Manifest: m, Previous: previous, Metainfo: head.Metainfo,
		Rehash: b.flags.rehash, AllowRemovals: b.flags.allowRemovals, Progress: b.progressed, Store: b.store,
		Journal: b.journal, Accept: accept, Mounts: mounts,
	})
	if res != nil {
		// Before the limit: what it would advise is to undo the others' work.
		if err := b.guard(ctx, head, previous, res.Listing); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	b.note(head, res)
	b.mounts = res.Mounts
	b.report.markCopies(previous)
	if b.report.Suspected, err = suspected(ctx, b.src, head, m, previous, res.Suspects); err != nil {
		return nil, err
	}
	if b.flags.dryRun || res.Put.Len()+len(res.Delete) == 0 {
		return nil, nil
	}
	b.listing, b.changed = res.Listing, res.Put.Len()+len(res.Delete)
	return toCommit(b.site, res), nil
}

// notMain is the error of a site that acts as main and is not; nil for main.
func notMain(m *manifests.Manifest, site string) error {
	if m.Main == site {
		return nil
	}
	return fmt.Errorf("%w: the catalog names %s", errNotMain, m.Main)
}

// note keeps what is told afterwards; a retry starts it afresh, but what was
// hashed stays hashed.
func (b *build) note(head *gitsource.Revision, res *builder.Result) {
	hashed, hashedBytes := b.report.HashedFiles, b.report.HashedBytes
	b.report = buildReport{
		Parent: head.ID(), Counts: countDiff(res.Diff), diff: res.Diff,
		Entries: res.Listing.Len(), Bytes: res.Listing.Bytes(),
		HashedFiles: hashed + res.HashedFiles, HashedBytes: hashedBytes + res.HashedBytes,
		ResumedFiles: max(res.ResumedFiles-hashed, 0), ResumedBytes: max(res.ResumedBytes-hashedBytes, 0),
		Skipped: map[string]string{}, Warnings: map[string]string{}, Failed: map[string]string{},
	}
	for _, s := range res.Warnings {
		b.report.Warnings[s.Key.String()] = s.Reason
	}
	for _, s := range res.Skipped {
		b.report.Skipped[s.Key.String()] = s.Reason
	}
	for _, f := range res.Failed {
		b.report.Failed[f.Key.String()] = f.Err.Error()
		b.report.drives = b.report.drives || errors.Is(f, builder.ErrUnmounted) || errors.Is(f, builder.ErrEmptyMount)
	}
}

// buildMessage is the commit message: counts, then a few names, so that
// `git log` can be read without tools.
func buildMessage(site string, d manifests.Diff) string {
	const some = 10
	msg := fmt.Sprintf("Build at %s: %s\n", site, countDiff(d))
	for i, l := range changeLines(few(d, some+1)) {
		if i == some {
			return msg + "\n..."
		}
		l.Bytes = 0
		msg += "\n" + l.String()
	}
	return msg
}

// few is the first of every kind of change.
func few(d manifests.Diff, n int) manifests.Diff {
	return manifests.Diff{Added: head(d.Added, n), Changed: head(d.Changed, n), Renamed: head(d.Renamed, n), Removed: head(d.Removed, n)}
}

func head[E any](s []E, n int) []E { return s[:min(n, len(s))] }

// failed names what could not be read.
func (r *buildReport) failed() error {
	if len(r.Failed) == 0 {
		return nil
	}
	err := fmt.Errorf("%w: %s could not be read and keep their previous entries%s", errPartial, comma(len(r.Failed)), named(r.Failed))
	if r.drives {
		return withHint(err, "mount the drive; if it is gone for good: remove its folder, or look at seedtree build --dry-run --allow-removals, then build without --dry-run")
	}
	return err
}
