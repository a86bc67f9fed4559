//go:build unix

package transmission

import (
	"context"
	"syscall"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/internal/testkit"
)

func TestClientHangs(t *testing.T) {
	onEach(t, func(t *testing.T, v testkit.TransmissionVersion) {
		d := daemon(t, v)
		e := open(t, Config{URL: d.URL})
		d.Signal(syscall.SIGSTOP)
		defer d.Signal(syscall.SIGCONT)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := e.List(ctx)
		wantError(t, err, apply.ErrEngineUnreachable, "in time")
		wantError(t, err, context.DeadlineExceeded)
	})
}
