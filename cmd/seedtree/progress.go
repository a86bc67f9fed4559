package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"seedtree/builder"
)

const (
	// plainEvery is how often progress is told where there is no terminal.
	plainEvery = 15 * time.Second
	// quick is how long work may take without anything being shown.
	quick = 200 * time.Millisecond
	// narrow is assumed of a terminal that does not say how wide it is.
	narrow = 40
	// caretC stay free at the end of the line for what a terminal shows of
	// Ctrl-C: on the next line nobody would take it away.
	caretC = 3
)

// progress shows how far something got: one line on a terminal, drawn over
// again and again, a line now and then elsewhere, nothing beside JSON.
type progress struct {
	app   *app
	label string
	mu    sync.Mutex
	begun time.Time
	told  time.Time
	drawn bool
	pace  pace
}

func (a *app) progress(label string) *progress {
	p := &progress{app: a, label: label, begun: time.Now(), told: time.Now()}
	a.bar.Store(p)
	return p
}

// set says that have of total bytes are done.
func (p *progress) set(have, total int64) {
	p.update(builder.Progress{Bytes: have, BytesTotal: total})
}

// update takes the builder's numbers.
func (p *progress) update(b builder.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	hashing := b.FilesTotal > 0 || b.BytesTotal > 0
	if hashing {
		p.pace.see(now, b.Bytes, b.BytesTotal, b.Files, b.FilesTotal)
	}
	switch terminal := p.app.isTerminal(p.app.std.err); {
	case p.app.output == "json":
	case !terminal && now.Sub(p.told) >= plainEvery:
		p.told = now
		p.app.say("%s", p.plain(b, hashing))
	case terminal && now.Sub(p.begun) >= quick:
		p.drawn = true
		fmt.Fprint(p.app.std.err, "\r"+p.line(b, hashing, p.width()-caretC)+"\x1b[K")
	}
}

// width asks anew each time: windows change.
func (p *progress) width() int {
	if f, ok := p.app.std.err.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return narrow
}

// plain is the line for logs and pipes.
func (p *progress) plain(b builder.Progress, hashing bool) string {
	if !hashing {
		return "scanning: " + comma(b.Seen) + " entries found"
	}
	text := p.label + ": "
	if b.FilesTotal > 0 {
		text += comma(b.Files) + " of " + comma(b.FilesTotal) + " files, "
	}
	text += bytesText(b.Bytes) + " of " + bytesText(b.BytesTotal) + ", " + bytesText(p.pace.rate()) + "/s"
	if left, ok := p.pace.left(); ok {
		text += ", " + shortTime(left) + " left"
	}
	return text
}

// line is the longest of the forms that fit.
func (p *progress) line(b builder.Progress, hashing bool, width int) string {
	if !hashing {
		return firstFit(width, "scanning  "+comma(b.Seen)+" entries found", "scanning "+comma(b.Seen), comma(b.Seen))
	}
	eta := "--:--"
	if left, ok := p.pace.left(); ok {
		eta = shortTime(left)
	}
	files := ""
	if b.FilesTotal > 0 {
		files = "  " + comma(b.Files) + "/" + comma(b.FilesTotal) + " files"
	}
	done := share(b)
	bytes, rate := bytesText(b.Bytes)+"/"+bytesText(b.BytesTotal), bytesText(p.pace.rate())+"/s"
	full := p.label + files + "  " + bytes + "  " + rate + "  ETA " + eta
	if room := width - len(full) - 2; room >= 8 {
		return full + "  " + bar(done, min(room, 30))
	}
	return firstFit(width, full,
		p.label+files+"  "+bytes+"  ETA "+eta,
		fmt.Sprintf("%s %d%%  %s  %s", p.label, done, bytes, eta),
		fmt.Sprintf("%s %d%%  %s  ETA %s", p.label, done, rate, eta),
		fmt.Sprintf("%s %d%%  %s", p.label, done, eta),
		fmt.Sprintf("%d%%", done))
}

// firstFit returns the first text that is not too long, or what fits of the last.
func firstFit(width int, texts ...string) string {
	for _, t := range texts {
		if len(t) <= width {
			return t
		}
	}
	return texts[len(texts)-1][:max(min(width, len(texts[len(texts)-1])), 0)]
}

func share(b builder.Progress) int {
	total := b.BytesTotal + fileWork*int64(b.FilesTotal)
	if total == 0 {
		return 0
	}
	return int(min(float64(b.Bytes+fileWork*int64(b.Files))/float64(total)*100, 100))
}

func bar(done, width int) string {
	full := (width - 2) * done / 100
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-2-full) + "]"
}

// shortTime words a duration in at most two units.
func shortTime(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	}
	return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
}

// done takes the line away.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	p.app.bar.CompareAndSwap(p, nil)
}

func (p *progress) erase() {
	if p.drawn {
		fmt.Fprint(p.app.std.err, "\r\x1b[K")
		p.drawn = false
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
