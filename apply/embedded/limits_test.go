package embedded

import (
	"testing"
	"time"

	"seedtree/apply/enginetest"
)

// TestLimits: bytes take the time the limit asks for, at either end, and
// flow freely once it is lifted.
func TestLimits(t *testing.T) {
	t.Parallel()
	const limit = 512 << 10
	for name, end := range map[string]struct{ seeder, leecher Config }{
		"upload":   {seeder: Config{UploadLimit: limit}},
		"download": {leecher: Config{DownloadLimit: limit}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := enginetest.NewFile(t, "photos", "a.raw", enginetest.Random(1, limit))
			huge := enginetest.NewFile(t, "photos", "b.raw", enginetest.Random(2, 64*limit))
			seeder, leecher := start(t, end.seeder), start(t, end.leecher)
			seeded(t, seeder, f, huge)
			home := treeRoot(t, "photos")
			began := time.Now()
			mustAdd(t, leecher, empty(f, home, seeder.address()))
			untilDone(t, leecher, f)
			if took := time.Since(began); took < 700*time.Millisecond {
				t.Errorf("a second's worth of bytes took %v", took)
			}
			mustAdd(t, leecher, empty(huge, home, seeder.address()))
			until(t, "it starts", func() bool { return state(t, leecher, huge.Entry.InfoHash).Left < huge.Entry.Length })
			seeder.SetLimits(0, 0)
			leecher.SetLimits(0, 0)
			// Within the minute that until waits; under the limit it takes longer.
			untilDone(t, leecher, huge)
			requireFile(t, huge, home)
		})
	}
}
