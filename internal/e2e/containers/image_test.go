//go:build docker

package containers

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// maxImage bounds what a site has to download, in bytes.
const maxImage = 40_000_000

func TestImageSaysWhatItIs(t *testing.T) {
	b := newBench(t)
	var image struct {
		Size   int64
		Config struct {
			User, StopSignal string
			Entrypoint, Cmd  []string
			Labels           map[string]string
			ExposedPorts     map[string]struct{}
			Volumes          map[string]struct{}
		}
	}
	if err := json.Unmarshal([]byte(b.docker("image", "inspect", "--format", "{{json .}}", b.image)), &image); err != nil {
		t.Fatal(err)
	}
	c := image.Config
	if image.Size > maxImage {
		t.Errorf("%d bytes, more than %d", image.Size, maxImage)
	}
	if c.User != "65532:65532" || c.StopSignal != "SIGTERM" {
		t.Errorf("user %q, stop signal %q", c.User, c.StopSignal)
	}
	if !slices.Equal(c.Entrypoint, []string{"/seedtree"}) || !slices.Equal(c.Cmd, []string{"agent"}) {
		t.Errorf("runs %v %v", c.Entrypoint, c.Cmd)
	}
	for _, port := range []string{"42069/tcp", "6969/tcp"} {
		if _, ok := c.ExposedPorts[port]; !ok {
			t.Errorf("port %s is not exposed", port)
		}
	}
	if _, ok := c.Volumes["/var/lib/seedtree"]; !ok {
		t.Error("the state is no volume")
	}
	for _, key := range []string{"title", "description", "licenses"} {
		if c.Labels["org.opencontainers.image."+key] == "" {
			t.Errorf("no label %s", key)
		}
	}
}

// Nothing but the binary and empty folders to mount on: what is not there,
// such as a shell or git, nobody can break into or has to patch.
func TestImageHoldsNothingElse(t *testing.T) {
	b := newBench(t)
	id := b.docker("create", "--label", label+"="+b.name, b.image)
	cmd := exec.CommandContext(b.ctx, "docker", "export", id)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	modes := map[string]int64{}
	for r := tar.NewReader(pipe); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[strings.Trim(h.Name, "/")] = h.Mode & 0o7777
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{
		"seedtree": 0o755, "etc": 0o755, "srv": 0o755, "var": 0o755, "var/lib": 0o755,
		"etc/seedtree": 0o1777, "srv/catalog": 0o1777, "var/lib/seedtree": 0o1777,
	}
	engines := []string{".dockerenv", "dev", "proc", "sys", "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab"} // put there by the engine
	for name, mode := range modes {
		if _, ok := want[name]; !ok && !slices.Contains(engines, name) && !strings.HasPrefix(name, "dev/") {
			t.Errorf("%s (%o) was not asked for", name, mode)
		}
	}
	for name, mode := range want {
		if got, ok := modes[name]; !ok || got != mode {
			t.Errorf("%s: there %t, mode %o, want %o", name, ok, got, mode)
		}
	}
}

func TestImageRunsWithNothing(t *testing.T) {
	b := newBench(t)
	bare := []string{"run", "--rm", "--label", label + "=" + b.name, "--network", "none", "--read-only", "--cap-drop", "ALL", "--user", "4711:4711", b.image}
	if out := b.docker(append(bare, "version")...); !strings.HasPrefix(out, "seedtree ") {
		t.Errorf("version says %q", out)
	}
	_, err := run(b.ctx, "docker", bare...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(err.Error(), "seedtree init") {
		t.Errorf("an agent without a configuration should end with code 1 and say how to get one: %v", err)
	}
}
