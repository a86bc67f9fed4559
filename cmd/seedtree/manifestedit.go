package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"seedtree/gitsource"
	"seedtree/manifests"
)

// commitReport is what a verb that commits to the catalog prints.
type commitReport struct {
	Parent   string       `json:"parent"`
	Revision string       `json:"revision,omitempty"`
	Message  string       `json:"message,omitempty"`
	Manifest []string     `json:"manifest,omitempty"` // changed lines of manifest.yaml
	Changes  []changeLine `json:"changes,omitempty"`
	Notes    []string     `json:"notes,omitempty"`

	idle string // what to say when nothing was committed; "" for the usual
}

// edit turns a manifest into the next one; nil means nothing to do.
type edit func(ctx context.Context, head *gitsource.Revision, m *manifests.Manifest, data []byte) ([]byte, error)

// editManifest runs an edit on the newest head, shows what it changes, commits
// and pushes it.
func (a *app) editManifest(ctx context.Context, src *gitsource.Source, message string, edit edit) (*commitReport, error) {
	rep := &commitReport{}
	next, err := commitOnto(ctx, src, func(ctx context.Context, head *gitsource.Revision) (*gitsource.Commit, error) {
		rep.Parent = head.ID()
		data, err := head.ManifestBytes(ctx)
		if err != nil {
			return nil, err
		}
		m, err := manifests.ParseManifest(data)
		if err != nil {
			return nil, err
		}
		after, err := edit(ctx, head, m, data)
		if err != nil || after == nil || bytes.Equal(after, data) {
			return nil, err
		}
		if _, err := manifests.ParseManifest(after); err != nil {
			return nil, fmt.Errorf("the manifest after this edit: %w", err)
		}
		if err := src.CanCommit(ctx, head, true); err != nil {
			return nil, err // before it looks as if it were done
		}
		rep.Manifest = lineDiff(data, after)
		a.showLines(rep.Manifest)
		return manifestCommit(message, after), nil
	})
	if next != nil && err == nil {
		rep.Revision, rep.Message = next.ID(), message
	}
	return rep, err
}

// manifestCommit is a commit that changes the manifest and nothing else.
func manifestCommit(message string, data []byte) *gitsource.Commit {
	return &gitsource.Commit{Message: message, Put: []gitsource.File{{Name: manifestName, Data: data}}}
}

// manifestName is the manifest's place in the catalog.
const manifestName = "manifest.yaml"

// showLines shows a manifest's changed lines to people; data output has them too.
func (a *app) showLines(lines []string) {
	if a.output == "json" {
		return
	}
	for _, l := range lines {
		fmt.Fprintln(a.std.out, l)
	}
}

func (r *commitReport) write(w io.Writer) {
	for _, n := range r.Notes {
		fmt.Fprintln(w, n)
	}
	if r.Revision == "" {
		fmt.Fprintln(w, cmp.Or(r.idle, "nothing to change"))
		return
	}
	subject, _, _ := strings.Cut(r.Message, "\n")
	fmt.Fprintf(w, "committed %.12s: %s\n", r.Revision, subject)
}

// lineDiff lists the lines that went and came. The tool's edits touch one
// place, so cutting the common beginning and end is all the diffing needed.
func lineDiff(before, after []byte) []string {
	b, a := strings.Split(string(before), "\n"), strings.Split(string(after), "\n")
	for len(b) > 0 && len(a) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(b) > 0 && len(a) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	var lines []string
	for _, l := range b {
		lines = append(lines, "- "+l)
	}
	for _, l := range a {
		lines = append(lines, "+ "+l)
	}
	return slices.Clip(lines)
}
