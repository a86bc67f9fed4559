package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"seedtree/builder"
	"seedtree/gitsource"
	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// source opens a mirror of its own of a lone site's catalog.
func (s *loneSite) source(t *testing.T) *gitsource.Source {
	t.Helper()
	src, err := gitsource.Open(gitsource.Config{URLs: []string{filepath.Join(s.dir, "catalog.git")}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

// moveMain commits a manifest that names another main.
func moveMain(t *testing.T, src *gitsource.Source, to string) {
	t.Helper()
	_, err := commitOnto(t.Context(), src, func(_ context.Context, head *gitsource.Revision) (*gitsource.Commit, error) {
		data, err := head.ManifestBytes(t.Context())
		if err == nil {
			data, err = manifests.SetMain(data, to)
		}
		return &gitsource.Commit{Message: "main is " + to, Put: []gitsource.File{{Name: manifests.ManifestName, Data: data}}}, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// addSite gives the catalog a second site.
func addSite(t *testing.T, src *gitsource.Source, name string) {
	t.Helper()
	_, err := commitOnto(t.Context(), src, func(_ context.Context, head *gitsource.Revision) (*gitsource.Commit, error) {
		data, err := head.ManifestBytes(t.Context())
		if err == nil {
			data, err = manifests.AddSite(data, name, manifests.SiteSpec{})
		}
		return &gitsource.Commit{Message: "Add " + name, Put: []gitsource.File{{Name: manifests.ManifestName, Data: data}}}, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Main moves between a builder's look at the catalog and its push: the builder has
// lost its right to build, and commits nothing.
func TestBuildLosesAgainstAChangeOfMain(t *testing.T) {
	s := newLoneSite(t)
	other := s.source(t)
	addSite(t, other, "lima")
	if err := os.WriteFile(filepath.Join(s.dir, "photos", "b.jpg"), []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	src := s.source(t)
	b := newBuild(&Config{Site: "oslo", Trees: map[string]string{"photos": filepath.Join(s.dir, "photos")}, State: t.TempDir()}, src, slog.New(slog.DiscardHandler))
	var once sync.Once
	b.progress = func(builder.Progress) { once.Do(func() { moveMain(t, other, "lima") }) }
	if err := b.run(t.Context()); !errors.Is(err, errNotMain) || exitCode(err) != exitNotMain || b.report.Revision != "" {
		t.Errorf("built %q, %v", b.report.Revision, err)
	}
	head, err := other.Fetch(t.Context())
	if err != nil || head.Message != "main is lima" {
		t.Errorf("head %q, %v", head.Message, err)
	}
}

// Builders, hands and git itself commit at once: every edit arrives exactly once.
// On a busy machine a writer may lose a whole handful of tries: then it is told so,
// nothing of it was committed, and asking again is enough.
func TestManyWritersLoseNothing(t *testing.T) {
	s := newLoneSite(t)
	const writers, edits = 4, 5
	var all sync.WaitGroup
	for w := range writers {
		src := s.source(t)
		all.Go(func() {
			for i := range edits {
				tries := 0
				edit := func(context.Context, *gitsource.Revision) (*gitsource.Commit, error) {
					tries++
					name := fmt.Sprintf("torrents/photos/w%d-%d.empty", w, i)
					return &gitsource.Commit{Message: name, Put: []gitsource.File{{Name: name}}}, nil
				}
				_, err := commitOnto(t.Context(), src, edit)
				for again := 0; again < attempts && tries == attempts && errors.Is(err, gitsource.ErrMoved); again++ {
					tries = 0
					_, err = commitOnto(t.Context(), src, edit)
				}
				if err != nil || tries > attempts {
					t.Errorf("writer %d, edit %d: %d tries, %v", w, i, tries, err)
				}
			}
		})
	}
	// And a real builder, a process of its own, while they write.
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(s.dir, "photos", fmt.Sprintf("new%d", i)), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.run(t, "build", "--config", s.config, "--as-is", "--allow-removals")
	}
	all.Wait()
	src := s.source(t)
	if _, err := src.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	log, err := src.Log(t.Context(), "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, r := range log {
		seen[r.Message]++
	}
	for w := range writers {
		for i := range edits {
			if name := fmt.Sprintf("torrents/photos/w%d-%d.empty", w, i); seen[name] != 1 {
				t.Errorf("%s was committed %d times", name, seen[name])
			}
		}
	}
}

// A protected branch: one clear error with the server's words, asked once.
func TestBranchProtection(t *testing.T) {
	s := newLoneSite(t)
	g := testkit.ServeGitHTTPS(t, s.dir)
	asked := filepath.Join(t.TempDir(), "asked")
	for _, hook := range []string{"update", "pre-receive"} {
		file := filepath.Join(s.dir, "catalog.git", "hooks", hook)
		script := "#!/bin/sh\necho asked >>" + asked + "\necho main is protected, ask Ada >&2\nexit 1\n"
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(script), 0o755), os.RemoveAll(asked),
			os.WriteFile(filepath.Join(s.dir, "photos", hook), []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "seedtree", "build", "--config", s.config, "--catalog", g.URL+"/catalog.git",
			"--catalog-https-username", g.Username, "--catalog-https-password-file", g.PasswordFile, "--catalog-https-ca-file", g.CAFile).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitFailed || strings.Count(string(out), "main is protected, ask Ada") != 1 {
			t.Errorf("%s: %v\n%s", hook, err, out)
		}
		if n, err := os.ReadFile(asked); err != nil || strings.Count(string(n), "asked") != 1 {
			t.Errorf("%s was asked: %q, %v", hook, n, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	s.run(t, "build", "--config", s.config)
}
