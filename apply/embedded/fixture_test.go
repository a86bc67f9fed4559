package embedded

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/manifests"
)

func TestMain(m *testing.M) {
	if helper := os.Getenv("SEEDTREE_TEST_HELPER"); helper != "" {
		os.Exit(runHelper(helper))
	}
	goleak.VerifyTestMain(m)
}

// start opens an engine on loopback that is closed when the test ends.
func start(t testing.TB, cfg Config) *Engine {
	t.Helper()
	if cfg.StateDir == "" {
		cfg.StateDir = t.TempDir()
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if testing.Verbose() && cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	e, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

func (e *Engine) address() string { return e.Addr().(*net.TCPAddr).String() }

// treeRoot makes an empty root named after the tree.
func treeRoot(t testing.TB, tree string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), tree)
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// seeded writes files below a new root and lets an engine seed them.
func seeded(t testing.TB, e *Engine, files ...enginetest.File) string {
	t.Helper()
	root := treeRoot(t, "seed")
	var adds []apply.Addition
	for _, f := range files {
		f.Write(t, root)
		adds = append(adds, complete(f, root))
	}
	mustAdd(t, e, adds...)
	return root
}

func complete(f enginetest.File, root string) apply.Addition {
	return apply.Addition{Entry: f.Entry, Metainfo: f.Metainfo, Root: root, Have: f.Full(), ReadOnly: true}
}

// empty is an addition that is to be fetched from peers.
func empty(f enginetest.File, root string, peers ...string) apply.Addition {
	return apply.Addition{Entry: f.Entry, Metainfo: f.Metainfo, Root: root, Peers: peers}
}

func mustAdd(t testing.TB, e *Engine, adds ...apply.Addition) {
	t.Helper()
	for len(adds) > 0 {
		n := min(len(adds), 500)
		if err := e.Add(t.Context(), adds[:n]); err != nil {
			t.Fatal(err)
		}
		adds = adds[n:]
	}
}

// until polls a condition, and fails the test after a minute.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// state returns what the engine says of one torrent.
func state(t testing.TB, e *Engine, h manifests.InfoHash) apply.Torrent {
	t.Helper()
	list, err := e.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range list {
		if one.InfoHash == h {
			return one
		}
	}
	return apply.Torrent{}
}

func untilDone(t testing.TB, e *Engine, f enginetest.File) {
	t.Helper()
	until(t, fmt.Sprintf("%s is complete", f.Entry.Path), func() bool { return state(t, e, f.Entry.InfoHash).Done() })
}

func requireFile(t testing.TB, f enginetest.File, root string) {
	t.Helper()
	got, err := os.ReadFile(f.Name(root))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(f.Data) {
		t.Fatalf("%s differs from what is listed", f.Name(root))
	}
}
