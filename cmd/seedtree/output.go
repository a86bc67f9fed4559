package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// colour is an SGR parameter.
type colour string

const (
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	bold   colour = "1"
)

// emit writes a verb's result to standard output: v as JSON where that was
// asked for, else whatever text writes.
func (a *app) emit(v any, text func(w io.Writer)) error {
	if a.output == "json" {
		enc := json.NewEncoder(a.std.out)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	text(a.std.out)
	return nil
}

// say writes a message for people, to standard error: standard output carries
// data and nothing else.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.std.err, format+"\n", args...)
}

// isTerminal reports whether w is a terminal that understands more than text.
func (a *app) isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && a.getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// paint colours text for standard error, if that is a terminal and nobody said
// NO_COLOR (https://no-color.org).
func (a *app) paint(c colour, text string) string {
	if a.getenv("NO_COLOR") != "" || !a.isTerminal(a.std.err) {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// table is text in columns. Widths count what a terminal shows, so that names
// in wide scripts stay aligned.
type table struct {
	head  []string
	right map[int]bool // columns of numbers
	rows  [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write prints the table; the last column is not padded.
func (t *table) write(w io.Writer) {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, c := range row {
			widths[i] = max(widths[i], runewidth.StringWidth(c))
		}
	}
	for _, row := range append([][]string{t.head}, t.rows...) {
		fmt.Fprintln(w, t.line(row, widths))
	}
}

func (t *table) line(row []string, widths []int) string {
	var b strings.Builder
	for i, c := range row {
		if i > 0 {
			b.WriteString("  ")
		}
		pad := strings.Repeat(" ", widths[i]-runewidth.StringWidth(c))
		switch {
		case t.right[i]:
			b.WriteString(pad + c)
		case i == len(row)-1:
			b.WriteString(c)
		default:
			b.WriteString(c + pad)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// harmless writes out what a terminal would obey instead of print, in text that others
// may have put words into: a server, a proxy, a name.
func harmless(text string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) && r != '\t' || r == utf8.RuneError }
	if strings.IndexFunc(text, odd) < 0 {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		switch quoted := strconv.QuoteRune(r); {
		case !odd(r):
			b.WriteRune(r)
		case r == utf8.RuneError && size == 1: // no UTF-8 at all
			fmt.Fprintf(&b, "\\x%02x", text[i])
		default:
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// shown makes a name from a catalog or a disk safe to print: control
// characters would move the cursor, hide text or colour the terminal, others turn
// the direction of the text around, and nobody sees a space at the end.
func shown(name string) string {
	misleads := func(r rune) bool {
		return r < 0x20 || r == 0x7f || r == 0xfffd || (r >= 0x80 && r < 0xa0) || unicode.Is(unicode.Bidi_Control, r) || r == 0x2028 || r == 0x2029
	}
	if strings.IndexFunc(name, misleads) < 0 && name == strings.TrimSpace(name) {
		return name
	}
	quoted := fmt.Sprintf("%q", name)
	return quoted
}
