package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"seedtree/builder"
	"seedtree/manifests"
)

// explanation says what a build makes of one place, and which rule decided.
type explanation struct {
	Path  string     `json:"path"`
	State string     `json:"state"`
	Why   string     `json:"why,omitempty"`
	Rule  *ruleFound `json:"rule,omitempty"`
}

// ruleFound is an ignore rule and what it matched.
type ruleFound struct {
	Source  string `json:"source"` // an ignore file as tree/path, or manifest.yaml
	Line    int    `json:"line"`   // in manifest.yaml: which of the tree's rules, from 1
	Pattern string `json:"pattern"`
	Matched string `json:"matched"` // the place, or a directory above it
}

// explain shows what a build would make of some places. It changes nothing.
func (a *app) explain(ctx context.Context, names []string) error {
	s, err := a.begin(ctx, needSite, needCatalog, needTrees)
	if err != nil {
		return err
	}
	defer s.src.Close()
	m, err := s.head.Manifest(ctx)
	if err != nil {
		return err
	}
	listed, err := s.head.Listing(ctx)
	if err != nil {
		return err
	}
	mounts, err := loadMounts(s.cfg.State)
	if err != nil {
		return err
	}
	o := builder.Options{Site: s.cfg.Site, Trees: s.cfg.Trees, Manifest: m, Previous: listed, Mounts: mounts}
	found := []explanation{}
	for _, name := range names {
		k, err := placeNamed(s.cfg, name)
		if err != nil {
			return err
		}
		x, err := builder.Explain(o, k)
		if err != nil {
			return err
		}
		found = append(found, newExplanation(x))
	}
	return a.emit(found, func(w io.Writer) {
		for _, x := range found {
			fmt.Fprintln(w, x)
		}
	})
}

// placeNamed reads tree/path, or an absolute path below the folder of a tree.
func placeNamed(cfg *Config, name string) (manifests.Key, error) {
	tree, path, _ := strings.Cut(strings.TrimRight(name, "/"), "/")
	if filepath.IsAbs(name) {
		tree = ""
		for _, t := range sortedKeys(cfg.Trees) {
			rel, err := filepath.Rel(cfg.Trees[t], filepath.Clean(name))
			if err != nil || !filepath.IsLocal(rel) {
				continue
			}
			if tree == "" || len(cfg.Trees[t]) > len(cfg.Trees[tree]) { // trees may stand in trees
				tree, path = t, filepath.ToSlash(rel)
			}
		}
	}
	if _, ok := cfg.Trees[tree]; !ok {
		var known []string
		for _, t := range sortedKeys(cfg.Trees) {
			known = append(known, t+" ("+cfg.Trees[t]+")")
		}
		return manifests.Key{}, fmt.Errorf("%s: is in no tree of this site; name it tree/path or in full; the trees are %s", shown(name), strings.Join(known, ", "))
	}
	if path == "" || path == "." {
		return manifests.Key{}, fmt.Errorf("%s: is all of tree %s; name a file or a folder in it", shown(name), tree)
	}
	p, err := manifests.ParsePath(path)
	if err != nil {
		return manifests.Key{}, fmt.Errorf("%s: %w", shown(name), err)
	}
	return manifests.Key{Tree: tree, Path: p}, nil
}

func newExplanation(x builder.Explanation) explanation {
	e := explanation{Path: x.Key.String(), State: x.State, Why: x.Why}
	if r := x.Rule; r != nil {
		e.Rule = &ruleFound{Source: r.File, Line: r.Line, Pattern: r.Pattern, Matched: x.Key.Tree + "/" + string(x.At)}
		if r.File == "" {
			e.Rule.Source = "manifest.yaml"
		}
	}
	return e
}

// String puts it in one line: what, and because of what.
func (e explanation) String() string {
	text := shown(e.Path) + ": " + e.State
	if e.Why != "" {
		text += ": " + shown(e.Why)
	}
	if e.Rule == nil {
		return text
	}
	where := fmt.Sprintf("%s line %d", shown(e.Rule.Source), e.Rule.Line)
	if e.Rule.Source == "manifest.yaml" {
		tree, _, _ := strings.Cut(e.Path, "/")
		where = fmt.Sprintf("ignore rule %d of tree %s in manifest.yaml", e.Rule.Line, tree)
	}
	how := "by"
	switch {
	case e.Rule.Matched != e.Path && e.State == builder.StateIgnored:
		how = "with its directory " + shown(e.Rule.Matched) + " by"
	case e.State != builder.StateIgnored:
		how = "; not ignored because of"
	}
	return text + strings.Replace(" "+how, " ;", ";", 1) + " " + where + ": " + shown(e.Rule.Pattern)
}
