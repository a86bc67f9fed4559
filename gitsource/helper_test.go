package gitsource

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"seedtree/manifests"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(fetchForChild); dir != "" {
		os.Exit(childFetch(dir))
	}
	goleak.VerifyTestMain(m)
}

// git runs the real git and returns its output.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := tryGit(t, dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

func tryGit(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	bin, err := exec.LookPath("git")
	if err != nil {
		t.Fatal("git is needed: apt-get install git")
	}
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org", "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// bareRepo makes an empty catalog without git.
func bareRepo(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "catalog.git")
	if err := InitBare(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// opened returns a Source on a fresh mirror; its log goes to the test's.
func opened(t *testing.T, urls ...string) *Source {
	t.Helper()
	s, _ := openedIn(t, t.TempDir(), urls...)
	return s
}

func openedIn(t *testing.T, dir string, urls ...string) (*Source, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	s, err := Open(Config{
		URLs: urls, Dir: dir, Timeout: 20 * time.Second,
		Author: Author{"Test", "test@example.org"}, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, &log
}

const someManifest = "apiVersion: seedtree/v1\nmain: oslo\ntrees:\n  photos: {}\nsites:\n  oslo: {}\n"

// torrent makes a catalog file for a regular file.
func torrent(t *testing.T, path string, size int64) File {
	t.Helper()
	p, err := manifests.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	m := manifests.Metainfo{
		Tree: "photos", Path: p, Length: size, PieceLength: manifests.PieceLength(size),
		ModTime: time.Unix(1700000000, 12345).UTC(),
	}
	n := m.NumPieces()
	m.Pieces = bytes.Repeat([]byte{byte(size), 7, byte(len(path))}, 7*n)[:20*n]
	return File{Name: manifests.CatalogName(m.Entry(false)), Data: m.Encode()}
}

// some are n torrents in several directories.
func some(t *testing.T, n int) []File {
	t.Helper()
	files := []File{{Name: manifestName, Data: []byte(someManifest)}}
	for i := range n {
		files = append(files, torrent(t, fmt.Sprintf("d%d/e%d/f%d.jpg", i%3, i%5, i), int64(1000+i)))
	}
	return files
}

// publish commits on top of parent and pushes.
func publish(t *testing.T, s *Source, parent *Revision, c Commit) *Revision {
	t.Helper()
	if c.Message == "" {
		c.Message = "Change"
	}
	r, err := s.Commit(t.Context(), parent, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Push(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func fetched(t *testing.T, s *Source) *Revision {
	t.Helper()
	r, err := s.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// paths lists a revision's entries as text.
func paths(t *testing.T, r *Revision) []string {
	t.Helper()
	l, err := r.Listing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for e := range l.All() {
		out = append(out, e.Key().String())
	}
	return out
}

func wantPaths(t *testing.T, r *Revision, want ...string) {
	t.Helper()
	if got := paths(t, r); !slices.Equal(got, want) {
		t.Errorf("revision %s lists %q, want %q", r.Short(), got, want)
	}
}
