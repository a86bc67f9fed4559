//go:build unix

package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// The verb asks the agent of this machine, and its exit code is the answer.
func TestHealthcheckOfAnAgent(t *testing.T) {
	s := newLoneSite(t)
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	agent, said := s.start(t, "agent", "--config", s.config, "--web-listen", ports[0])
	ask := func(args ...string) (out string, ok bool) {
		t.Helper()
		args = append([]string{"healthcheck", "--config", s.config, "--web-listen", ports[0]}, args...)
		text, err := exec.CommandContext(t.Context(), "seedtree", args...).CombinedOutput()
		return string(text), err == nil
	}
	s.waitFor(t, "health", said, func() bool { _, ok := ask(); return ok })
	s.waitFor(t, "readiness", said, func() bool { _, ok := ask("--ready"); return ok })
	if out, ok := ask("-o", "json"); !ok || !strings.Contains(out, `"status": "ok"`) {
		t.Errorf("as JSON: %s", out)
	}
	// An agent that cannot answer is not well.
	if err := agent.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if out, ok := ask(); ok || !strings.Contains(out, "does not answer") {
		t.Errorf("stopped: %v, %s", ok, out)
	}
	for _, sig := range []os.Signal{syscall.SIGCONT, syscall.SIGTERM} {
		if err := agent.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	if err := agent.Wait(); err != nil {
		t.Fatalf("the agent ended with %v: %s", err, said())
	}
}
