package embedded

import (
	"os"
	"testing"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/manifests"
)

func TestContract(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) enginetest.Fixture {
		dir := t.TempDir()
		e := start(t, Config{StateDir: dir})
		var seeder *Engine
		return enginetest.Fixture{
			Engine: e,
			Reopen: func(t *testing.T) apply.Engine {
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
				e = start(t, Config{StateDir: dir})
				return e
			},
			Seed: func(t *testing.T, files ...enginetest.File) []string {
				if seeder == nil {
					seeder = start(t, Config{})
				}
				seeded(t, seeder, files...)
				return []string{seeder.address()}
			},
			Fetch: func(t *testing.T, f enginetest.File) ([]byte, error) {
				other, root := start(t, Config{}), treeRoot(t, f.Entry.Tree)
				mustAdd(t, other, empty(f, root, e.address()))
				untilDone(t, other, f)
				return os.ReadFile(f.Name(root))
			},
			Trackers: func(_ *testing.T, h manifests.InfoHash) [][]string {
				tiers, _ := e.swarmOf(h)
				return tiers
			},
		}
	})
}
