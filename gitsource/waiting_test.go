package gitsource

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"seedtree/internal/pulse"
	"seedtree/internal/testkit"
)

// Who waits for its turn in a process that waits for another process sees that one's life.
func TestWaitingInARowShowsTheHoldersLife(t *testing.T) {
	t.Parallel()
	repo, dir := bareRepo(t), t.TempDir()
	holder, here := source(t, dir, repo), source(t, dir, repo)
	release, err := holder.lock(t.Context())
	must(t, err)
	unlock := sync.OnceFunc(release)
	var all sync.WaitGroup
	defer all.Wait()
	defer unlock()
	wait := func(until string) *watched {
		w := watch(t)
		all.Go(func() {
			free, err := here.lock(w)
			if err != nil {
				t.Error(err)
				return
			}
			free()
		})
		eventually(t, "the wait", func() bool { _, step := w.seen(); return strings.HasSuffix(step, until) })
		return w
	}
	first := wait("which another process uses")
	second := wait("which other work here uses")
	for name, w := range map[string]*watched{"first": first, "second": second} {
		before, _ := w.seen()
		eventually(t, "a sign of the holder's life at the "+name, func() bool {
			holder.beat()
			now, _ := w.seen()
			return now > before
		})
	}
}

// watched is a context that counts signs of life and remembers the step.
type watched struct {
	context.Context
	mu    sync.Mutex
	beats int
	step  string
}

func watch(t *testing.T) *watched {
	w := &watched{}
	w.Context = pulse.With(t.Context(), func(step string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.beats++; step != "" {
			w.step = step
		}
	})
	return w
}

func (w *watched) seen() (int, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.beats, w.step
}

func source(t *testing.T, dir, repo string) *Source {
	s, _ := openedIn(t, dir, repo)
	return s
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	testkit.Eventually(t, 30*time.Second, what, func() error {
		if !ok() {
			return errors.New("not yet")
		}
		return nil
	})
}

// Whoever waits for the mirror shows no life of its own, and shows that of who has it:
// of other work in this process, and of another process.
func TestWaitingShowsTheHoldersLife(t *testing.T) {
	t.Parallel()
	repo, dir := bareRepo(t), t.TempDir()
	for what, open := range map[string]func(*Source) *Source{
		"the same process": func(s *Source) *Source { return s },
		"another process, which is another opening of the lock's file": func(*Source) *Source { return source(t, dir, repo) },
	} {
		t.Run(what, func(t *testing.T) {
			holder := source(t, dir, repo)
			unlock, err := holder.lock(t.Context())
			must(t, err)
			release := sync.OnceFunc(unlock)
			defer release()
			w, waits := watch(t), open(holder)
			got := make(chan error, 1)
			go func() {
				free, err := waits.lock(w)
				if err == nil {
					free()
				}
				got <- err
			}()
			eventually(t, "the wait", func() bool { _, step := w.seen(); return strings.HasPrefix(step, "waiting for the mirror") })
			before, _ := w.seen()
			time.Sleep(10 * lockPause)
			if now, _ := w.seen(); now != before {
				t.Errorf("%d signs of life from waiting for somebody who shows none", now-before)
			}
			for range 2 {
				before, _ = w.seen()
				eventually(t, "a sign of the holder's life", func() bool {
					holder.beat()
					now, _ := w.seen()
					return now > before
				})
			}
			release()
			must(t, <-got)
			if _, step := w.seen(); step != "using the mirror" {
				t.Errorf("after the wait: %q", step)
			}
		})
	}
}

// A fetch may take hours on a slow line. What is asked of a revision meanwhile waits for
// it and shows its life: to fail would stop each file of a pass, and to take a manifest
// for unreadable would be worse. Whoever asks may give up.
func TestReadingWaitsForALongFetch(t *testing.T) {
	t.Parallel()
	const silence = 200 * time.Millisecond
	s := with(t, Config{URLs: []string{bareRepo(t)}, Timeout: silence, Author: Author{"Test", "test@example.org"}})
	head := publish(t, s, nil, Commit{Put: some(t, 1)})
	l, err := head.Listing(t.Context())
	must(t, err)
	for what, read := range map[string]func(ctx context.Context) error{
		"metainfo": func(ctx context.Context) error { _, err := head.Metainfo(ctx, *l.At(0)); return err },
		"manifest": func(ctx context.Context) error { _, err := head.Manifest(ctx); return err },
		"trust":    func(ctx context.Context) error { return s.CanCommit(ctx, head, true) },
	} {
		t.Run(what, func(t *testing.T) {
			release, err := s.lock(t.Context())
			must(t, err)
			unlock := sync.OnceFunc(release)
			defer unlock()
			w, got := watch(t), make(chan error, 1)
			go func() { got <- read(w) }()
			for fetch := time.Now(); time.Since(fetch) < 3*silence; {
				before, _ := w.seen()
				eventually(t, "a sign of the fetch's life", func() bool {
					s.beat()
					now, _ := w.seen()
					return now > before || len(got) > 0
				})
			}
			select {
			case err := <-got:
				t.Fatalf("did not wait: %v", err)
			default:
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := read(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("given up: %v", err)
			}
			unlock()
			must(t, <-got)
		})
	}
}
