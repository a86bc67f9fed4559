package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seedtree/apply"
	"seedtree/manifests"
)

// trashLine is one item as `seedtree trash list` prints it.
type trashLine struct {
	ID      string    `json:"id"` // what restore takes
	Path    string    `json:"path"`
	Bytes   int64     `json:"bytes"`
	Trashed time.Time `json:"trashed"`
	Reason  string    `json:"reason,omitempty"`
	item    apply.TrashItem
}

func (a *app) trashCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trash",
		Short: "List, restore or destroy what this site removed",
		Long: `What the agent removes or replaces lies in .seedtree/trash of its tree until the
manifest's prune.trash has passed. A rollback finds its bytes there by itself.`,
		Example: "  seedtree trash list\n  seedtree trash restore photos/2019/a.jpg\n  seedtree trash empty --older-than 10d",
	}
	list := &cobra.Command{
		Use: "list", Short: "List the trash, newest first", Args: noArgs,
		Example: "  seedtree trash list -o json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.trashList(cmd.Context()) },
	}
	restore := &cobra.Command{
		Use: "restore TREE/PATH[@TIME]...", Short: "Put items back to where they stood", Args: someArgs,
		Long: `Puts the newest trashed version of each path back, or that of TIME as list shows it.
Never overwrites. What the catalog does not list is left alone from then on.`,
		Example: "  seedtree trash restore photos/2019/a.jpg",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.trashRestore(cmd.Context(), args) },
	}
	var older time.Duration
	var all bool
	empty := &cobra.Command{
		Use: "empty", Short: "Destroy trash for good", Args: noArgs,
		Example: "  seedtree trash empty --older-than 10d",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if all == (older > 0) {
				return withHint(errors.New("say what to destroy"), "seedtree trash empty --older-than 10d, or --all")
			}
			return a.trashEmpty(cmd.Context(), older)
		},
	}
	empty.Flags().Var(daysFlag{&older}, "older-than", "only what was removed longer than this `duration` ago")
	empty.Flags().BoolVar(&all, "all", false, "everything")
	return group(cmd, list, restore, empty)
}

// trashSite opens the file side of this site alone.
func (a *app) trashSite() (*apply.Site, error) {
	cfg, err := a.site(needSite, needTrees)
	if err != nil {
		return nil, err
	}
	return openSite(cfg, noEngine{}, a.logger(slog.LevelWarn))
}

// trashLines reads the trash. What could be read comes along with an error.
func trashLines(ctx context.Context, site *apply.Site) ([]trashLine, error) {
	items, err := site.Trash(ctx)
	lines := []trashLine{}
	for _, i := range items {
		path := manifests.Key{Tree: i.Tree, Path: i.Path}.String()
		lines = append(lines, trashLine{ID: path + "@" + i.Folder, Path: path, Bytes: i.Length, Trashed: i.Trashed, Reason: i.Reason, item: i})
	}
	return lines, err
}

func (a *app) trashList(ctx context.Context) error {
	site, err := a.trashSite()
	if err != nil {
		return err
	}
	defer site.Close()
	lines, err := trashLines(ctx, site)
	return errors.Join(err, a.emit(lines, func(w io.Writer) {
		if len(lines) == 0 && err == nil {
			fmt.Fprintln(w, "the trash is empty")
			return
		}
		t := table{head: []string{"TRASHED", "BYTES", "ITEM", "REASON"}, right: map[int]bool{1: true}}
		for _, l := range lines {
			t.add(ago(l.Trashed), bytesText(l.Bytes), shown(l.ID), l.Reason)
		}
		t.write(w)
	}))
}

func (a *app) trashRestore(ctx context.Context, names []string) error {
	site, err := a.trashSite()
	if err != nil {
		return err
	}
	defer site.Close()
	lines, listErr := trashLines(ctx, site)
	var chosen []trashLine
	for _, name := range names {
		l, err := chooseTrash(lines, name)
		if err != nil {
			return errors.Join(err, listErr)
		}
		chosen = append(chosen, l)
	}
	var errs []error
	done := []trashLine{}
	for _, l := range chosen {
		if err := site.RestoreTrash(l.item); err != nil {
			errs = append(errs, err)
			continue
		}
		done = append(done, l)
	}
	err = errors.Join(errs...)
	if err != nil && len(done) > 0 {
		err = fmt.Errorf("%w\n%w", errPartial, err)
	}
	return errors.Join(err, a.emit(done, func(w io.Writer) {
		for _, l := range done {
			fmt.Fprintf(w, "restored %s\n", shown(l.Path))
		}
	}))
}

// chooseTrash finds the newest item at a path, or the one its id names.
func chooseTrash(lines []trashLine, name string) (trashLine, error) {
	for _, l := range lines {
		if l.ID == name || l.Path == name {
			return l, nil
		}
	}
	for _, l := range lines {
		if strings.HasPrefix(l.ID, name) && strings.Contains(name, "@") {
			return l, nil
		}
	}
	return trashLine{}, withHint(fmt.Errorf("nothing in the trash is called %s", shown(name)), "seedtree trash list")
}

func (a *app) trashEmpty(ctx context.Context, older time.Duration) error {
	site, err := a.trashSite()
	if err != nil {
		return err
	}
	defer site.Close()
	n, err := site.EmptyTrash(ctx, older)
	return errors.Join(err, a.emit(map[string]int{"folders": n}, func(w io.Writer) {
		fmt.Fprintf(w, "%s folders destroyed\n", comma(n))
	}))
}
