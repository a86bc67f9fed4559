package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seedtree/apply"
	"seedtree/internal/agent"
	"seedtree/manifests"
)

// syncFlags are what `seedtree sync` is told.
type syncFlags struct {
	wait          bool
	timeout       time.Duration
	allowPrune    string
	acceptRewrite string
}

// syncReport is what `seedtree sync` prints: the status after it, and what
// could not be done.
type syncReport struct {
	manifests.Status
	Revision string            `json:"revision"`
	Waiting  int               `json:"waiting"` // transfers still in flight
	Failed   map[string]string `json:"failed,omitempty"`
	HeldWhy  string            `json:"heldWhy,omitempty"`
}

func (a *app) syncCommand() *cobra.Command {
	var flags syncFlags
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Make one pass: match files and client to the catalog",
		Long: `One pass of what the agent does, for cron, systemd timers and Kubernetes CronJobs.
Transfers go on in Transmission after it ends. The built-in client ends with the
process: give it --wait, which goes on until this site is complete.`,
		Example: `  seedtree sync
  seedtree sync --wait --timeout 8h
  seedtree sync --allow-prune 1a2b3c4d   remove here what that revision removes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.sync(cmd.Context(), flags) },
	}
	f := cmd.Flags()
	f.BoolVar(&flags.wait, "wait", false, "go on until every byte is here")
	f.DurationVar(&flags.timeout, "timeout", 0, "with --wait: give up after this `duration`")
	f.StringVar(&flags.allowPrune, "allow-prune", "", "carry out the removals of `REV` although they are more than the limit")
	f.StringVar(&flags.acceptRewrite, "accept-rewrite", "", "take over a history that was rewritten or set back, as of the commit id `REV`; signatures are checked all the same")
	return cmd
}

func (a *app) sync(ctx context.Context, flags syncFlags) (err error) {
	w, err := a.openWorks(ctx, worksOptions{usual: slog.LevelWarn, allowPrune: flags.allowPrune})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if rev := flags.acceptRewrite; rev != "" {
		if strings.Trim(rev, "0123456789abcdef") != "" {
			// HEAD is where this site stands, and never what the operator has looked at.
			return fmt.Errorf("--accept-rewrite %s: name the revision by its commit id", rev)
		}
		if err := w.src.Accept(ctx, flags.acceptRewrite); err != nil {
			return err
		}
	}
	if err := w.known(ctx, flags.allowPrune); err != nil {
		return fmt.Errorf("--allow-prune: %w", err)
	}
	out, err := w.agent.Reconcile(ctx)
	if err == nil && flags.wait {
		err = a.wait(ctx, w, out, flags.timeout)
	}
	rep := newSyncReport(out)
	if out.Revision != "" {
		err = errors.Join(err, a.emit(rep, rep.write))
	}
	return errors.Join(err, rep.verdict())
}

// known makes sure that a revision the command line names is one. When nobody
// can tell, the catalog being out of reach, the pass says so itself.
func (w *works) known(ctx context.Context, rev string) error {
	if rev == "" {
		return nil
	}
	if _, err := w.src.Fetch(ctx); err != nil {
		return nil //nolint:nilerr // the pass fetches again and reports it
	}
	_, err := w.src.Revision(ctx, rev)
	return err
}

// waitPoll is how often arrived files are put in place while waiting.
const waitPoll = time.Second

// wait settles what arrives until the site is complete. A pass is made again
// whenever nothing is in flight any more and yet something is missing.
func (a *app) wait(ctx context.Context, w *works, out *agent.Outcome, timeout time.Duration) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not complete after %v", timeout))
		defer cancel()
	}
	bar := a.progress("fetching")
	defer bar.done()
	for out.Result == nil || !out.Result.Complete {
		if out.Result != nil && out.Result.Held > 0 && out.Result.Waiting == 0 {
			return nil // waiting longer approves nothing
		}
		bar.set(out.Status.Bytes.Have, out.Status.Bytes.Listed)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(waitPoll):
		}
		again := w.agent.Settle
		if out.Result == nil || out.Result.Waiting == 0 {
			again = w.agent.Reconcile
		}
		next, err := again(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && !transient(err) {
			return err
		}
		if err != nil {
			w.log.Warn("will try again", "err", err)
		}
		if next.Result != nil {
			*out = *next
		}
	}
	if out.Status.Role != manifests.StatusPendingMain {
		return nil
	}
	// What arrived between two passes made it complete; a pass makes it main.
	next, err := w.agent.Reconcile(ctx)
	if next.Result != nil {
		*out = *next
	}
	return err
}

// transient reports whether waiting may cure an error.
func transient(err error) bool { return exitCode(err) == exitUnreachable }

func newSyncReport(out *agent.Outcome) *syncReport {
	r := &syncReport{Status: out.Status, Revision: out.Revision, Failed: map[string]string{}}
	if out.Plan != nil {
		r.HeldWhy = out.Plan.HeldWhy
		for tree, why := range out.Plan.Stopped {
			r.Failed["tree "+tree] = why
		}
		for key, why := range out.Plan.Problems {
			r.Failed[key.String()] = why
		}
	}
	if out.Result != nil {
		r.Waiting = out.Result.Waiting
		for _, e := range out.Result.Errors {
			r.Failed[e.Key.String()] = e.Op + ": " + e.Err.Error()
		}
	}
	return r
}

// verdict is the error that a pass without an error ends with all the same.
func (r *syncReport) verdict() error {
	switch {
	case len(r.Failed) > 0:
		err := fmt.Errorf("%w: %s%s", errPartial, comma(len(r.Failed)), named(r.Failed))
		if notMounted(r.Failed) {
			err = withHint(err, mountHint)
		}
		return err
	case r.Entries.Held > 0:
		return withHint(fmt.Errorf("%w: %s", errHeld, r.HeldWhy),
			"seedtree approve %.12s   (at every site) or seedtree sync --allow-prune %.12s   (here)", r.Revision, r.Revision)
	}
	return nil
}

// mountHint is what to do about a tree root that carries no marker.
const mountHint = "mount its drive; for a new tree, or a new drive: seedtree init"

// notMounted reports whether some tree stopped because its root is absent or
// carries no marker, which is what an unmounted drive looks like.
func notMounted(reasons map[string]string) bool {
	for _, why := range reasons {
		if strings.Contains(why, apply.ErrNoMarker.Error()) {
			return true
		}
	}
	return false
}

func (r *syncReport) write(w io.Writer) {
	fmt.Fprintf(w, "%s at %.12s: %s of %s here, %s entries missing, %s in flight; fetched %s, reused %s\n", r.Role, r.Revision,
		bytesText(r.Bytes.Have), bytesText(r.Bytes.Listed), comma(r.Entries.Missing), comma(r.Waiting),
		bytesText(r.Bytes.Downloaded), bytesText(r.Bytes.Reused))
}
