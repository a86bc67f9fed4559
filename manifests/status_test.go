package manifests

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func fullStatus() Status {
	return Status{
		Site: "oslo", Role: StatusPendingMain, Engine: "embedded",
		Attempted: strings.Repeat("a1", 20), Applied: strings.Repeat("b2", 20), Complete: "", Remote: "ssh://git@git.example/catalog.git",
		Time:          time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Entries:       EntryCounts{6, 5, 4, 3, 2, 1},
		Bytes:         ByteCounts{1 << 40, 5, 4, 3, 2, 1},
		MissingSample: []string{"photos/2019/a.jpg"},
		Errors:        []string{"photos/b: disk full"},
		DiskFree:      map[string]int64{"photos": 1 << 40},
		Pass:          PassReport{Started: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC), Seconds: 1.5, Actions: map[string]int{"add": 3}},
	}
}

func TestStatusRoundTrip(t *testing.T) {
	want := fullStatus()
	got, err := DecodeStatus(want.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	newer := strings.Replace(string(want.Encode()), "{", `{"fromTheFuture": [1],`, 1)
	if _, err := DecodeStatus([]byte(newer)); err != nil {
		t.Errorf("a newer site's report: %v", err)
	}
}

// Whatever an agent puts in, what comes out is small, printable and readable.
func TestStatusIsAlwaysTidy(t *testing.T) {
	s := fullStatus()
	s.Errors, s.MissingSample, s.DiskFree = nil, nil, map[string]int64{}
	for i := range 1000 {
		s.Errors = append(s.Errors, fmt.Sprintf("%d \x1b[2J\n\xff\u202e", i)+strings.Repeat("<\U0001F333", 5000))
		s.MissingSample = append(s.MissingSample, strings.Repeat("<", 5000))
		s.DiskFree[fmt.Sprint(i)+strings.Repeat("<", 5000)] = 1
	}
	s.Remote = "\x1b[2J" + strings.Repeat("<", 5000)
	s.Pass.Seconds = math.Inf(1)
	s.Time = time.Date(200_000, 1, 1, 0, 0, 0, 0, time.UTC)
	kept := s.Errors[0]
	data := s.Encode()
	if s.Errors[0] != kept {
		t.Error("Encode changed its receiver's lists")
	}
	got, err := DecodeStatus(data)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Errors) != maxSample || !strings.HasPrefix(got.Errors[3], "3 �[2J ��<") {
		t.Errorf("%d errors, the fourth is %.40q", len(got.Errors), got.Errors[3])
	}
	if again := string(got.Encode()); again != string(data) {
		t.Error("a report changes when it is passed on")
	}
}

func TestStatusRefused(t *testing.T) {
	good := string(fullStatus().Encode())
	replace := func(old, new string) string {
		bad := strings.Replace(good, old, new, 1)
		if bad == good {
			t.Fatalf("the test replaces nothing: %s", old)
		}
		return bad
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":          {"", "EOF"},
		"no object":      {"[]", "cannot unmarshal"},
		"two":            {good + good, "follows"},
		"large":          {good + strings.Repeat(" ", maxStatus), "at most"},
		"deep":           {strings.Repeat("[", 100_000), "exceeded max depth"},
		"site":           {replace(`"oslo"`, `"../x"`), "site name"},
		"role":           {replace("pending main", "emperor"), "role"},
		"revision":       {replace("a1a1", "HEAD"), "no revision"},
		"negative":       {replace(`"missing": 4`, `"missing": -4`), "negative"},
		"negative bytes": {replace(`"reused": 1`, `"reused": -1`), "negative"},
		"overflow":       {replace(`"missing": 4`, `"missing": 1e400`), "cannot unmarshal"},
		"time":           {replace("2026-01-02", "2026-13-02"), "time"},
		"list":           {replace(`"photos/b: disk full"`, strings.Repeat(`"",`, 20)+`""`), "more than 20"},
		"map":            {replace(`"add": 3`, manyKeys(300)), "more than 200"},
	} {
		if s, err := DecodeStatus([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %+v, %v; want an error with %q", name, s, err, c.want)
		}
	}
}

func manyKeys(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"%d": 1`, i)
	}
	return strings.Join(keys, ",")
}

func TestMarker(t *testing.T) {
	want := Marker{Tree: "photos", Site: "oslo", Role: RoleSource, Applied: strings.Repeat("0a", 20)}
	if got, err := DecodeMarker(want.Encode()); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for name, text := range map[string]string{
		"empty":       "",
		"null":        "null",
		"unknown key": `{"tree":"a","site":"b","role":"copy","x":1}`,
		"role":        `{"tree":"a","site":"b","role":"king"}`,
		"tree":        `{"tree":"../a","site":"b","role":"copy"}`,
		"site":        `{"tree":"a","site":"B","role":"copy"}`,
		"applied":     `{"tree":"a","site":"b","role":"copy","applied":"HEAD"}`,
		"trailing":    `{"tree":"a","site":"b","role":"copy"} x`,
		"large":       `{"tree":"a","site":"b","role":"copy"}` + strings.Repeat(" ", maxMarker),
	} {
		if m, err := DecodeMarker([]byte(text)); err == nil {
			t.Errorf("%s: accepted as %+v", name, m)
		}
	}
}
