package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Whoever commits at a site does not wait for its agent's schedule, which is a
// day here.
func TestCommitsWakeTheAgent(t *testing.T) {
	s := newLoneSite(t)
	_, said := s.start(t, "agent", "--config", s.config, "--log-level", "debug")
	attempted := func() string {
		data, err := os.ReadFile(filepath.Join(s.state, "status.json"))
		var status struct{ Attempted string }
		if err != nil || json.Unmarshal(data, &status) != nil {
			return ""
		}
		return status.Attempted
	}
	s.waitFor(t, "the first pass", said, func() bool { return attempted() != "" })
	if err := os.WriteFile(filepath.Join(s.dir, "photos", "b.jpg"), []byte("another photo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, verb := range [][]string{
		{"build"},
		{"approve", "HEAD"},
		{"rollback", "HEAD~2"},
		{"promote", "lima", "--force"},
	} {
		args := append(verb, "--config", s.config, "-o", "json")
		out, err := exec.CommandContext(t.Context(), "seedtree", args...).Output()
		if err != nil {
			t.Fatalf("%q: %v: %s", verb, err, out)
		}
		var made struct{ Revision string }
		if err := json.Unmarshal(out, &made); err != nil || made.Revision == "" {
			t.Fatalf("%q committed nothing: %s", verb, out)
		}
		s.waitFor(t, verb[0]+" to be noticed", said, func() bool { return attempted() == made.Revision })
	}
}
