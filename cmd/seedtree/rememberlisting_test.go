package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"seedtree/gitsource"
)

// Whoever reads the catalog after a build finds its listing in the mirror's cache,
// and it is what git has, to the last field.
func TestBuildLeavesItsListing(t *testing.T) {
	t.Parallel()
	s := newLoneSite(t)
	tree := filepath.Join(s.dir, "photos")
	check := func() {
		t.Helper()
		s.run(t, "build", "--allow-removals", "--config", s.config)
		cfg, err := testApp(t, nil, "--config", s.config).site(needCatalog)
		if err != nil {
			t.Fatal(err)
		}
		mirror := filepath.Join(s.state, "catalog")
		// Nobody but the build has run: the cache begins with a line, then the tree's id.
		cache, err := os.ReadFile(filepath.Join(mirror, "listing.cache"))
		if err != nil {
			t.Fatal(err)
		}
		tree, err := exec.CommandContext(t.Context(), "git", "-C", filepath.Join(s.dir, "catalog.git"), "rev-parse", "main:torrents").Output()
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, _ := bytes.Cut(cache, []byte("\n")); fmt.Sprintf("%x\n", rest[:20]) != string(tree) {
			t.Errorf("the cache is of %x, torrents/ is %s", rest[:20], tree)
		}
		kept, err := gitsource.Open(gitsource.Config{URLs: cfg.Catalog.URLs, Dir: mirror, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer kept.Close()
		fresh := s.source(t)
		var listings [2]string
		for i, src := range []*gitsource.Source{kept, fresh} {
			head, err := src.Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			l, err := head.Listing(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for e := range l.All() {
				listings[i] += fmt.Sprintf("%+v\n", e)
			}
		}
		if listings[0] != listings[1] || listings[0] == "" {
			t.Errorf("the cache has\n%s\nand git\n%s", listings[0], listings[1])
		}
	}
	for name, data := range map[string]string{"b.jpg": "another photo", "c/empty": "", "c/run": "#!/bin/sh\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(tree, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	odd := time.Date(2020, 2, 3, 4, 5, 6, 123456789, time.UTC)
	for _, step := range []func() error{
		func() error { return os.Chmod(filepath.Join(tree, "c/run"), 0o700) },
		func() error { return os.Symlink("../a.jpg", filepath.Join(tree, "c/link")) },
		func() error { return os.Mkdir(filepath.Join(tree, "void"), 0o755) },
		func() error { return os.Chtimes(filepath.Join(tree, "b.jpg"), odd, odd) },
		func() error { return os.Chtimes(filepath.Join(tree, "c/empty"), odd, odd) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	check()
	for _, step := range []func() error{
		func() error { return os.Remove(filepath.Join(tree, "a.jpg")) },
		func() error { return os.Rename(filepath.Join(tree, "c/run"), filepath.Join(tree, "walk")) },
		func() error { return os.WriteFile(filepath.Join(tree, "b.jpg"), []byte("edited"), 0o600) },
		func() error { return os.WriteFile(filepath.Join(tree, "void/file"), []byte("full"), 0o600) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	check()
}
