package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestParseScheduleRefuses(t *testing.T) {
	for _, c := range []struct{ spec, want string }{
		{"", "is empty"},
		{"TZ=UTC", "schedule.timezone"}, // the library panics
		{"CRON_TZ=UTC", "schedule.timezone"},
		{"TZ=UTC 0 3 * * *", "schedule.timezone"},
		{"0 0 31 2 *", "never fires"},
		{"0 0 30 2 *", "never fires"},
		{"* * * * * *", "6 fields"},
		{"0 3 * *", "4 fields"},
		{"0 3 * * 7", "Sunday is 0"},
		{"0 3 * * 5-7", "Sunday is 0"},
		{", 3 * * *", "empty element"},
		{"1,,2 3 * * *", "empty element"},
		{"60 3 * * *", "above maximum"},
		{"*/0 * * * *", "positive"},
		{"5-1 * * * *", "beyond end"},
		{"@fortnightly", "unrecognized"},
		{"@every", "want @every"},
		{"@every 0s", "whole seconds"},
		{"@every -5m", "whole seconds"},
		{"@every 500ms", "whole seconds"},
		{"@every 1.5s", "whole seconds"},
		{"@every day", "want @every"},
	} {
		_, err := ParseSchedule(c.spec, time.UTC)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), fmt.Sprintf("%q", c.spec)) {
			t.Errorf("%q: got %v, want %q", c.spec, err, c.want)
		}
	}
}

func TestScheduleNext(t *testing.T) {
	for _, c := range []struct{ spec, zone, from, want string }{
		{"@every 5m", "UTC", "2026-01-01T00:00:30Z", "2026-01-01T00:05:30Z"},
		{"0 3 * * *", "UTC", "2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z"},
		{"0 3 * * *", "Europe/Oslo", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z"},
		{"0 4 * * 0", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T04:00:00Z"},
		{"0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
		{"@daily", "Europe/Oslo", "2026-01-01T00:00:00Z", "2026-01-01T23:00:00Z"},
		// Oslo, 29 March 2026: 02:00 CET is followed by 03:00 CEST.
		{"30 2 * * *", "Europe/Oslo", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"},
		{"30 2 * * *", "Europe/Oslo", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"},
		{"30 2 29 3 *", "Europe/Oslo", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"},
		// 25 October 2026: 02:30 comes at 00:30Z and again at 01:30Z.
		{"30 2 * * *", "Europe/Oslo", "2026-10-24T12:00:00Z", "2026-10-25T01:30:00Z"},
		{"30 2 * * *", "Europe/Oslo", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"},
		{"30 2 * * *", "Europe/Oslo", "2026-10-25T00:40:00Z", "2026-10-25T01:30:00Z"},
		// Lines that leave the hour open follow real time through both.
		{"*/15 * * * *", "Europe/Oslo", "2026-10-25T00:45:00Z", "2026-10-25T01:00:00Z"},
		{"*/15 * * * *", "Europe/Oslo", "2026-03-29T00:45:00Z", "2026-03-29T01:00:00Z"},
		// São Paulo once skipped midnight itself.
		{"0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-04T02:00:00Z"},
	} {
		s, err := ParseSchedule(c.spec, zone(t, c.zone))
		if err != nil {
			t.Error(err)
			continue
		}
		from, err := time.Parse(time.RFC3339, c.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Next(from).UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("%s in %s after %s: %s, want %s", c.spec, c.zone, c.from, got, c.want)
		}
	}
}

// Through two years of clock changes a daily line fires once a day, and each
// firing is later than the one before.
func TestDailyFiresOncePerDay(t *testing.T) {
	for _, name := range []string{"Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC"} {
		loc := zone(t, name)
		for _, spec := range []string{"0 0 * * *", "30 1 * * *", "30 2 * * *", "0 3 * * *"} {
			s, err := ParseSchedule(spec, loc)
			if err != nil {
				t.Fatal(err)
			}
			at, end, count := time.Date(2017, 1, 1, 12, 0, 0, 0, loc), time.Date(2019, 1, 1, 12, 0, 0, 0, loc), 0
			for next := s.Next(at); !next.After(end); next = s.Next(at) {
				if !next.After(at) {
					t.Fatalf("%s in %s: %v is followed by %v", spec, name, at, next)
				}
				at = next
				count++
			}
			if count != 730 {
				t.Errorf("%s in %s: fired %d times in 730 days", spec, name, count)
			}
		}
	}
}

func TestJitterFollowsFromTheName(t *testing.T) {
	s, err := ParseSchedule("@every 100s", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	seen := map[time.Duration]bool{}
	for _, site := range []string{"oslo", "lima", "attic", "cellar"} {
		a, b := newTimer(s, site, 0.5, now), newTimer(s, site, 0.5, now)
		if !a.due.Equal(b.due) {
			t.Errorf("%s: two timers, two jitters", site)
		}
		offset := a.due.Sub(now) - 100*time.Second
		if offset < 0 || offset >= 50*time.Second {
			t.Errorf("%s is put off by %v, want less than 50s", site, offset)
		}
		seen[offset] = true
		// The distance between firings stays the interval.
		first := a.due
		if !a.tick(first) || a.due.Sub(first) != 100*time.Second {
			t.Errorf("%s: second firing %v after the first", site, a.due.Sub(first))
		}
	}
	if len(seen) != 4 {
		t.Errorf("four sites share %d offsets", len(seen))
	}
	if a := newTimer(s, "oslo", 0, now); a.due.Sub(now) != 100*time.Second {
		t.Errorf("without jitter due after %v", a.due.Sub(now))
	}
}

func TestTimerAndClockChanges(t *testing.T) {
	s, err := ParseSchedule("@every 5m", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a := newTimer(s, "oslo", 0.1, now)
	if a.tick(now.Add(4 * time.Minute)) {
		t.Error("fired early")
	}
	// Suspended for a day: one firing, and the next an interval later.
	now = now.Add(24 * time.Hour)
	if !a.tick(now) || a.tick(now.Add(time.Second)) {
		t.Error("a day asleep must count as one firing")
	}
	if wait := a.due.Sub(now); wait <= 0 || wait > 6*time.Minute {
		t.Errorf("next firing after %v", wait)
	}
	// Set back by a day: noticed at the next look.
	now = now.Add(-24 * time.Hour)
	a.tick(now)
	if wait := a.due.Sub(now); wait <= 0 || wait > 6*time.Minute {
		t.Errorf("after the clock was set back the next firing is %v away", wait)
	}
	if d := a.sleep(now); d > maxSleep || d <= 0 {
		t.Errorf("sleeps for %v", d)
	}
}

// FuzzParseSchedule: no line makes the parser panic, hang, or accept a
// schedule whose next firing is not in the future.
func FuzzParseSchedule(f *testing.F) {
	for _, s := range []string{"@every 5m", "0 3 * * *", "*/5 1-3,7 ? jan-mar mon", "TZ=UTC", "@daily", "0 0 31 2 *"} {
		f.Add(s)
	}
	now := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, spec string) {
		s, err := ParseSchedule(spec, time.UTC)
		if err == nil && !s.Next(now).After(now) && !s.Next(now).IsZero() {
			t.Fatalf("%q: %v is followed by %v", spec, now, s.Next(now))
		}
	})
}
