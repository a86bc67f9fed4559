package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// outcome runs the program and returns its exit code and all it says.
func (s *loneSite) outcome(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "seedtree", args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	return code, string(out)
}

// A drive inside the source is away: another process than the one that saw it
// keeps its entries, says so, and is told when it is gone for good.
func TestBuildWithoutADrive(t *testing.T) {
	if !testkit.Sandbox(t) {
		return
	}
	s := newLoneSite(t)
	usb := filepath.Join(s.dir, "photos", "usb")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(usb, 0o755))
	must(syscall.Mount("tmpfs", usb, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { _ = syscall.Unmount(usb, syscall.MNT_DETACH) })
	must(os.WriteFile(filepath.Join(usb, "b.jpg"), []byte("on the drive"), 0o600))
	s.run(t, "build", "--config", s.config)
	must(syscall.Unmount(usb, 0))

	for range 2 {
		code, said := s.outcome(t, "build", "--config", s.config)
		if code != 7 || !strings.Contains(said, "photos/usb: was another file system") || !strings.Contains(said, "hint: mount the drive") {
			t.Fatalf("exit code %d: %s", code, said)
		}
		if !strings.Contains(said, "nothing changed") || !strings.Contains(said, "2 entries") {
			t.Fatalf("the entries are gone: %s", said)
		}
	}
	if code, said := s.outcome(t, "build", "--config", s.config, "--explain", "photos/usb/b.jpg"); code != 0 || !strings.Contains(said, "photos/usb/b.jpg: away: photos/usb: was another file system") {
		t.Fatalf("exit code %d: %s", code, said)
	}
	// A dry run changes nothing of what is remembered.
	if code, said := s.outcome(t, "build", "--config", s.config, "--dry-run", "--allow-removals"); code != 0 || !strings.Contains(said, "- photos/usb/b.jpg") {
		t.Fatalf("exit code %d: %s", code, said)
	}
	if code, said := s.outcome(t, "build", "--config", s.config); code != 7 {
		t.Fatalf("exit code %d: %s", code, said)
	}
	for range 2 {
		if code, said := s.outcome(t, "build", "--config", s.config, "--allow-removals"); code != 0 {
			t.Fatalf("exit code %d: %s", code, said)
		}
	}
	if code, said := s.outcome(t, "build", "--config", s.config); code != 0 || !strings.Contains(said, "nothing changed") {
		t.Fatalf("exit code %d: %s", code, said)
	}
}

func TestMountsAreRemembered(t *testing.T) {
	state := t.TempDir()
	for _, want := range [][]manifests.Key{
		nil,
		{{Tree: "t", Path: "a/b"}, {Tree: "t", Path: "not\nutf-8 \xff\""}},
		{{Tree: "u", Path: "ü"}},
		nil,
	} {
		if err := saveMounts(state, want); err != nil {
			t.Fatal(err)
		}
		if got, err := loadMounts(state); err != nil || !slices.Equal(got, want) {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	for _, damaged := range []string{"t/a\n", `"t/../a"`, `"t"`, "\"t/a\n", "\n"} {
		if err := os.WriteFile(filepath.Join(state, mountsName), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := loadMounts(state); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q is read as %q, %v", damaged, got, err)
		}
	}
}
