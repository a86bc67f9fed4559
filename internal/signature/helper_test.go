package signature

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run runs a real program and returns what it printed.
func run(t *testing.T, stdin []byte, name string, args ...string) string {
	t.Helper()
	out, err := try(t, stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func try(t *testing.T, stdin []byte, name string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test needs %s: run .ci/install-test-tools", name)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return string(out) + problems.String(), err
	}
	return string(out), nil
}

// sshKeyFile makes a key with the real ssh-keygen and returns its private file.
func sshKeyFile(t *testing.T, args ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key")
	run(t, nil, "ssh-keygen", append([]string{"-q", "-C", "test", "-f", name, "-N", ""}, args...)...)
	return name
}

// public returns the "TYPE BASE64" of a key file.
func public(t *testing.T, key string) string {
	t.Helper()
	return strings.Join(strings.Fields(read(t, key+".pub"))[:2], " ")
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(t.TempDir(), name)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// allowed parses a list whose openpgp files are absolute names.
func allowed(t *testing.T, lines ...string) *Allowed {
	t.Helper()
	a, err := ParseAllowed([]byte(strings.Join(lines, "\n")+"\n"), os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func privKey(t *testing.T, file, passphrase string) *Key {
	t.Helper()
	k, err := ParseKey([]byte(read(t, file)), []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signed(t *testing.T, k *Key, data string, at time.Time) []byte {
	t.Helper()
	armored, err := k.Sign([]byte(data), at)
	if err != nil {
		t.Fatal(err)
	}
	return armored
}

// wants checks an outcome: no error and these principals, or that error.
func wants(t *testing.T, s Signer, err error, principals string, failure error) {
	t.Helper()
	if !errors.Is(err, failure) || failure == nil && (err != nil || strings.Join(s.Principals, ",") != principals) {
		t.Errorf("%v, %v; want %q, %v", s, err, principals, failure)
	}
}

// gnupg is a real gpg with a home of its own.
type gnupg struct{ home string }

func newGnupg(t *testing.T) gnupg {
	t.Helper()
	// The agent's socket lies in it, whose name must be short.
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	return gnupg{home}
}

func (g gnupg) run(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	return run(t, []byte(stdin), "gpg", append([]string{"--homedir", g.home, "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback"}, args...)...)
}

// key makes a key and returns the file of its public half.
func (g gnupg) key(t *testing.T, algo, usage, expire string, args ...string) string {
	t.Helper()
	g.run(t, "", append(args, "--passphrase", "", "--quick-generate-key", "Ada <ada@example.org>", algo, usage, expire)...)
	return g.export(t)
}

func (g gnupg) export(t *testing.T) string {
	t.Helper()
	return write(t, "key.asc", g.run(t, "", "--armor", "--export"))
}

func (g gnupg) sign(t *testing.T, data string, args ...string) []byte {
	t.Helper()
	return []byte(g.run(t, data, append([]string{"--armor", "--detach-sign"}, append(args, "-o", "-")...)...))
}

var someday = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func stamp(t time.Time) string { return fmt.Sprintf("%sZ", t.UTC().Format("20060102150405")) }
