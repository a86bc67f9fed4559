//go:build unix

package main

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A hangup asks an agent for a look, whenever it comes: before the
// configuration is read, while everything is opened, and when the agent is
// about to end. The configuration is a pipe here, so that the start takes as
// long as the test wants.
func TestHangupsNeverEndTheAgent(t *testing.T) {
	hearHangups(t)
	s := newLoneSite(t)
	data, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "config.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	agent, said := s.start(t, "agent", "--config", pipe)
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits for the agent to read
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := agent.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	stop := pester(t, agent.Process)
	if _, err := w.Write(data); err != nil {
		t.Fatalf("%v: %s", err, said())
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s.waitFor(t, "a pass", said, func() bool {
		_, err := os.Stat(filepath.Join(s.state, "status.json"))
		return err == nil
	})
	if err := agent.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err = agent.Wait()
	stop()
	if err != nil {
		t.Fatalf("the agent ended with %v: %s", err, said())
	}
}

// Every other verb is ended by a hangup as ever, also one whose arguments
// mention the agent.
func TestHangupEndsOtherVerbs(t *testing.T) {
	hearHangups(t)
	pipe := filepath.Join(t.TempDir(), "agent")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "seedtree", "status", "--config", "agent")
	cmd.Dir = filepath.Dir(pipe)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGHUP {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
}

// hearHangups lets the programs that a test starts hear SIGHUP, also where nohup
// runs the tests: who ignores a signal leaves that to its children, who catches
// one does not.
func hearHangups(t *testing.T) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(caught) })
}

// pester sends SIGHUP again and again until told to stop.
func pester(t *testing.T, p *os.Process) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = p.Signal(syscall.SIGHUP) // it may be gone by now
			time.Sleep(time.Millisecond)
		}
	}()
	return func() { cancel(); <-done }
}
