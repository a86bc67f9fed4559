package gitsource

import (
	"errors"
	"fmt"
	"strings"
)

// Errors a caller decides on, found with errors.Is.
var (
	// ErrUnreachable: no remote answered, or the connection broke; trying again may help.
	ErrUnreachable = errors.New("catalog unreachable")
	// ErrEmpty: the remote has no commit on the branch yet.
	ErrEmpty = errors.New("the catalog's branch has no commit yet")
	// ErrRewound: the remote's history no longer contains what was fetched before.
	ErrRewound = errors.New("the catalog's history was rewound or rewritten")
	// ErrMoved: someone else pushed first; fetch, look again, and rebuild.
	ErrMoved = errors.New("the catalog's branch has moved")
	// ErrRefused: the remote says no (a hook, a protected branch); trying again does not help.
	ErrRefused = errors.New("the remote refused the push")
	// ErrUnchanged: a commit would have the very tree of its parent.
	ErrUnchanged = errors.New("nothing to commit")
	// ErrDamaged: the mirror cannot be read; the next Fetch makes it anew.
	ErrDamaged = errors.New("the mirror is damaged")
	// ErrRemoteDamaged: the remote's own objects are incomplete or rotten.
	ErrRemoteDamaged = errors.New("the remote's repository is damaged")
	// ErrHostKey: an ssh server's key is unknown or is not the one on record.
	ErrHostKey = errors.New("ssh host key not trusted")
	// ErrAuth: the remote does not accept our credentials.
	ErrAuth = errors.New("the remote does not accept the credentials")
	// ErrNotFound: there is no such repository or revision.
	ErrNotFound = errors.New("not found")
	// ErrTooLarge: a pack or an object is beyond what a catalog can need.
	ErrTooLarge = errors.New("too large")
	// ErrBadEntries: the revision holds names or contents that are no catalog.
	ErrBadEntries = errors.New("bad catalog entries")
)

// RewoundError says from where to where the remote's branch jumped.
// To is empty when the branch was deleted.
type RewoundError struct {
	From, To string
	Behind   bool // To is an older revision of the same history
	Undone   bool // To brings back From, which an operator had given up
}

func (e *RewoundError) Error() string {
	switch {
	case e.To == "":
		return fmt.Sprintf("%v: the branch is gone, %s was its head", ErrRewound, e.From)
	case e.Undone:
		return fmt.Sprintf("%v: its head %s contains %s, which an operator had given up", ErrRewound, e.To, e.From)
	case e.Behind:
		return fmt.Sprintf("%v: its head %s is older than %s, which was here before", ErrRewound, e.To, e.From)
	}
	return fmt.Sprintf("%v: its head %s does not descend from %s, which was here before", ErrRewound, e.To, e.From)
}

// Is makes errors.Is(err, ErrRewound) true.
func (e *RewoundError) Is(target error) bool { return target == ErrRewound }

// BadEntry is one path of a revision that is no catalog entry.
type BadEntry struct {
	Name string // path in the git tree
	Err  error
}

// BadEntriesError names every unreadable entry of a revision, sorted as in the tree.
type BadEntriesError struct {
	Revision string
	Entries  []BadEntry
}

// shownBadEntries bounds the message; the slice has them all.
const shownBadEntries = 50

func (e *BadEntriesError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "revision %.10s has %d unreadable entries, so nothing of it is used:", e.Revision, len(e.Entries))
	for i, bad := range e.Entries {
		if i == shownBadEntries {
			fmt.Fprintf(&b, "\n  and %d more", len(e.Entries)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %q: %v", bad.Name, bad.Err)
	}
	return b.String()
}

// Is makes errors.Is(err, ErrBadEntries) true.
func (e *BadEntriesError) Is(target error) bool { return target == ErrBadEntries }
