package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"seedtree/manifests"
)

// demoTree is the name of the demo's only tree.
const demoTree = "data"

// demoSite is one site of the demo: its directories and its agent's process.
type demoSite struct {
	name, config, root, state, peer string
	before                          manifests.Status // when the running step began
}

// demoFleet is the stage: a directory, a catalog, sites and their processes.
type demoFleet struct {
	app     *app
	exe     string
	dir     string
	data    string // the original, only read
	catalog string
	tracker string // host:port
	sites   []*demoSite
	main    *demoSite
	running []*demoProcess
	added   string // main's folder with the files that the demo adds
	steps   int
}

// demoProcess is one child; exited is closed when it is gone.
type demoProcess struct {
	name   string
	cmd    *exec.Cmd
	exited chan struct{}
	err    error
}

func newFleetDemo(a *app, dir, data string, sites int) (*demoFleet, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(sites + 1)
	if err != nil {
		return nil, err
	}
	f := &demoFleet{app: a, exe: exe, dir: dir, data: data, catalog: filepath.Join(dir, "catalog.git"), tracker: ports[0], added: "demo"}
	for i, name := range demoNames()[:sites] {
		home := filepath.Join(dir, name)
		s := &demoSite{name: name, config: filepath.Join(home, "config.yaml"), root: filepath.Join(home, "tree"), state: filepath.Join(home, "state"), peer: ports[i+1]}
		if err := os.MkdirAll(s.root, 0o755); err != nil {
			return nil, err
		}
		f.sites = append(f.sites, s)
	}
	f.main = f.sites[0]
	return f, os.MkdirAll(filepath.Join(dir, "logs"), 0o755)
}

// environment is what children see: none of our variables, and no PATH, for
// the fleet needs no program but itself.
func (f *demoFleet) environment() []string {
	env := slices.DeleteFunc(f.app.lookup(), func(kv string) bool {
		return strings.HasPrefix(kv, envPrefix) || strings.HasPrefix(kv, "PATH=")
	})
	return append(env, "PATH="+filepath.Join(f.dir, "nothing"))
}

// call runs one verb to its end and returns its exit code and JSON output.
func (f *demoFleet) call(ctx context.Context, into any, args ...string) (int, error) {
	cmd := exec.CommandContext(ctx, f.exe, append(args, "-o", "json")...)
	cmd.Env = f.environment()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return -1, fmt.Errorf("seedtree %s: %w", args[0], err)
	}
	if ctx.Err() != nil {
		return -1, ctx.Err()
	}
	if code := cmd.ProcessState.ExitCode(); code != exitDone {
		said := strings.ReplaceAll(strings.TrimSpace(errs.String()), "error: ", "")
		return code, fmt.Errorf("seedtree %s ended with code %d: %s", args[0], code, strings.ReplaceAll(said, "\n", "\n  "))
	}
	if into == nil {
		return exitDone, nil
	}
	if err := json.Unmarshal(out.Bytes(), into); err != nil {
		return -1, fmt.Errorf("seedtree %s: its output: %w", args[0], err)
	}
	return exitDone, nil
}

// start runs a verb as a child that stays.
func (f *demoFleet) start(name string, args ...string) error {
	log, err := os.Create(filepath.Join(f.dir, "logs", name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	p := &demoProcess{name: name, cmd: exec.Command(f.exe, args...), exited: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = f.environment(), log, log
	apart(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return err
	}
	f.running = append(f.running, p)
	go func() {
		defer close(p.exited)
		p.err = p.cmd.Wait()
	}()
	return nil
}

// dead returns an error if a child ended that should run.
func (f *demoFleet) dead() error {
	for _, p := range f.running {
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended by itself (%v); its last words:\n%s", p.name, p.err, f.lastWords(p.name))
		default:
		}
	}
	return nil
}

// lastWords is the end of a child's log, indented; of a crash, its beginning.
func (f *demoFleet) lastWords(name string) string {
	data, err := os.ReadFile(filepath.Join(f.dir, "logs", name+".log"))
	if err != nil {
		return "  " + err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	const some = 8
	from := max(0, len(lines)-some)
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "panic:") || strings.HasPrefix(l, "fatal error:") }); i >= 0 {
		from = i
	}
	return "  " + strings.Join(lines[from:min(from+some, len(lines))], "\n  ")
}

// stop ends every child: asked first, killed after a grace.
func (f *demoFleet) stop() error {
	var errs []error
	for _, p := range slices.Backward(f.running) {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, p := range slices.Backward(f.running) {
		select {
		case <-p.exited:
		case <-time.After(20 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.exited
			errs = append(errs, fmt.Errorf("%s did not stop and was killed", p.name))
		}
	}
	f.running = nil
	return errors.Join(errs...)
}

// wake tells every agent to look now.
func (f *demoFleet) wake() {
	for _, p := range f.running {
		if p.name != "tracker" {
			_ = p.cmd.Process.Signal(syscall.SIGHUP)
		}
	}
}

// keepLogs moves the logs out of the directory that is about to go.
func (f *demoFleet) keepLogs() string {
	kept := f.dir + "-logs"
	if err := os.Rename(filepath.Join(f.dir, "logs"), kept); err != nil {
		return filepath.Join(f.dir, "logs")
	}
	return kept
}

// remove deletes the demo's directory, and nothing if that is not one of ours.
func (f *demoFleet) remove() error {
	if !strings.HasPrefix(filepath.Base(f.dir), "seedtree-demo-") {
		return fmt.Errorf("%s: not removed, it is not a demo's directory", f.dir)
	}
	return os.RemoveAll(f.dir)
}

// status reads what a site's agent says of itself.
func (s *demoSite) status() (manifests.Status, error) {
	data, err := os.ReadFile(filepath.Join(s.state, "status.json"))
	if err != nil {
		return manifests.Status{}, err
	}
	return manifests.DecodeStatus(data)
}
