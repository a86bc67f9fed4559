package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seedtree/gitsource"
	"seedtree/manifests"
)

// fleet is what `seedtree status` prints.
type fleet struct {
	Head   string `json:"head"`
	Remote string `json:"remote"` // the one of catalog.urls that answered
	// PassedOver are those before it that answered and were refused.
	PassedOver []gitsource.PassedOver `json:"passedOver,omitempty"`
	Time       time.Time              `json:"time"`
	Main       string                 `json:"main"`
	Copies     int                    `json:"copies"` // sites that hold everything at the head
	Sites      []siteState            `json:"sites"`
}

// siteState is one row: what a site reported, if it did.
type siteState struct {
	Site     string            `json:"site"`
	Role     string            `json:"role"`
	Current  bool              `json:"current"` // complete at the head
	Reported *manifests.Status `json:"reported,omitempty"`
	Error    string            `json:"error,omitempty"`
}

func (a *app) statusCommand() *cobra.Command {
	var only string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show every site: role, revision, what is missing",
		Long: `Reads the catalog's head and the status branches that agents push. A site that may
not push, or has report: none, shows as never reported. Below the first line stands
which of catalog.urls answered here; --site shows which one answered there.`,
		Example: "  seedtree status\n  seedtree status --site lima -o json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.status(cmd.Context(), only) },
	}
	cmd.Flags().StringVar(&only, "site", "", "show one `site`, with its errors and what it misses")
	return cmd
}

func (a *app) status(ctx context.Context, only string) error {
	s, err := a.begin(ctx, needCatalog)
	if err != nil {
		return err
	}
	defer s.src.Close()
	m, err := s.head.Manifest(ctx)
	if err != nil {
		return err
	}
	reported, err := s.src.Statuses(ctx)
	if err != nil {
		return err
	}
	f := newFleet(s.head.ID(), s.head.Time, m, reported)
	f.Remote, f.PassedOver = s.src.URL(), s.src.PassedOver()
	if only != "" {
		f.Sites = slices.DeleteFunc(f.Sites, func(s siteState) bool { return s.Site != only })
		if len(f.Sites) == 0 {
			return fmt.Errorf("site %s is neither in the manifest nor has it reported; the manifest has %s", only, strings.Join(sortedKeys(m.Sites), ", "))
		}
	}
	return a.emit(f, func(w io.Writer) {
		f.write(w)
		if only != "" {
			f.Sites[0].detail(w)
		}
	})
}

// newFleet joins the sites of the manifest with those that reported.
func newFleet(head string, at time.Time, m *manifests.Manifest, reported map[string][]byte) *fleet {
	f := &fleet{Head: head, Time: at, Main: m.Main}
	names := sortedKeys(m.Sites)
	for _, name := range sortedKeys(reported) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		row := siteState{Site: name, Role: "follower"}
		if name == m.Main {
			row.Role = "main"
		}
		if data, ok := reported[name]; ok {
			s, err := manifests.DecodeStatus(data)
			if err != nil {
				row.Error = err.Error()
			} else {
				row.Reported, row.Role = &s, s.Role
				row.Current = s.Complete == head
			}
		}
		spec := m.Sites[name]
		if row.Current && len(spec.Include)+len(spec.Exclude) == 0 {
			f.Copies++
		}
		f.Sites = append(f.Sites, row)
	}
	return f
}

func (f *fleet) write(w io.Writer) {
	fmt.Fprintf(w, "catalog %.12s, committed %s; main is %s; every file is at %d or more sites\nfrom %s\n", f.Head, ago(f.Time), f.Main, f.Copies, shown(f.Remote))
	for _, p := range f.PassedOver {
		fmt.Fprintf(w, "not from %s: %s\n", shown(p.Remote), shown(p.Reason))
	}
	fmt.Fprintln(w)
	t := table{head: []string{"SITE", "ROLE", "COMPLETE AT", "BYTES", "MISSING", "HELD", "ERRORS", "SEEN"}, right: map[int]bool{3: true, 4: true, 5: true, 6: true}}
	for _, s := range f.Sites {
		switch r := s.Reported; {
		case s.Error != "":
			t.add(s.Site, s.Role, "unreadable status", "", "", "", "", "")
		case r == nil:
			t.add(s.Site, s.Role, "never reported", "", "", "", "", "")
		default:
			at := orNone(r.Complete)
			if s.Current {
				at = "head"
			}
			t.add(s.Site, s.Role, at, percent(r.Bytes.Have, r.Bytes.Listed), comma(r.Entries.Missing), comma(r.Entries.Held), comma(len(r.Errors)), ago(r.Time))
		}
	}
	t.write(w)
}

func (s siteState) detail(w io.Writer) {
	if s.Error != "" {
		fmt.Fprintf(w, "\nerror: %s\n", harmless(s.Error))
	}
	if s.Reported == nil {
		return
	}
	if s.Reported.Remote != "" {
		fmt.Fprintf(w, "\ncatalog: %s\n", shown(s.Reported.Remote))
	}
	for _, e := range s.Reported.Errors {
		fmt.Fprintf(w, "error: %s\n", shown(e))
	}
	for _, name := range s.Reported.MissingSample {
		fmt.Fprintf(w, "missing: %s\n", shown(name))
	}
}

// percent rounds down: only everything is 100 %.
func percent(have, total int64) string {
	if total <= 0 {
		return "100 %"
	}
	return fmt.Sprintf("%d %%", int(float64(have)/float64(total)*100))
}
