// Command seedtree replicates a tree of files to many sites: git says what the
// data should be, BitTorrent moves it. This package is the face: it reads the
// configuration, wires the rooms together, words the errors and chooses the
// exit code. What a site does is decided in apply, what a catalog holds in
// manifests.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	_ "time/tzdata" // schedules name time zones; a scratch image has no zoneinfo

	_ "golang.org/x/crypto/x509roots/fallback" // nor root certificates; those of the system win

	"seedtree/apply"
	"seedtree/builder"
	"seedtree/gitsource"
)

// Exit codes, for scripts. They are part of the interface.
const (
	exitDone        = 0
	exitFailed      = 1 // also usage and configuration
	exitChanges     = 2 // plan --detailed-exitcode found changes
	exitHeld        = 3 // removals are held until somebody approves them
	exitUntrusted   = 4 // the revision is not trusted (or would not be), a rewritten history included
	exitUnreachable = 5 // engine or git does not answer; trying again helps
	exitNotMain     = 6 // this site is not main, or not yet ready to act as main
	exitPartial     = 7 // some entries failed, each was named
	exitInterrupted = 130
)

func main() {
	a := newApp(streams{os.Stdin, os.Stdout, os.Stderr})
	a.catchHangups(os.Args[1:])
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// agentVerb is the one verb that a hangup does not end.
const agentVerb = "agent"

// catchHangups comes before everything that takes time: a reload that races
// the start of an agent, or its end, asks for a look and must not kill it. What
// the verb is, is known for certain later; prepare gives the signal back then.
func (a *app) catchHangups(args []string) {
	if slices.Contains(args, agentVerb) {
		signal.Notify(a.hangups, syscall.SIGHUP)
	}
}

// streams are the three standard files of a process.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run is main without the process: it executes one command line and returns
// its exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	err := suggestion(root.ExecuteContext(ctx))
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	a.report(err)
	return exitCode(err)
}

// exitCode is the only place where an error becomes a number.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.Is(err, errChanges):
		return exitChanges
	case errors.Is(err, errHeld), errors.Is(err, builder.ErrTooManyRemovals), errors.Is(err, builder.ErrEmpty):
		return exitHeld
	case errors.Is(err, gitsource.ErrRewound), errors.Is(err, gitsource.ErrUntrusted):
		return exitUntrusted
	case errors.Is(err, gitsource.ErrUnreachable), errors.Is(err, apply.ErrEngineUnreachable):
		return exitUnreachable
	case errors.Is(err, errNotMain), errors.Is(err, builder.ErrNotReady):
		return exitNotMain
	case errors.Is(err, errPartial):
		return exitPartial
	default:
		return exitFailed
	}
}
