package transmission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/manifests"
)

func write(t *testing.T, name, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// tree makes an empty tree root called photos.
func tree(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "photos")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// inTree writes one file of n bytes into a tree of its own.
func inTree(t *testing.T, path string, n int) (enginetest.File, string) {
	t.Helper()
	root := tree(t)
	f := enginetest.NewFile(t, "photos", path, enginetest.Random(uint64(n), n))
	f.Write(t, root)
	return f, root
}

// staging makes the folder in which a file of the tree would be fetched.
func staging(t *testing.T, root string, f enginetest.File) string {
	t.Helper()
	dir := filepath.Join(root, manifests.PrivateDir, "staging", f.Entry.InfoHash.String(), "photos")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// additions are files in place, every byte just checked.
func additions(root string, files ...enginetest.File) []apply.Addition {
	var all []apply.Addition
	for _, f := range files {
		all = append(all, apply.Addition{Entry: f.Entry, Metainfo: f.Metainfo, Root: root, Have: f.Full(), ReadOnly: true})
	}
	return all
}

// wanted are files to be fetched into root.
func wanted(root string, f enginetest.File) []apply.Addition {
	return []apply.Addition{{Entry: f.Entry, Metainfo: f.Metainfo, Root: root}}
}

func list(t *testing.T, e *Engine) map[manifests.InfoHash]apply.Torrent {
	t.Helper()
	all, err := e.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[manifests.InfoHash]apply.Torrent{}
	for _, one := range all {
		out[one.InfoHash] = one
	}
	return out
}

func requireDone(t *testing.T, e *Engine, root string, files ...enginetest.File) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d files seeding from %s", len(files), root), func() bool {
		held := list(t, e)
		for _, f := range files {
			if one := held[f.Entry.InfoHash]; !one.Done() || one.Root != root {
				return false
			}
		}
		return true
	})
}

// requireBytes fails unless the tree holds exactly one file, with these bytes.
func requireBytes(t *testing.T, root string, f enginetest.File, want []byte) {
	t.Helper()
	got, err := os.ReadFile(f.Name(root))
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s was changed (%v)", f.Name(root), err)
	}
	err = filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && name != f.Name(root) {
			t.Errorf("%s appeared", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// playRPC answers every session-get with the given arguments.
func playRPC(t *testing.T, session string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req struct {
			Method string
			Tag    *int
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Error(err)
		}
		tag := 0
		if req.Tag != nil {
			tag = *req.Tag
		}
		arguments := "{}"
		if req.Method == "session-get" {
			arguments = session
		}
		fmt.Fprintf(w, `{"result": "success", "tag": %d, "arguments": %s}`, tag, arguments)
	}
}
