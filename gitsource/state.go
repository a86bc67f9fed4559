package gitsource

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/go-git/go-git/v5/plumbing"

	"seedtree/internal/durable"
)

// state is what the mirror knows besides objects. It is not kept in refs: git's
// are empty files after a crash, and this one must say where history stood even
// when the objects are lost.
type state struct {
	Version  int        `json:"version"`
	Branch   string     `json:"branch"`
	Tip      string     `json:"tip,omitempty"`      // the revision reached
	Gone     bool       `json:"gone,omitempty"`     // the tip's objects were lost, and not in the branch that the mirror was made anew from
	Checked  Signatures `json:"checked,omitempty"`  // how the tip was looked at
	Dated    int64      `json:"dated,omitempty"`    // what the tip counts as of: the newest date in its history, Unix time
	Contains string     `json:"contains,omitempty"` // the trusted revision that the tip was found to descend from
	// Abandoned are heads that an operator gave up by accepting another history.
	// Nothing that contains one is forward any more.
	Abandoned []string `json:"abandoned,omitempty"`
	Damaged   string   `json:"damaged,omitempty"` // why the objects must be fetched anew
}

const stateVersion = 1

func (st state) tip() hash { return plumbing.NewHash(st.Tip) }

// loadState reads the state. A missing file is a fresh state; an unreadable one
// is an error the caller reports before it goes on with a fresh state.
func loadState(name, branch string) (state, error) {
	fresh := state{Version: stateVersion, Branch: branch}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	var st state
	if err == nil {
		err = json.Unmarshal(data, &st)
	}
	if err == nil && (st.Version != stateVersion || (st.Tip != "" && !plumbing.IsHash(st.Tip))) {
		err = fmt.Errorf("version %d, tip %q", st.Version, st.Tip)
	}
	if err != nil {
		return fresh, fmt.Errorf("state of the mirror %s: %w", name, err)
	}
	if st.Branch != branch {
		// The operator follows another branch now: its history starts here.
		st.Branch, st.Tip, st.Gone, st.Checked, st.Dated, st.Contains, st.Abandoned = branch, "", false, NoSignatures, 0, "", nil
	}
	return st, nil
}

func saveState(name string, st state) error {
	data, err := json.Marshal(st)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(name, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("state of the mirror: %w", err)
	}
	return nil
}
