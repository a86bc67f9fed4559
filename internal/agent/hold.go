package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"
)

// ErrBusy means that another process works on the same state folder. Two
// agents on one site would place and prune over each other.
var ErrBusy = errors.New("another seedtree process is working for this site")

// holder is the lock on the state folder, counted: Run holds it for its
// lifetime, each pass for itself.
type holder struct {
	mu    sync.Mutex
	count int
	file  *flock.Flock
}

func (a *Agent) hold() (release func(), err error) {
	h := &a.held
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count == 0 {
		if err := os.MkdirAll(a.cfg.StateDir, 0o755); err != nil {
			return nil, fmt.Errorf("state folder: %w", err)
		}
		h.file = flock.New(filepath.Join(a.cfg.StateDir, "agent.lock"))
		ok, err := h.file.TryLock()
		if err != nil {
			return nil, fmt.Errorf("state folder: %w", err)
		}
		if !ok {
			return nil, fmt.Errorf("%s: %w", h.file.Path(), ErrBusy)
		}
	}
	h.count++
	return sync.OnceFunc(a.letGo), nil
}

func (a *Agent) letGo() {
	h := &a.held
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count--; h.count == 0 {
		_ = h.file.Close() // closing the file ends the lock whatever it returns
	}
}
