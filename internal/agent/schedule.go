package agent

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule says when something is due.
type Schedule struct {
	spec string
	// next is strictly later than its argument; the zero time means never.
	next func(time.Time) time.Time
}

// ParseSchedule reads a cron line of five fields ("30 2 * * 1-5", Sunday is 0),
// one of @hourly, @daily, @weekly, @monthly, @yearly, or "@every 5m".
//
// Times of day are those of loc (nil: the machine's). On the nights when clocks
// change, a line with a fixed hour still fires once: a time that is skipped
// fires at most an hour beside it, a time that comes twice fires one time.
// Lines for every hour or every few minutes follow real time.
//
// What the cron library would take and then do something else with is refused:
// a time zone inside the line, seconds, intervals below or between whole
// seconds, and dates that never come.
func ParseSchedule(spec string, loc *time.Location) (Schedule, error) {
	s, err := parseSchedule(strings.TrimSpace(spec), loc)
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %q: %w", spec, err)
	}
	return s, nil
}

func parseSchedule(spec string, loc *time.Location) (Schedule, error) {
	if loc == nil {
		loc = time.Local
	}
	switch {
	case spec == "":
		return Schedule{}, errors.New("is empty")
	case strings.Contains(spec, "TZ="):
		return Schedule{}, errors.New("the time zone is set by schedule.timezone, not in the line")
	case strings.HasPrefix(spec, "@every"):
		return parseEvery(spec)
	}
	if !strings.HasPrefix(spec, "@") {
		if err := checkFields(strings.Fields(spec)); err != nil {
			return Schedule{}, err
		}
	}
	parsed, err := parseCron(spec)
	if err != nil {
		return Schedule{}, err
	}
	parsed.Location = loc
	s := Schedule{spec: spec, next: parsed.Next}
	if !everyHour(spec) {
		parsed.Location = time.UTC
		s.next = onWallClock(parsed, loc)
	}
	if s.Next(time.Now()).IsZero() {
		return Schedule{}, errors.New("never fires: no such date within five years")
	}
	return s, nil
}

func parseEvery(spec string) (Schedule, error) {
	d, err := time.ParseDuration(strings.TrimSpace(strings.TrimPrefix(spec, "@every")))
	switch {
	case err != nil:
		return Schedule{}, errors.New("want @every and a duration such as 90s, 5m or 1h30m")
	case d < time.Second || d%time.Second != 0:
		return Schedule{}, fmt.Errorf("%v: want whole seconds, at least one", d)
	}
	every := cron.Every(d)
	return Schedule{spec: spec, next: every.Next}, nil
}

// checkFields refuses what the library reads differently than it looks.
func checkFields(fields []string) error {
	if len(fields) != 5 {
		return fmt.Errorf("%d fields, want five: minute, hour, day of month, month, day of week", len(fields))
	}
	for _, f := range fields {
		for _, part := range strings.Split(f, ",") {
			if part == "" {
				return fmt.Errorf("the list %q has an empty element", f)
			}
		}
	}
	for _, part := range strings.FieldsFunc(fields[4], func(r rune) bool { return strings.ContainsRune(",-/", r) }) {
		if part == "7" {
			return errors.New("day of week 7: Sunday is 0")
		}
	}
	return nil
}

// parseCron guards against the library's panics on lines it did not expect.
func parseCron(spec string) (parsed *cron.SpecSchedule, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot be read: %v", r)
		}
	}()
	s, err := cron.ParseStandard(spec)
	if err != nil {
		return nil, err
	}
	parsed, ok := s.(*cron.SpecSchedule)
	if !ok {
		return nil, errors.New("is no cron line")
	}
	return parsed, nil
}

// everyHour reports whether the line leaves the hour open, or steps through
// the hours from midnight on: such a line means real time, not a time of day.
func everyHour(spec string) bool {
	if strings.HasPrefix(spec, "@") {
		return spec == "@hourly"
	}
	return strings.ContainsAny(strings.Fields(spec)[1], "*?")
}

// onWallClock lets a schedule run on a clock without daylight saving and asks
// afterwards which instant that is: time.Date names exactly one, whether the
// time of day comes once, twice or never.
func onWallClock(s *cron.SpecSchedule, loc *time.Location) func(time.Time) time.Time {
	return func(t time.Time) time.Time {
		l := t.In(loc)
		wall := time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), l.Nanosecond(), time.UTC)
		// Clocks have never been changed by more than a day.
		for wall = wall.Add(-25 * time.Hour); ; {
			if wall = s.Next(wall); wall.IsZero() {
				return wall
			}
			if due := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), 0, 0, loc); due.After(t) {
				return due
			}
		}
	}
}

// String returns the line as it was written.
func (s Schedule) String() string { return s.spec }

// IsZero reports whether the schedule was never set.
func (s Schedule) IsZero() bool { return s.next == nil }

// Next returns when the schedule is due after t, or the zero time.
func (s Schedule) Next(t time.Time) time.Time {
	if s.next == nil {
		return time.Time{}
	}
	return s.next(t)
}

// timer follows a schedule for one site. Every firing is put off by the same
// share of the interval, a share that follows from the site's name, so that a
// fleet does not knock at the git server in one second, and every day alike.
type timer struct {
	schedule Schedule
	share    float64 // of the interval, 0 <= share < 1
	base     time.Time
	due      time.Time
}

// newTimer makes a timer; jitter 0.1 spreads sites over a tenth of the interval.
func newTimer(s Schedule, site string, jitter float64, now time.Time) *timer {
	h := fnv.New64a()
	_, _ = h.Write([]byte(site)) // never fails
	t := &timer{schedule: s, share: jitter * float64(h.Sum64()>>11) / (1 << 53)}
	t.base = s.Next(now)
	t.due = t.putOff(t.base)
	return t
}

func (t *timer) putOff(base time.Time) time.Time {
	following := t.schedule.Next(base)
	if base.IsZero() || following.IsZero() {
		return base
	}
	return base.Add(time.Duration(math.Floor(float64(following.Sub(base)) * t.share)))
}

// tick reports whether the schedule is due at now, and moves on if so.
//
// It looks at the wall clock each time rather than trusting one long sleep:
// machines are suspended, and clocks are set. A clock set back by a day must
// not silence a five-minute schedule for that day; firings missed while the
// machine slept count as one.
func (t *timer) tick(now time.Time) bool {
	if t.base.IsZero() {
		t.base = t.schedule.Next(now)
		t.due = t.putOff(t.base)
		return false
	}
	if !now.Before(t.due) {
		if t.base = t.schedule.Next(t.base); !t.base.After(now) {
			t.base = t.schedule.Next(now)
		}
		t.due = t.putOff(t.base)
		return true
	}
	if again := t.schedule.Next(now); again.Before(t.base) && t.putOff(again).Before(t.due) {
		t.base, t.due = again, t.putOff(again)
	}
	return false
}

// maxSleep bounds how late a suspended or re-set clock is noticed.
const maxSleep = time.Minute

// sleep says how long to wait before the next tick.
func (t *timer) sleep(now time.Time) time.Duration {
	if t.base.IsZero() {
		return maxSleep
	}
	return min(max(t.due.Sub(now), time.Millisecond), maxSleep)
}
