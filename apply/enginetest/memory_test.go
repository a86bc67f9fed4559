package enginetest_test

import (
	"testing"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/manifests"
)

func TestMemory(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) enginetest.Fixture {
		m := enginetest.NewMemory()
		m.Auto = true
		return enginetest.Fixture{
			Engine: m,
			Reopen: func(t *testing.T) apply.Engine {
				if err := m.Close(); err != nil {
					t.Fatal(err)
				}
				m.Reopen()
				return m
			},
			Seed: func(_ *testing.T, files ...enginetest.File) []string {
				m.Offer(files...)
				return nil
			},
			Fetch: func(_ *testing.T, f enginetest.File) ([]byte, error) {
				return m.Fetch(f.Entry.InfoHash)
			},
			Trackers: func(_ *testing.T, h manifests.InfoHash) [][]string { return m.Trackers(h) },
		}
	})
}
