package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"seedtree/builder"
)

// plainEvery is how often progress is told where there is no terminal.
const plainEvery = 15 * time.Second

// progress shows how far something got: a bar on a terminal, a line now and
// then elsewhere. It starts with the first update, so quick work shows nothing.
type progress struct {
	app   *app
	label string
	mu    sync.Mutex
	bars  *mpb.Progress
	bar   *mpb.Bar
	told  time.Time
}

func (a *app) progress(label string) *progress {
	return &progress{app: a, label: label, told: time.Now()}
}

// update takes the builder's numbers.
func (p *progress) update(b builder.Progress) { p.set(b.Bytes, b.BytesTotal) }

// set says that have of total bytes are done.
func (p *progress) set(have, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.app.isTerminal(p.app.std.err) || p.app.output == "json" {
		if time.Since(p.told) >= plainEvery {
			p.told = time.Now()
			p.app.say("%s: %s of %s", p.label, bytesText(have), bytesText(total))
		}
		return
	}
	if p.bar == nil {
		p.bars = mpb.New(mpb.WithOutput(p.app.std.err))
		p.bar = p.bars.AddBar(total,
			mpb.PrependDecorators(decor.Name(p.label+" "), decor.CountersKibiByte("% .1f / % .1f")),
			mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO)), mpb.BarRemoveOnComplete())
	}
	p.bar.SetTotal(total, false)
	p.bar.SetCurrent(have)
}

// done takes the bar away and waits until it is gone.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Abort(true)
		p.bars.Wait()
		p.bar = nil
	}
}

// named lists the first few of many failures, a line each.
func named(failed map[string]string) string {
	const some = 20
	text := ""
	for i, name := range sortedKeys(failed) {
		if i == some {
			return text + fmt.Sprintf("\n  and %s more", comma(len(failed)-i))
		}
		text += "\n  " + shown(name) + ": " + failed[name]
	}
	return text
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
