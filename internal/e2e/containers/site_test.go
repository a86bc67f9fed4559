//go:build docker

package containers

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// patience is for whole steps; on an idle machine each takes seconds.
const patience = time.Minute

// fleet is the page's example, run under names and in folders of the test's.
type fleet struct {
	*bench
	script
	dir   string
	user  string // uid:gid of every container
	uid   int
	sites []string
}

// newFleet makes the example's sites and starts them, with the source filled
// by fill in between. They look every two seconds, and no site downloads more
// than downloadLimit a second.
func newFleet(t *testing.T, downloadLimit string, fill func(f *fleet)) *fleet {
	t.Helper()
	f := &fleet{bench: newBench(t), dir: t.TempDir(), user: "1000:1000", uid: 1000, sites: []string{"oslo", "lima", "kyiv"}}
	if os.Getuid() != 0 { // who cannot give files away keeps them
		f.uid, f.user = os.Getuid(), fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
	}
	const soon = "@every 2s"
	f.script = readScript(t, [][2]string{
		{"seedtree:latest", f.image},
		{"seedtree-", f.name + "-"},
		{"1000:1000", f.user},
		{"/srv/oslo/", f.dir + "/oslo/"},
		{"/srv/lima/", f.dir + "/lima/"},
		{"/srv/kyiv/", f.dir + "/kyiv/"},
		{"*/5 * * * *", soon},
		{"--peer lima:42069", "--peer lima:42069 --schedule-build '" + soon + "'"}, // once it is main
		{"docker network create ", "docker network create --label " + label + "=" + f.name + " "},
		{"docker run ", "docker run --label " + label + "=" + f.name +
			" --env SEEDTREE_SCHEDULE_JITTER=0% --env SEEDTREE_ENGINE_EMBEDDED_DOWNLOAD=" + downloadLimit + " "},
	})
	f.sh(f.folders)
	f.give("oslo/photos/.seedtree", "lima/photos", "kyiv/photos")
	fill(f)
	f.sh(f.join)
	f.sh(f.agents)
	return f
}

// give makes folders belong to the user of the containers.
func (f *fleet) give(names ...string) {
	f.t.Helper()
	for _, name := range names {
		err := filepath.WalkDir(filepath.Join(f.dir, name), func(path string, _ os.DirEntry, err error) error {
			if err != nil || os.Getuid() != 0 {
				return err
			}
			return os.Lchown(path, f.uid, f.uid)
		})
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

// sh runs commands that may use the page's functions.
func (f *fleet) sh(commands string) string {
	f.t.Helper()
	out, err := run(f.ctx, "sh", "-euc", f.functions+commands)
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func (f *fleet) tree(site string) string           { return filepath.Join(f.dir, site, "photos") }
func (f *fleet) path(site string, n string) string { return filepath.Join(f.tree(site), n) }
func (f *fleet) container(site string) string      { return f.name + "-" + site }

// build is a container of its own that ends when it has committed.
func (f *fleet) build() string {
	f.t.Helper()
	return f.revision(f.sh("oslo --rm " + f.image + " build -o json"))
}

func (f *fleet) revision(out string) string {
	f.t.Helper()
	var rep struct{ Revision string }
	if err := json.Unmarshal([]byte(out), &rep); err != nil || rep.Revision == "" {
		f.t.Fatalf("no revision (%v) in %s", err, out)
	}
	return rep.Revision
}

// status reads what a site's agent says of itself, out of its volume.
func (f *fleet) status(site string) (manifests.Status, error) {
	out, err := run(f.ctx, "docker", "cp", f.container(site)+":/var/lib/seedtree/status.json", "-")
	if err != nil {
		return manifests.Status{}, err
	}
	r := tar.NewReader(strings.NewReader(out))
	if _, err := r.Next(); err != nil {
		return manifests.Status{}, err
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return manifests.Status{}, err
	}
	return manifests.DecodeStatus(data)
}

// synced waits until sites are complete at a revision, and compares their
// trees with one that is right, byte by byte.
func (f *fleet) synced(what, rev, like string, sites ...string) {
	f.t.Helper()
	begun := time.Now()
	f.eventually(patience, what, func() error {
		for _, site := range append([]string{like}, sites...) {
			s, err := f.status(site)
			if err != nil {
				return err
			}
			if s.Complete != rev || s.Applied != rev {
				return fmt.Errorf("%s (%s): complete at %q, want %s; %d missing, %d held, errors %v",
					site, s.Role, s.Complete, rev, s.Entries.Missing, s.Entries.Held, s.Errors)
			}
		}
		return nil
	})
	for _, site := range sites {
		diff, err := testkit.DiffTrees(f.tree(like), f.tree(site))
		if err != nil || diff != "" {
			f.t.Fatalf("%s: %s differs from %s: %v\n%s", what, site, like, err, diff)
		}
	}
	f.t.Logf("%-40s %4.1f s", what, time.Since(begun).Seconds())
}

// fetched is how many bytes a site's client has received since it started.
func (f *fleet) fetched(site string) int64 {
	f.t.Helper()
	s, err := f.status(site)
	if err != nil {
		f.t.Fatal(err)
	}
	return s.Bytes.Downloaded
}

// absent fails if a file stands where it cannot be yet.
func (f *fleet) absent(site, name string) {
	f.t.Helper()
	if _, err := os.Lstat(f.path(site, name)); !errors.Is(err, os.ErrNotExist) {
		f.t.Fatalf("%s at %s: want it not to be there: %v", name, site, err)
	}
}

// write puts noise of some size into a file of a site.
func (f *fleet) write(site, name string, size int) {
	f.t.Helper()
	data := make([]byte, size)
	noise := rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32.32s", name))))
	_, _ = noise.Read(data) // never fails
	file := f.path(site, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, data, 0o644)); err != nil {
		f.t.Fatal(err)
	}
}

// must ends the test at the first error.
func (f *fleet) must(errs ...error) {
	f.t.Helper()
	if err := errors.Join(errs...); err != nil {
		f.t.Fatal(err)
	}
}
