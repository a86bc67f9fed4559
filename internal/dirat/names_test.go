package dirat

import (
	"fmt"
	"io/fs"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Any names at all come out in the order of the paths below them.
func TestSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`(common)?[-.!/0a]{1,12}`).Filter(func(s string) bool { return !slices.Contains([]byte(s), '/') })
		all := rapid.MapOf(name, rapid.Bool()).Draw(t, "names")
		var n Names
		var want []string
		for s, dir := range all {
			k := other
			if dir {
				k = directory
				s += "/"
			}
			want = append(want, s)
			if err := n.add([]byte(s)[:len(s)-map[bool]int{true: 1}[dir]], k); err != nil {
				t.Fatal(err)
			}
		}
		n.sort()
		slices.Sort(want)
		for i, w := range want {
			got := string(n.At(i))
			if n.IsDir(i) {
				got += "/"
			}
			if got != w {
				t.Fatalf("name %d is %q, want %q of %q", i, got, w, want)
			}
		}
	})
}

// Where the directory does not say what a name is, it is looked at.
func TestUnknownKinds(t *testing.T) {
	var n Names
	for _, name := range []string{"a", "a-b", "gone"} {
		if err := n.add([]byte(name), unknown); err != nil {
			t.Fatal(err)
		}
	}
	n.settle(func(i int, s *Stat) error {
		switch string(n.At(i)) {
		case "a":
			s.Mode = fs.ModeDir
		case "gone":
			return fs.ErrNotExist
		}
		return nil
	})
	if got := fmt.Sprintf("%s %s %s", n.At(0), n.At(1), n.At(2)); got != "a-b a gone" || !n.IsDir(1) || n.IsDir(0) || n.IsDir(2) {
		t.Fatalf("got %s", got)
	}
}

func TestNanos(t *testing.T) {
	first, last := time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)
	for _, c := range []struct {
		t    time.Time
		want int64
	}{
		{first, math.MinInt64},
		{first.Add(1), math.MinInt64 + 1},
		{first.Add(-1), math.MinInt64},
		{first.Add(time.Second), math.MinInt64 + 1e9},
		{last, math.MaxInt64},
		{last.Add(-1), math.MaxInt64 - 1},
		{last.Add(1), math.MaxInt64},
		{time.Unix(math.MaxInt64, 0), math.MaxInt64},
		{time.Unix(math.MinInt64, 0), math.MinInt64},
		{time.Unix(-1, 5), -1e9 + 5},
		{time.Unix(0, 0), 0},
	} {
		if got := nanos(c.t.Unix(), int64(c.t.Nanosecond())); got != c.want {
			t.Errorf("%d s and %d ns: %d, want %d", c.t.Unix(), c.t.Nanosecond(), got, c.want)
		}
	}
}
