//go:build docker

package containers

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"seedtree/internal/testkit"
)

// TestMain refuses at once what would make every test fail.
func TestMain(m *testing.M) {
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "no Docker engine answers (on Debian, as root: apt-get install docker.io): %v: %s\n", err, lastLine(out))
		os.Exit(1)
	}
	if err := exec.Command("docker", "image", "inspect", imageName()).Run(); err != nil {
		fmt.Fprintf(os.Stderr, "there is no image %s: make image\n", imageName())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func imageName() string {
	if name := os.Getenv("SEEDTREE_TEST_IMAGE"); name != "" {
		return name
	}
	return "seedtree"
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// bench is one test's share of the engine. Whatever is made on it carries a
// label or a name of its own, and is removed by id when the test ends, be it
// by Ctrl-C.
type bench struct {
	t     *testing.T
	ctx   context.Context
	name  string // begins the names of all containers, networks and volumes
	image string // id: a name may mean another image in a minute
}

// label marks containers and networks of a bench.
const label = "seedtree.test"

func newBench(t *testing.T) *bench {
	t.Helper()
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	t.Cleanup(stop)
	b := &bench{t: t, ctx: ctx, name: "seedtree-test-" + strings.ToLower(rand.Text()[:10])}
	b.image = b.docker("image", "inspect", "--format", "{{.Id}}", imageName())
	t.Cleanup(b.clear)
	return b
}

// run executes a program and returns its output. What it said on stderr is in
// the error.
func run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 5 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// docker runs one command of the client that has to succeed.
func (b *bench) docker(args ...string) string {
	b.t.Helper()
	out, err := run(b.ctx, "docker", args...)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// eventually polls more gently than its like: asking the engine is dear.
func (b *bench) eventually(limit time.Duration, what string, check func() error) {
	b.t.Helper()
	testkit.Eventually(b.t, limit, what, func() error {
		if b.ctx.Err() != nil {
			b.t.Fatal("interrupted")
		}
		err := check()
		if err != nil {
			time.Sleep(150 * time.Millisecond)
		}
		return err
	})
}

// clear removes everything that was made on the bench, and says so when
// something stays.
func (b *bench) clear() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), 90*time.Second)
	defer cancel()
	mark := "label=" + label + "=" + b.name
	list := func(args ...string) []string {
		out, err := run(ctx, "docker", args...)
		if err != nil {
			b.t.Error(err)
		}
		return strings.Fields(out)
	}
	remove := func(ids []string, args ...string) {
		if len(ids) == 0 {
			return
		}
		if _, err := run(ctx, "docker", append(args, ids...)...); err != nil {
			b.t.Error(err)
		}
	}
	containers := func() []string { return list("ps", "--all", "--quiet", "--no-trunc", "--filter", mark) }
	networks := func() []string { return list("network", "ls", "--quiet", "--no-trunc", "--filter", mark) }
	volumes := func() []string { return list("volume", "ls", "--quiet", "--filter", "name=^"+b.name) }
	if b.t.Failed() {
		for _, id := range containers() {
			b.lastWords(ctx, id)
		}
	}
	remove(containers(), "rm", "--force", "--volumes")
	remove(networks(), "network", "rm")
	remove(volumes(), "volume", "rm")
	if left := append(append(containers(), networks()...), volumes()...); len(left) > 0 {
		b.t.Errorf("left behind: %v", left)
	}
}

// lastWords shows why a container may be to blame.
func (b *bench) lastWords(ctx context.Context, id string) {
	cmd := exec.CommandContext(ctx, "docker", "logs", "--tail", "25", id)
	out, err := cmd.CombinedOutput()
	name, _ := run(ctx, "docker", "inspect", "--format", "{{.Name}} {{.State.Status}} {{.State.ExitCode}}", id)
	b.t.Logf("%s (%v):\n%s", name, err, out)
}
