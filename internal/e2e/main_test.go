package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"seedtree/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.InSandbox(m)) }

// binDir builds the programs once and returns the directory they are in.
var binDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "seedtree-e2e-")
	if err != nil {
		return "", err
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", dir, "./cmd/...")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	return dir, build.Run()
})

func binaries(t *testing.T) string {
	t.Helper()
	dir, err := binDir()
	if err != nil {
		t.Fatalf("the programs do not build: %v", err)
	}
	return dir
}
