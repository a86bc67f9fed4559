//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"seedtree/internal/testkit"
	"seedtree/manifests"
)

// screen is a terminal of some width with a shell in it.
type screen struct {
	t    *testing.T
	sock string
}

func newScreen(t *testing.T, dir string, columns int) *screen {
	t.Helper()
	testkit.Need(t, "tmux", "tmux")
	short, err := os.MkdirTemp("", "tmux") // a socket's path has to be
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t, filepath.Join(short, "s")}
	t.Cleanup(func() {
		_ = exec.Command("tmux", "-S", s.sock, "kill-server").Run()
		_ = os.RemoveAll(short)
	})
	s.tmux("-f", "/dev/null", "new-session", "-d", "-x", strconv.Itoa(columns), "-y", "24", "-c", dir, "env PS1='ready> ' sh")
	testkit.Eventually(t, time.Minute, "the shell", func() error {
		if text := s.text(); text != "ready>" {
			return fmt.Errorf("the screen is %q", text)
		}
		return nil
	})
	return s
}

func (s *screen) tmux(args ...string) string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), "tmux", append([]string{"-S", s.sock}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

func (s *screen) enter(line string) { s.t.Helper(); s.tmux("send-keys", line, "Enter") }

// text is what is on the screen, long lines in one, without what is empty.
func (s *screen) text() string {
	s.t.Helper()
	var lines []string
	for line := range strings.Lines(s.tmux("capture-pane", "-p", "-J")) {
		if line = strings.TrimRight(line, " \n"); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// Ctrl-C in a build leaves one line that says what becomes of the work, nothing of
// the bar, and the prompt where it belongs, however wide the names of the files are.
func TestInterruptOnATerminal(t *testing.T) {
	t.Setenv("GOMAXPROCS", "1")
	t.Setenv("SEEDTREE_SHA1", "plain")
	t.Setenv("NO_COLOR", "1")
	for _, columns := range []int{80, 40} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			s := newLoneSite(t)
			t.Setenv("SEEDTREE_CONFIG", s.config)
			const size = 8 << 30
			wide := filepath.Join(s.dir, "photos", "写真 e\u0301\u200d 👩‍👩‍👧‍👦 "+strings.Repeat("長い名前", 15))
			testkit.Speckled(t, wide, size, manifests.PieceLength(size))
			w := newScreen(t, s.dir, columns)
			w.enter("seedtree build; echo code $?")
			s.waitFor(t, "the bar and the journal", w.text, func() bool {
				return strings.Contains(w.text(), "hashing") && sizeOf(t, filepath.Join(s.state, "build.journal")) > 0
			})
			if lines := strings.Split(w.text(), "\n"); len(lines) != 2 || !strings.HasPrefix(lines[1], "hashing ") || len(lines[1]) > columns {
				t.Errorf("while it hashes:\n%s", w.text())
			}
			w.tmux("send-keys", "C-c")
			s.waitFor(t, "the prompt", w.text, func() bool { return strings.HasSuffix(w.text(), "\nready>") })
			want := `^ready> seedtree build; echo code \$\?\nerror: interrupted after hashing [^\n]*B; the next build takes it over\ncode 130\nready>$`
			if text := w.text(); !regexp.MustCompile(want).MatchString(text) {
				t.Errorf("after Ctrl-C:\n%s", text)
			}
		})
	}
}

// A warning while the bar is drawn has lines of its own.
func TestWarningBesideTheBar(t *testing.T) {
	t.Setenv("GOMAXPROCS", "1")
	t.Setenv("SEEDTREE_SHA1", "plain")
	t.Setenv("NO_COLOR", "1")
	s := newLoneSite(t)
	t.Setenv("SEEDTREE_CONFIG", s.config)
	const size = 2 << 30
	testkit.Speckled(t, filepath.Join(s.dir, "photos", "写真 large"), size, manifests.PieceLength(size))
	if err := os.Mkdir(filepath.Join(s.state, "build.journal"), 0o755); err != nil {
		t.Fatal(err)
	}
	w := newScreen(t, s.dir, 80)
	w.enter("seedtree build")
	s.waitFor(t, "the bar", w.text, func() bool { return strings.Contains(w.text(), "hashing") })
	s.waitFor(t, "the prompt", w.text, func() bool { return strings.HasSuffix(w.text(), "\nready>") })
	want := `^ready> seedtree build\n\d\d:\d\d:\d\d WRN should this build be interrupted[^\n]*is a directory"?\n\+ photos/写真 large[^\n]*\ncommitted `
	if text := w.text(); !regexp.MustCompile(want).MatchString(text) {
		t.Errorf("the screen:\n%s", text)
	}
}
