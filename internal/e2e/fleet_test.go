package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// embedded stands for the client inside the agent where a fleet names commands.
const embedded = "embedded"

// fleet is a few sites and their catalog.
type fleet struct {
	catalog string // a bare repository every host sees
	sites   []*site
}

// site is one host with its tree, its client and its agent.
type site struct {
	name   string
	host   *testkit.Host
	tree   string // the tree root as the test sees it; /srv/photos on the host
	daemon *testkit.Transmission
	agent  *testkit.Process
}

// newFleet starts clients and sets up every site; the first one is main.
// engines are transmission-daemon commands or the word embedded.
func newFleet(t *testing.T, names []string, engines []string) *fleet {
	t.Helper()
	testkit.Need(t, "git", "git")
	n := testkit.NewNetwork(t, binaries(t), names...)
	f := &fleet{catalog: filepath.Join(t.TempDir(), "catalog.git")}
	for i, name := range names {
		h := n.Host(name)
		s := &site{name: name, host: h, tree: filepath.Join(h.Dir, "srv/photos")}
		mustMkdir(t, s.tree)
		if engines[i] != embedded {
			s.daemon = testkit.StartTransmission(t, testkit.TransmissionOptions{
				Command: engines[i], Address: h.Addr, Wrap: h.Wrap(),
			})
		}
		f.sites = append(f.sites, s)
	}
	return f
}

// initialize runs `seedtree init` at a site.
func (f *fleet) initialize(t *testing.T, s *site) {
	t.Helper()
	args := []string{
		"init", "--site", s.name, "--catalog", f.catalog, "--tree", "photos=/srv/photos",
		"--schedule-sync", "@every 2s", "--schedule-build", "never",
	}
	if s == f.sites[0] {
		args = append(args, "--tracker", fmt.Sprintf("http://%s.example:6969/announce", s.name), "--tracker-listen", ":6969")
	}
	if s.daemon != nil {
		args = append(args, "--engine-transmission-url", s.daemon.URL, "--engine-transmission-manage-settings", "true")
	} else {
		args = append(args, "--engine-embedded-listen", ":42069", "--peer", s.name+".example:42069")
	}
	s.seedtree(t, args...)
}

// seedtree runs a verb at a site; it must succeed.
func (s *site) seedtree(t *testing.T, args ...string) string {
	t.Helper()
	return s.host.Run(t, "seedtree '"+strings.Join(args, "' '")+"'")
}

// startAgent runs `seedtree agent` until the test ends or it is stopped.
func (s *site) startAgent(t *testing.T) {
	t.Helper()
	s.agent = s.host.Start(t, "seedtree", "agent", "--log-level", "debug")
}

// head is the catalog's newest revision, asked of git itself.
func (f *fleet) head(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(f.sites[0].host.Run(t, "git -C "+f.catalog+" rev-parse refs/heads/main"))
}

// status reads what the site's agent wrote last.
func (s *site) status() (manifests.Status, error) {
	data, err := os.ReadFile(filepath.Join(s.host.Dir, "var/lib/seedtree/status.json"))
	if err != nil {
		return manifests.Status{}, err
	}
	return manifests.DecodeStatus(data)
}

// complete waits until every site says that it holds the head completely.
func (f *fleet) complete(t *testing.T, limit time.Duration) {
	t.Helper()
	head := f.head(t)
	for _, s := range f.sites {
		testkit.Eventually(t, limit, s.name+" completes "+head[:8], func() error {
			st, err := s.status()
			if err != nil {
				return err
			}
			if st.Complete != head {
				return fmt.Errorf("as %s complete %.8s, applied %.8s, entries %+v, missing %q, errors %q",
					st.Role, st.Complete, st.Applied, st.Entries, st.MissingSample, st.Errors)
			}
			return nil
		})
	}
}

// settle waits likewise, and then holds every site to it byte by byte.
func (f *fleet) settle(t *testing.T, want string, limit time.Duration) {
	t.Helper()
	f.complete(t, limit)
	for _, s := range f.sites {
		diff, err := testkit.DiffTrees(want, s.tree)
		if err == nil && diff != "" {
			err = errors.New(diff)
		}
		if err != nil {
			t.Fatalf("%s is not identical: %v", s.name, err)
		}
	}
}

// downloaded is the payload a site's client has taken from others since it started.
func (s *site) downloaded(t *testing.T) int64 {
	t.Helper()
	if s.daemon == nil {
		st, err := s.status()
		if err != nil {
			t.Fatal(err)
		}
		return st.Bytes.Downloaded
	}
	var stats struct {
		Current struct{ DownloadedBytes int64 } `json:"current-stats"`
	}
	s.daemon.Call(t, "session-stats", map[string]any{}, &stats)
	return stats.Current.DownloadedBytes
}

// addForeign gives the site's client a torrent of the user's own, with its data.
func (s *site) addForeign(t *testing.T) {
	t.Helper()
	data := []byte(strings.Repeat("mine, not yours. ", 1000))
	dir := filepath.Join(s.host.Dir, "srv", "own")
	mustWrite(t, filepath.Join(dir, "holiday", "film.avi"), string(data))
	m := manifests.Metainfo{Tree: "holiday", Path: "film.avi", Length: int64(len(data)), PieceLength: manifests.PieceLength(int64(len(data))), Pieces: sha1Of(data)}
	s.daemon.Call(t, "torrent-add", map[string]any{"metainfo": m.Encode(), "download-dir": "/srv/own"}, nil)
}

// foreign describes the torrents of the user's own, to compare later.
func (s *site) foreign(t *testing.T) string {
	t.Helper()
	var got struct {
		Torrents []struct {
			HashString, Name, DownloadDir string
			Labels                        []string
			PercentDone                   float64
			Status                        int
		}
	}
	s.daemon.Call(t, "torrent-get", map[string]any{"fields": []string{"hashString", "name", "downloadDir", "labels", "percentDone", "status"}}, &got)
	var out []string
	for _, tor := range got.Torrents {
		if len(tor.Labels) == 0 {
			text, err := json.Marshal(tor)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(text))
		}
	}
	return strings.Join(out, "\n")
}
