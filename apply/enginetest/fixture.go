// Package enginetest is the contract that every apply.Engine passes, and an
// engine in memory for tests of the code around engines. It is for tests only.
package enginetest

import (
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/manifests"
)

// Fixture is one engine under test and the means to feed and question it.
type Fixture struct {
	Engine apply.Engine
	// Reopen shuts the engine (and, for a foreign client, the client) down as
	// an orderly stop does, and opens it again over the same state. The old
	// Engine value is dead afterwards.
	Reopen func(t *testing.T) apply.Engine
	// Seed makes peers hold the files until the test ends, and returns the
	// addresses to hand over in Addition.Peers. It is called before Add; where
	// a client cannot be told addresses, the peer dials in again and again by
	// itself and none are returned.
	Seed func(t *testing.T, files ...File) (peers []string)
	// Fetch is another peer that downloads a file from the engine under test
	// by protocol, without any other source.
	Fetch func(t *testing.T, f File) ([]byte, error)
	// Foreign puts a torrent of the user's own, complete in dir, into the
	// client and returns how to ask whether it is still there, untouched.
	// nil: nothing but seedtree can add torrents to this engine.
	Foreign func(t *testing.T, f File, dir string) (there func() bool)
	// Trackers asks the client where it announces a torrent: BEP 12 tiers, or
	// the same URLs in others where it cannot arrange them.
	Trackers func(t *testing.T, h manifests.InfoHash) [][]string
	// Many is how many small torrents the engine must take in stride; 0: 600.
	Many int
	// Patience bounds every wait for the engine; 0: one minute.
	Patience time.Duration
}

// Run checks an engine against the contract. open is called once per test and
// gives an engine that holds nothing; it registers its own cleanup.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"holds nothing at first", testEmpty},
		{"adds complete data in place", testAddFull},
		{"add is idempotent", testAddTwice},
		{"waits without data and without peers", testAddNone},
		{"downloads into staging", testDownload},
		{"downloads only missing pieces", testDownloadPartial},
		{"follows data that was moved", testMove},
		{"a moved torrent is read-only", testMoveThenReadOnly},
		{"move of an unknown torrent is an error", testMoveUnknown},
		{"remove keeps data", testRemove},
		{"lists no foreign torrents", testForeign},
		{"survives reopening", testReopen},
		{"never repairs read-only data", testReadOnlyCorrupt},
		{"never fetches what is missing from read-only data", testReadOnlyMissing},
		{"errors are per torrent", testErrorsPerTorrent},
		{"refuses metainfo that reaches outside", testHostileMetainfo},
		{"carries hostile names or refuses them", testHostileNames},
		{"equal content at two paths", testSameContentTwice},
		{"follows trackers that were changed", testIntroduce},
		{"takes many small torrents", testMany},
		{"a cancelled context changes nothing", testCancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open(t)
			if f.Many == 0 {
				f.Many = 600
			}
			if f.Patience == 0 {
				f.Patience = time.Minute
			}
			c.test(t, &suite{Fixture: f})
		})
	}
}

// suite is a fixture with the helpers that every contract test uses.
type suite struct{ Fixture }

// torrents returns the engine's list by hash and refuses duplicates.
func (s *suite) torrents(t *testing.T) map[manifests.InfoHash]apply.Torrent {
	t.Helper()
	list, err := s.Engine.List(t.Context())
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	byHash := make(map[manifests.InfoHash]apply.Torrent, len(list))
	for _, one := range list {
		if _, twice := byHash[one.InfoHash]; twice {
			t.Fatalf("torrent %s is listed twice", one.InfoHash)
		}
		byHash[one.InfoHash] = one
	}
	return byHash
}

// until polls the engine's list until ok says so, or fails after the patience.
func (s *suite) until(t *testing.T, what string, ok func(map[manifests.InfoHash]apply.Torrent) bool) {
	t.Helper()
	deadline := time.Now().Add(s.Patience)
	for {
		list := s.torrents(t)
		if ok(list) {
			return
		}
		if time.Now().After(deadline) {
			if len(list) > 10 {
				t.Fatalf("not within %v: %s; %d torrents held", s.Patience, what, len(list))
			}
			t.Fatalf("not within %v: %s; the engine says %+v", s.Patience, what, list)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// untilDone waits until the engine seeds all files from root.
func (s *suite) untilDone(t *testing.T, root string, files ...File) {
	t.Helper()
	s.until(t, "all seeding from "+root, func(list map[manifests.InfoHash]apply.Torrent) bool {
		for _, f := range files {
			if one := list[f.Entry.InfoHash]; !one.Done() || one.Root != root {
				return false
			}
		}
		return true
	})
}

// add hands over additions that must not fail.
func (s *suite) add(t *testing.T, additions ...apply.Addition) {
	t.Helper()
	if err := s.Engine.Add(t.Context(), additions); err != nil {
		t.Fatalf("add: %v", err)
	}
}

// requireFetch downloads a file from the engine and compares every byte.
func (s *suite) requireFetch(t *testing.T, f File) {
	t.Helper()
	got, err := s.Fetch(t, f)
	if err != nil {
		t.Fatalf("a peer cannot fetch %s from the engine: %v", f.Entry.Path, err)
	}
	if string(got) != string(f.Data) {
		t.Fatalf("a peer fetched %d bytes of %s that differ from the %d listed", len(got), f.Entry.Path, len(f.Data))
	}
}
