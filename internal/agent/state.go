package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"seedtree/internal/durable"
)

// Names of the agent's files in its state folder.
const (
	stateName  = "state.json"
	StatusName = "status.json" // for other processes to read
)

// maxEarlier bounds the list of revisions that were begun and not applied. A
// site whose removals are held for long collects one for every commit; past
// the bound the oldest is no longer known, which removes too little, never
// too much.
const maxEarlier = 32

// state is what a site must remember between two lives of its agent. All are
// full commit ids.
type state struct {
	// Attempted is the newest revision that was fetched, trusted and readable.
	Attempted string `json:"attempted,omitempty"`
	// Applied is the last revision of which every action was issued. What it
	// lists is ours.
	Applied string `json:"applied,omitempty"`
	// Earlier are revisions begun after Applied, oldest first: parts of them
	// may stand here, and those are ours as well.
	Earlier []string `json:"earlier,omitempty"`
	// Complete is the last revision of which every byte was in place.
	Complete string `json:"complete,omitempty"`
}

// begin remembers that a revision is about to be executed.
func (s *state) begin(rev string) {
	if s.Applied == rev && len(s.Earlier) == 0 || slices.Contains(s.Earlier, rev) {
		return
	}
	s.Earlier = append(slices.Clone(s.Earlier), rev)
	if over := len(s.Earlier) - maxEarlier; over > 0 {
		s.Earlier = s.Earlier[over:]
	}
}

// applied remembers that nothing but transfers is left to do for a revision.
func (s *state) applied(rev string) { s.Applied, s.Earlier = rev, nil }

// owned are the revisions that put files here.
func (s state) owned() []string {
	if s.Applied == "" {
		return slices.Clone(s.Earlier)
	}
	return append([]string{s.Applied}, s.Earlier...)
}

func (s state) equal(o state) bool {
	return s.Attempted == o.Attempted && s.Applied == o.Applied && s.Complete == o.Complete && slices.Equal(s.Earlier, o.Earlier)
}

// loadState reads the state file. One that is missing is a first start; one
// that cannot be understood is reported and starts from nothing, which makes a
// site remove less than it might.
func loadState(dir string) (s state, damaged, err error) {
	data, err := os.ReadFile(filepath.Join(dir, stateName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return state{}, nil, nil
	case err != nil:
		return state{}, nil, fmt.Errorf("agent state: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return state{}, fmt.Errorf("%s: %w", filepath.Join(dir, stateName), err), nil
	}
	return s, nil, nil
}

// Attempted returns the newest revision that a site fetched, trusted and could
// read; empty when that is not known.
func Attempted(stateDir string) (string, error) {
	s, damaged, err := loadState(stateDir)
	return s.Attempted, errors.Join(damaged, err)
}

func (s state) save(dir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("agent state: %w", err)
	}
	return writeFile(dir, stateName, append(data, '\n'))
}

// writeFile replaces a file in the state folder, which it makes if need be.
func writeFile(dir, name string, data []byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Join(dir, name), err)
	}
	return nil
}
