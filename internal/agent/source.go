package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"seedtree/apply"
)

// Names of small files beside the state file, each with one full commit id.
// They are files of their own because other processes write them while the
// agent holds its state in memory.
const (
	// builtName is the revision that this site's source last was known to be:
	// built from it, or completed when the site became main.
	builtName = "built"
	// returningName is what the source held when an operator told it to follow
	// the catalog once more. Nothing but a build put it there, and yet it is
	// ours: what the catalog does not list any more has to go.
	returningName = "returning"
)

var fullID = regexp.MustCompile(`^[0-9a-f]{40}$`)

// Built returns the revision that a site's source last was known to be. Empty
// means that nobody knows.
func Built(stateDir string) (string, error) { return readID(stateDir, builtName) }

// SetBuilt remembers it.
func SetBuilt(stateDir, rev string) error { return writeID(stateDir, builtName, rev) }

// Completed returns the last revision of which a site held every byte; empty
// when that is not known.
func Completed(stateDir string) (string, error) {
	s, damaged, err := loadState(stateDir)
	if err = errors.Join(damaged, err); err != nil {
		return "", err
	}
	return s.Complete, nil
}

// SetReturning says that the source is about to follow the catalog, until it
// is complete, and holds what a revision lists. Empty takes that back.
func SetReturning(stateDir, rev string) error {
	if rev != "" {
		return writeID(stateDir, returningName, rev)
	}
	err := os.Remove(filepath.Join(stateDir, returningName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func readID(dir, name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("agent state: %w", err)
	}
	id := strings.TrimSpace(string(data))
	if !fullID.MatchString(id) {
		return "", fmt.Errorf("%s: no commit id", filepath.Join(dir, name))
	}
	return id, nil
}

func writeID(dir, name, rev string) error {
	if !fullID.MatchString(rev) {
		return fmt.Errorf("agent state: %s: %q is no full commit id", name, rev)
	}
	if old, err := readID(dir, name); err == nil && old == rev {
		return nil
	}
	return writeFile(dir, name, []byte(rev+"\n"))
}

// earlier are the revisions that put files here after the applied one, what a
// source held before it was told to follow among them.
func (a *Agent) earlier() []string {
	id, err := readID(a.cfg.StateDir, returningName)
	if err != nil {
		a.log.Warn("it is not known what the source held before, so that is left alone", "err", err)
	}
	if id == "" || slices.Contains(a.state.owned(), id) {
		return a.state.Earlier
	}
	return append(slices.Clone(a.state.Earlier), id)
}

// ownedIDs are the revisions that put files here.
func (a *Agent) ownedIDs() []string {
	s := a.state
	s.Earlier = a.earlier()
	return s.owned()
}

// settled notes what a pass means for a site that is, or is about to be, main.
func (a *Agent) settled(rev string, planned apply.Role, r *apply.Result) error {
	if planned == apply.Main || r == nil || !r.Applied {
		return nil
	}
	// From here on the applied revision says what is ours.
	err := SetReturning(a.cfg.StateDir, "")
	if r.Role == apply.Main && r.Complete {
		err = errors.Join(err, SetBuilt(a.cfg.StateDir, rev))
	}
	return err
}
