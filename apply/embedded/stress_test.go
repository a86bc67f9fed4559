package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/manifests"
)

// churn is two engines and the files that travel between them.
type churn struct {
	a, b       *Engine
	root, home string
	files      []enginetest.File
	adds       []apply.Addition // for b
}

func newChurn(t *testing.T, n int) *churn {
	c := &churn{a: start(t, Config{}), b: start(t, Config{Window: 20}), home: treeRoot(t, "photos")}
	for i := range n {
		size := 20000 + i
		if i%10 == 0 {
			size = 3<<18 + i
		}
		f := enginetest.NewFile(t, "photos", fmt.Sprint(i), enginetest.Random(uint64(i), size))
		c.files = append(c.files, f)
		c.adds = append(c.adds, empty(f, c.home, c.a.address()))
	}
	c.root = seeded(t, c.a, c.files...)
	mustAdd(t, c.b, c.adds...)
	return c
}

// stir are the things that go on at the same time, with file i.
func (c *churn) stir(ctx context.Context) []func(i int) error {
	hash := func(i int) []manifests.InfoHash { return []manifests.InfoHash{c.files[i].Entry.InfoHash} }
	return []func(i int) error{
		func(i int) error {
			return errors.Join(c.b.Remove(ctx, hash(i)), c.b.Add(ctx, c.adds[i:i+1]))
		},
		func(i int) error {
			name := c.files[i].Name(c.root)
			if err := os.Chtimes(name, time.Now(), time.Now()); err != nil || i%2 == 0 {
				return err
			}
			return c.a.Remove(ctx, hash(i))
		},
		func(i int) error {
			_, err := c.a.List(ctx)
			return err
		},
		func(i int) error {
			f := c.files[i]
			_ = c.a.Add(ctx, []apply.Addition{complete(f, c.root)}) // held, changed or whole: all is well
			return os.Chtimes(f.Name(c.root), time.Now(), f.Entry.ModTime)
		},
		func(i int) error {
			_ = c.b.Move(ctx, hash(i)[0], c.home) // an error while the file is not whole
			time.Sleep(time.Millisecond)
			return nil
		},
	}
}

// TestChurn removes, adds, moves and spoils torrents at both ends while they
// travel. The library panics in its own goroutines when it is surprised, which
// would take the whole agent along: that it does not is what is tested.
func TestChurn(t *testing.T) {
	t.Parallel()
	c := newChurn(t, 150)
	var group sync.WaitGroup
	end := time.Now().Add(4 * time.Second)
	for k, do := range c.stir(t.Context()) {
		group.Go(func() {
			for r := rand.New(rand.NewPCG(1, uint64(k))); time.Now().Before(end); {
				if err := do(r.IntN(len(c.files))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	for i, f := range c.files {
		h := []manifests.InfoHash{f.Entry.InfoHash}
		f.Write(t, c.root)
		if err := c.a.Remove(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		mustAdd(t, c.a, complete(f, c.root))
		if state(t, c.b, h[0]).Err != "" {
			if err := c.b.Remove(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			mustAdd(t, c.b, c.adds[i])
		}
	}
	for _, f := range c.files {
		untilDone(t, c.b, f)
		requireFile(t, f, c.home)
	}
}
