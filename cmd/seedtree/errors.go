package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"seedtree/apply/embedded"
	"seedtree/builder"
	"seedtree/gitsource"
	"seedtree/internal/agent"
)

// What the exit code depends on beside the sentinels of the rooms.
var (
	errInterrupted = errors.New("interrupted")
	errChanges     = errors.New("there are changes to make")
	errHeld        = errors.New("removals are held")
	errNotMain     = errors.New("this site is not main")
	errPartial     = errors.New("some entries failed")
)

// hinted is an error that knows what the reader can do about it.
type hinted struct {
	err   error
	hints []string
}

func (h *hinted) Error() string { return h.err.Error() }

// Unwrap returns the error without its advice.
func (h *hinted) Unwrap() error { return h.err }

// withHint adds a line of advice, best a command to run, to an error.
func withHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hinted{err, []string{fmt.Sprintf(format, args...)}}
}

// report words an error for people: one line that says what failed and on
// what, then hint lines. Several errors joined (a configuration with three
// mistakes) take a line each.
func (a *app) report(err error) {
	if err == nil || errors.Is(err, errChanges) {
		return
	}
	for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		line = harmless(line)
		if strings.HasPrefix(line, " ") { // an item of the line above
			fmt.Fprintln(a.std.err, line)
			continue
		}
		fmt.Fprintln(a.std.err, a.paint(red, "error:"), line)
	}
	for _, h := range append(hintsOf(err), advice(err)...) {
		fmt.Fprintln(a.std.err, a.paint(yellow, "hint:"), harmless(h))
	}
}

// advice is what to do about the errors the rooms below let callers decide on.
func advice(err error) []string {
	var rewound *gitsource.RewoundError
	var unsignable *gitsource.UnsignableError
	var untrusted *gitsource.UntrustedError
	switch {
	case errors.As(err, &unsignable) && unsignable.Signer == "":
		return []string{"set catalog.signingKeyFile, or do it where there is a key: --catalog-signing-key-file FILE"}
	case errors.As(err, &unsignable):
		return []string{"a key with the role is needed: --catalog-signing-key-file FILE for one that is allowed already, or add this one to catalog.allowedSignersFile at every site"}
	case errors.As(err, &untrusted):
		return []string{fmt.Sprintf("look at it: git show --show-signature %.12s   If it is wrong, set the branch back to the last good commit; this site goes on by itself", untrusted.Commit)}
	case errors.Is(err, gitsource.ErrNoSigners):
		return []string{"a line each, e.g.: admin:ada ssh-ed25519 AAAA...   (docs/security.md)"}
	case errors.As(err, &rewound) && rewound.Undone:
		return []string{fmt.Sprintf("set the branch there to the history that was accepted; to go back to the other after all: seedtree sync --accept-rewrite %.12s", rewound.To)}
	case errors.As(err, &rewound) && rewound.To != "":
		return []string{fmt.Sprintf("find out who rewrote it; to take it over: seedtree sync --accept-rewrite %.12s", rewound.To)}
	case errors.Is(err, gitsource.ErrDamaged):
		return []string{"nothing is lost: run it again, which makes the mirror anew from the catalog; what a build has hashed it keeps"}
	case errors.Is(err, gitsource.ErrEmpty):
		return []string{"seedtree init   makes its first commit"}
	case errors.Is(err, builder.ErrTooManyRemovals), errors.Is(err, builder.ErrEmpty):
		return []string{"if the files were really removed: seedtree build --allow-removals"}
	case errors.Is(err, builder.ErrNotMounted):
		return []string{"mount its drive; for a new tree: seedtree init"}
	case errors.Is(err, builder.ErrNotListed):
		return []string{"--accept takes what is listed, as tree/path; what is not listed yet is committed anyway"}
	case errors.Is(err, builder.ErrNotReady):
		return []string{"seedtree sync --wait   completes this site first"}
	case errors.Is(err, gitsource.ErrAuth):
		return []string{"seedtree help config   lists the keys below catalog.ssh and catalog.https"}
	case errors.Is(err, syscall.EADDRINUSE):
		return []string{"another program listens there, perhaps another site's agent; choose another port with engine.embedded.listen (and in the manifest's peer) or tracker.listen"}
	case errors.Is(err, agent.ErrBusy), errors.Is(err, embedded.ErrInUse):
		return []string{"the agent of this site works already; kill -HUP makes it look now, seedtree status shows what it does"}
	}
	return nil
}

// hintsOf collects the advice along the whole tree of causes.
func hintsOf(err error) []string {
	var hints []string
	if h, ok := err.(*hinted); ok {
		hints = append(hints, h.hints...)
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		if inner := u.Unwrap(); inner != nil {
			hints = append(hints, hintsOf(inner)...)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range u.Unwrap() {
			hints = append(hints, hintsOf(inner)...)
		}
	}
	return hints
}
