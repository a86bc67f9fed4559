package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// EnvTransmission names the variable that narrows the tests to one binary.
const EnvTransmission = "SEEDTREE_TEST_TRANSMISSION"

// TransmissionVersion is one transmission-daemon to test with.
type TransmissionVersion struct {
	Name    string // for subtests: "3.00", "4.1.3"
	Command string
}

// TransmissionVersions returns the daemons to test with: the distribution's
// and the newer one that .ci/fetch-transmission brings, or only the one that
// SEEDTREE_TEST_TRANSMISSION names.
func TransmissionVersions(t testing.TB) []TransmissionVersion {
	t.Helper()
	commands := []string{"transmission-daemon", filepath.Join(ModuleRoot(t), ".cache", "transmission-4.1", "transmission-daemon")}
	if one := os.Getenv(EnvTransmission); one != "" {
		commands = []string{one}
	}
	var all []TransmissionVersion
	for _, c := range commands {
		// The version goes to standard error: "transmission-daemon 3.00 (bb6b5a062e)".
		out, err := exec.CommandContext(t.Context(), c, "--version").CombinedOutput()
		words := strings.Fields(string(out))
		if len(words) < 2 || words[0] != "transmission-daemon" {
			t.Fatalf("%s does not run (%v): %s\ninstall it: .ci/install-test-tools, or: apt-get install transmission-daemon transmission-cli && .ci/fetch-transmission",
				c, err, out)
		}
		all = append(all, TransmissionVersion{Name: words[1], Command: c})
	}
	return all
}

// ModuleRoot returns the directory that holds go.mod.
func ModuleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = up
	}
}

// TransmissionOptions says how a daemon is to be.
type TransmissionOptions struct {
	Command            string         // default: the first of TransmissionVersions
	Address            string         // where RPC and peers listen; default 127.0.0.1
	Wrap               []string       // a command in front, such as ip netns exec NAME
	Username, Password string         // "": no authentication
	Settings           map[string]any // over the defaults in settings.json
}

// Transmission is a transmission-daemon of a test's own: own configuration,
// free ports, no outside contacts, ended with the test.
type Transmission struct {
	URL         string // of the RPC
	PeerAddr    string // where peers dial in
	ConfigDir   string
	DownloadDir string // the session's default download-dir

	opts    TransmissionOptions
	cmd     *exec.Cmd
	exited  chan struct{}
	session string
}

// StartTransmission starts a daemon that holds nothing and waits until it answers.
func StartTransmission(t testing.TB, opts TransmissionOptions) *Transmission {
	t.Helper()
	if opts.Command == "" {
		opts.Command = TransmissionVersions(t)[0].Command
	}
	if opts.Address == "" {
		opts.Address = "127.0.0.1"
	}
	dir := t.TempDir()
	d := &Transmission{opts: opts, ConfigDir: filepath.Join(dir, "config"), DownloadDir: filepath.Join(dir, "Downloads")}
	for _, p := range []string{d.ConfigDir, d.DownloadDir} {
		if err := os.Mkdir(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { d.end(syscall.SIGKILL) })
	var err error
	for range 5 { // a port found free may be taken the moment after
		if err = d.configure(); err != nil {
			t.Fatal(err)
		}
		if err = d.start(t.Context()); err == nil {
			return d
		}
		d.end(syscall.SIGKILL)
	}
	t.Fatalf("%s does not start: %v\n%s", opts.Command, err, d.log())
	return nil
}

func (d *Transmission) configure() error {
	rpc, err := d.freePort()
	if err != nil {
		return err
	}
	peer, err := d.freePort()
	if err != nil {
		return err
	}
	settings := map[string]any{
		"rpc-port": rpc, "rpc-bind-address": d.opts.Address, "rpc-host-whitelist-enabled": false,
		"rpc-whitelist-enabled": d.opts.Address == "127.0.0.1", "rpc-authentication-required": d.opts.Username != "",
		"rpc-username": d.opts.Username, "rpc-password": d.opts.Password,
		"peer-port": peer, "bind-address-ipv4": d.opts.Address, "bind-address-ipv6": "::1",
		"dht-enabled": false, "lpd-enabled": false, "pex-enabled": false, "utp-enabled": false,
		"port-forwarding-enabled": false, "blocklist-enabled": false, "download-dir": d.DownloadDir,
		"incomplete-dir": d.DownloadDir + "/incomplete",
	}
	for k, v := range d.opts.Settings {
		settings[k] = v
	}
	raw, err := json.MarshalIndent(settings, "", " ")
	if err != nil {
		return err
	}
	d.URL = fmt.Sprintf("http://%s:%d/transmission/rpc", d.opts.Address, rpc)
	d.PeerAddr = fmt.Sprintf("%s:%d", d.opts.Address, peer)
	return os.WriteFile(filepath.Join(d.ConfigDir, "settings.json"), raw, 0o600)
}

// freePort asks the kernel. An address that only a Wrap command has cannot be
// asked here; ports are free there anyway.
func (d *Transmission) freePort() (int, error) {
	address := d.opts.Address
	if len(d.opts.Wrap) > 0 {
		address = "127.0.0.1"
	}
	l, err := net.Listen("tcp", address+":0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// start runs the daemon over its configuration and waits until it answers.
func (d *Transmission) start(ctx context.Context) error {
	logFile, err := os.OpenFile(d.ConfigDir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	argv := append(append([]string{}, d.opts.Wrap...), d.opts.Command, "-f", "-g", d.ConfigDir)
	d.cmd = exec.Command(argv[0], argv[1:]...)
	d.cmd.Stdout, d.cmd.Stderr = logFile, logFile
	// A test binary that is killed takes its daemons along.
	d.cmd.SysProcAttr = leashed(true)
	d.cmd.Env = append(os.Environ(), "TRANSMISSION_HOME=", "HOME="+d.ConfigDir)
	if err := d.cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	d.exited = exited
	go func(cmd *exec.Cmd) { _ = cmd.Wait(); close(exited) }(d.cmd)
	return d.ready(ctx)
}

// ready waits until this daemon, and no other on its port, has answered.
func (d *Transmission) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		var session struct {
			ConfigDir string `json:"config-dir"`
		}
		err := d.Do(ctx, "session-get", nil, &session)
		if err == nil && session.ConfigDir != d.ConfigDir {
			return fmt.Errorf("%s answers for %s", d.URL, session.ConfigDir)
		}
		if err == nil {
			return nil
		}
		select {
		case <-d.exited:
			return errors.New("it exited")
		case <-ctx.Done():
			return fmt.Errorf("no answer at %s: %w", d.URL, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Kill ends the daemon as a power cut does.
func (d *Transmission) Kill() { d.end(syscall.SIGKILL) }

// Stop ends the daemon in order.
func (d *Transmission) Stop() { d.end(syscall.SIGTERM) }

// Start starts a daemon that was stopped or killed, over the same files.
func (d *Transmission) Start(t testing.TB) {
	t.Helper()
	if err := d.start(t.Context()); err != nil {
		t.Fatalf("%s does not start again: %v\n%s", d.opts.Command, err, d.log())
	}
}

func (d *Transmission) end(signal syscall.Signal) {
	if d.cmd == nil || d.cmd.Process == nil {
		return
	}
	_ = d.cmd.Process.Signal(signal)
	select {
	case <-d.exited:
	case <-time.After(15 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.exited
	}
	d.cmd = nil
}

func (d *Transmission) log() string {
	raw, _ := os.ReadFile(d.ConfigDir + "/log")
	return string(raw[max(0, len(raw)-4000):])
}

// SetPassword changes what the RPC of a stopped daemon asks for at its next start.
func (d *Transmission) SetPassword(t testing.TB, password string) {
	t.Helper()
	name := filepath.Join(d.ConfigDir, "settings.json")
	raw, err := os.ReadFile(name)
	settings := map[string]any{}
	if err == nil {
		err = json.Unmarshal(raw, &settings)
	}
	settings["rpc-password"] = password
	if err == nil {
		raw, err = json.Marshal(settings)
	}
	if err == nil {
		err = os.WriteFile(name, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	d.opts.Password = password
}

// Call does what a user's own client would do over RPC. result may be nil.
func (d *Transmission) Call(t testing.TB, method string, arguments, result any) {
	t.Helper()
	if err := d.Do(t.Context(), method, arguments, result); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
}

// Do is Call for those who expect failure.
func (d *Transmission) Do(ctx context.Context, method string, arguments, result any) error {
	body, err := json.Marshal(map[string]any{"method": method, "arguments": arguments})
	if err != nil {
		return err
	}
	for range 2 {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Close = true // leaves no goroutine behind
		req.Header.Set("X-Transmission-Session-Id", d.session)
		if d.opts.Username != "" {
			req.SetBasicAuth(d.opts.Username, d.opts.Password)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		raw, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		if resp.StatusCode == http.StatusConflict {
			d.session = resp.Header.Get("X-Transmission-Session-Id")
			continue
		}
		answer := struct {
			Result    string
			Arguments any
		}{Arguments: result}
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		if err := json.Unmarshal(raw, &answer); err != nil {
			return err
		}
		if answer.Result != "success" {
			return errors.New(answer.Result)
		}
		return nil
	}
	return errors.New("the session id is refused again and again")
}

// Signal sends the daemon a signal, such as SIGSTOP to make it hang.
func (d *Transmission) Signal(s syscall.Signal) { _ = d.cmd.Process.Signal(s) }
