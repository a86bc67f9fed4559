package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"seedtree/apply"
)

// testIntroduce: a changed tracker reaches what is held and outlasts a restart,
// whatever the torrents were added with.
func testIntroduce(t *testing.T, s *suite) {
	root := treeRoot(t, "photos")
	var files []File
	for i, trackers := range [][][]string{
		nil, // from a time when the catalog had none
		{{"http://127.0.0.1:1/announce"}},
		{{"http://127.0.0.1:1/announce"}},
		{{"http://127.0.0.1:2/announce", "http://127.0.0.1:1/announce"}, {"http://127.0.0.1:3/announce"}},
	} {
		f := NewFile(t, "photos", fmt.Sprintf("%d.jpg", i), Random(uint64(i), 1000+i))
		f.Write(t, root)
		a := inPlace(f, root)
		a.Trackers = trackers
		s.add(t, a)
		files = append(files, f)
	}
	s.untilDone(t, root, files...)
	for _, want := range [][][]string{
		{{"http://127.0.0.1:4/announce"}},
		{{"http://127.0.0.1:1/announce"}, {"http://127.0.0.1:4/announce"}}, // one more
		{{"http://127.0.0.1:5/announce", "http://127.0.0.1:6/announce"}},   // all other ones
		nil,
		{{"http://127.0.0.1:1/announce"}},
	} {
		for range 2 { // once to change and once to find nothing to do
			if err := s.introducer(t).Introduce(t.Context(), want, []string{"127.0.0.1:1"}); err != nil {
				t.Fatalf("introduce: %v", err)
			}
			s.requireTrackers(t, want, files...)
		}
		s.untilDone(t, root, files...)
	}
	s.Engine = s.Reopen(t)
	s.requireTrackers(t, [][]string{{"http://127.0.0.1:1/announce"}}, files...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.introducer(t).Introduce(ctx, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled, it returns %v", err)
	}
	last := [][]string{{"http://127.0.0.1:7/announce"}}
	if err := s.introducer(t).Introduce(t.Context(), last, nil); err != nil {
		t.Fatalf("introduce: %v", err)
	}
	s.requireTrackers(t, last, files...)
	s.untilDone(t, root, files...)
	s.requireFetch(t, files[0])
}

func (s *suite) introducer(t *testing.T) apply.Introducer {
	t.Helper()
	in, ok := s.Engine.(apply.Introducer)
	if !ok {
		t.Fatal("the engine cannot be told of other trackers")
	}
	return in
}

// requireTrackers compares the URLs, not the tiers that they are in.
func (s *suite) requireTrackers(t *testing.T, want [][]string, files ...File) {
	t.Helper()
	urls := slices.Sorted(slices.Values(slices.Concat(want...)))
	for _, f := range files {
		got := slices.Sorted(slices.Values(slices.Concat(s.Trackers(t, f.Entry.InfoHash)...)))
		if !slices.Equal(got, urls) {
			t.Fatalf("%s is announced to %q, want %q", f.Entry.Path, got, urls)
		}
	}
}
