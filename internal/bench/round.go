package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"
)

// sample is what one run of one program took.
type sample struct {
	wall, cpu time.Duration
	peak      int64 // bytes of the largest process
	round     int
}

// times scales a run over some files to one over all of them.
func (s sample) times(n float64) sample {
	s.wall, s.cpu = time.Duration(float64(s.wall)*n), time.Duration(float64(s.cpu)*n)
	return s
}

// measure runs a command to its end. It must succeed.
func measure(c *exec.Cmd) (sample, error) {
	var says tail
	c.Stderr = &says // Stdout goes to the null device: a pipe would measure us
	begun := time.Now()
	err := c.Run()
	s := sample{wall: time.Since(begun)}
	if err != nil {
		return s, fmt.Errorf("%v: %w\n%s", c.Args[:min(len(c.Args), 4)], err, says.Bytes())
	}
	s.cpu, s.peak = usage(c.ProcessState)
	return s, nil
}

// tail keeps the end of what a program says, for when it fails.
type tail struct{ bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	const enough = 8 << 10
	if t.Len() > enough {
		t.Next(t.Len() - enough/2)
	}
	return t.Buffer.Write(p)
}

// contender is something that runs once per round. prepare is not measured; it
// may return nil when there is nothing to run on this machine.
type contender struct {
	name    string
	scale   float64 // what a run stands for; 0 is 1
	prepare func(ctx context.Context) (*exec.Cmd, error)
	after   func() error // not measured either; may be nil
}

// errHangs: a program was given up. One of the peers, mktorrent 1.1, comes to
// a standstill once in some thousands of runs.
var errHangs = errors.New("did not come to an end and was stopped")

// slow is how long a run takes after which one round is enough.
const slow = 20 * time.Second

// alternate runs all contenders in turn, round after round, so that whatever
// else the machine does meets them alike. A slow one only runs once;
// a run that hangs does not count.
func (l *lab) alternate(ctx context.Context, title string, all []contender) (map[string][]sample, error) {
	got, enough := map[string][]sample{}, map[string]bool{}
	for round := range l.rounds {
		// Everybody is first now and then.
		order := slices.Clone(all)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, c := range order {
			if enough[c.name] {
				continue
			}
			s, err := c.once(ctx, l.patience)
			if errors.Is(err, errHangs) {
				l.say("%s, round %d of %d, %s: %v", title, round+1, l.rounds, c.name, err)
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", title, c.name, err)
			}
			l.say("%s, round %d of %d, %s: %.2f s, CPU %.2f s, %d MB", title, round+1, l.rounds, c.name,
				s.wall.Seconds(), s.cpu.Seconds(), s.peak/1e6)
			enough[c.name] = s.wall > slow
			if c.scale > 0 {
				s = s.times(c.scale)
			}
			s.round = round
			got[c.name] = append(got[c.name], s)
		}
	}
	return got, nil
}

func (c contender) once(ctx context.Context, patience time.Duration) (sample, error) {
	all := ctx
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd, err := c.prepare(ctx)
	if err != nil {
		return sample{}, err
	}
	together(cmd)
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	s, err := measure(cmd)
	if ctx.Err() != nil && all.Err() == nil {
		return s, errHangs
	}
	if err == nil && c.after != nil {
		err = c.after()
	}
	return s, err
}

// median of a list that is not empty; of an even number the mean of the two in
// the middle.
func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func medianOf(samples []sample, what func(sample) float64) float64 {
	var list []float64
	for _, s := range samples {
		list = append(list, what(s))
	}
	return median(list)
}

// pairs are the runs of two contenders in the same rounds: one that hung or was
// slow has none in some.
func pairs(a, b []sample) (both [][2]sample) {
	for _, x := range a {
		if i := slices.IndexFunc(b, func(y sample) bool { return y.round == x.round }); i >= 0 {
			both = append(both, [2]sample{x, b[i]})
		}
	}
	return both
}

// ratio is the median of the ratios of the runs of the same rounds; without any,
// the ratio of the medians.
func ratio(over, under []sample, what func(sample) float64) float64 {
	var list []float64
	for _, p := range pairs(over, under) {
		list = append(list, what(p[0])/what(p[1]))
	}
	if len(list) == 0 {
		return medianOf(over, what) / medianOf(under, what)
	}
	return median(list)
}

// difference is what the runs of one took more than those of another in the same
// rounds; it is not empty unless they never ran in the same one.
func difference(a, b []sample) []sample {
	var out []sample
	for _, p := range pairs(a, b) {
		out = append(out, sample{p[0].wall - p[1].wall, p[0].cpu - p[1].cpu, p[0].peak, p[0].round})
	}
	return out
}

func wall(s sample) float64 { return s.wall.Seconds() }
func cpu(s sample) float64  { return s.cpu.Seconds() }
func peak(s sample) float64 { return float64(s.peak) }
