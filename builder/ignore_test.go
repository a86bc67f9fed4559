package builder

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// gitDir makes a repository for check-ignore, with paths as files in it
// (a slash at the end makes a directory).
func gitDir(t testing.TB, paths []string) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("git is missing: apt-get install -y git")
	}
	dir := t.TempDir()
	git(t, dir, nil, "init", "-q", ".")
	for _, p := range paths {
		full := filepath.Join(dir, p)
		if strings.HasSuffix(p, "/") {
			if err := os.MkdirAll(full, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func git(t testing.TB, dir string, stdin []byte, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "core.excludesFile=/dev/null"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !(args[0] == "check-ignore" && asExit(err, &exit) && exit.ExitCode() == 1) {
		t.Fatalf("git %v: %v", args, err)
	}
	return string(out)
}

func asExit(err error, exit **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError)
	*exit = e
	return ok
}

// gitIgnores asks the real git which of the paths below dir it ignores.
func gitIgnores(t testing.TB, dir string, paths []string) map[string]bool {
	t.Helper()
	out := git(t, dir, []byte(strings.Join(paths, "\x00")+"\x00"), "check-ignore", "--no-index", "-z", "--stdin")
	ignored := map[string]bool{}
	for _, p := range strings.Split(out, "\x00") {
		if p != "" {
			ignored[p] = true
		}
	}
	return ignored
}

// walkIgnored walks dir as a scan does and returns the paths it does not reach.
func walkIgnored(t testing.TB, dir string, top *rules, paths []string) map[string]bool {
	t.Helper()
	reached := map[string]bool{}
	var walk func(base string, r *rules)
	walk = func(base string, r *rules) {
		if text, err := os.ReadFile(filepath.Join(dir, base, ".gitignore")); err == nil {
			r = r.below(base, string(text))
		}
		list, err := os.ReadDir(filepath.Join(dir, base))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			p := base + e.Name()
			if p == ".git" || r.ignored(p, e.IsDir()) {
				continue
			}
			reached[p] = true
			if e.IsDir() {
				walk(p+"/", r)
			}
		}
	}
	walk("", top)
	ignored := map[string]bool{}
	for _, p := range paths {
		if !reached[p] {
			ignored[p] = true
		}
	}
	return ignored
}

func compareWithGit(t *testing.T, dir string, top *rules, paths []string, what string) {
	t.Helper()
	bare := make([]string, len(paths))
	for i, p := range paths {
		bare[i] = strings.TrimSuffix(p, "/")
	}
	want, got := gitIgnores(t, dir, bare), walkIgnored(t, dir, top, bare)
	for _, p := range bare {
		if got[p] != want[p] {
			t.Errorf("%s: %q: we say ignored=%v, git says %v", what, p, got[p], want[p])
		}
	}
	compareRules(t, dir, top, bare, what)
}

// compareRules wants the very rule that git names for each path.
func compareRules(t *testing.T, dir string, top *rules, paths []string, what string) {
	t.Helper()
	load := func(base string, above *rules) (*rules, error) {
		text, err := os.ReadFile(filepath.Join(dir, base, ".gitignore"))
		if err != nil {
			return above, nil
		}
		return above.below(base, string(text)), nil
	}
	out := git(t, dir, []byte(strings.Join(paths, "\x00")+"\x00"), "check-ignore", "--no-index", "-v", "-n", "-z", "--stdin")
	fields := strings.Split(out, "\x00")
	for ; len(fields) >= 4; fields = fields[4:] {
		p, want := fields[3], strings.Join(fields[:3], ":")
		info, err := os.Lstat(filepath.Join(dir, p))
		if err != nil {
			t.Fatal(err)
		}
		from, rule, _, err := decide(p, info.IsDir(), top, load)
		if err != nil {
			t.Fatal(err)
		}
		got := "::"
		if rule != nil {
			source := from.base + ".gitignore"
			if from == top {
				source = ".git/info/exclude"
			}
			got = fmt.Sprintf("%s:%d:%s", source, rule.line, rule.text)
		}
		if got != want {
			t.Errorf("%s: %q: we say %q decides, git says %q", what, p, got, want)
		}
	}
}

// ignorePaths is what the rules below are tried on.
func ignorePaths() []string {
	return []string{
		"a", "b", "z", "A", "]", "[", "-", "^", "!", "#x", "!x", `a\b`, "x ", "x", "*", "?", "é", "\xff", "\t", "foo", "foo.o", "foo.a", "food",
		"d/a", "d/b", "d/z", "d/keep/a", "d/keep/b", "d/foo/a", "d/e/f/g/a", "d/e/f/g/foo", "d/e/foo/g", "d/e f/a",
		"foobar/bar", "foobar/x/bar", "foox/bar", "e/d/a", "e/d/keep/a", "e/foo.o", "e/f/foo.a", "log/x.log", "log/keep.log", "log/sub/x.log",
		"cache/", "cache2/x", "dir.torrent/x", "empty/", "node_modules/a/node_modules/b", "src/node_modules/c", ".hidden", ".seedtree2/x",
		"abc", "aXbXc", "7up", "_x",
	}
}

func TestIgnoreAgainstGit(t *testing.T) {
	paths := ignorePaths()
	dir := gitDir(t, paths)
	for _, c := range []string{
		"foo", "/foo", "foo/", "d/", "/d/a", "d/a", "*", "/*", "*/", "**", "/**", "**/", "*.o\n!foo.o", "[!z]", "d/[!z]", "[^z]", "[a-c]", "[]-]", "[!]a]",
		"d/**\n!d/keep/\n!d/keep/a", "d/**\n!d/**/a", "d/*\n!d/keep", "d/**\n!d/keep", "d/**\n!d/*/", "**/a", "d/**/a", "d/**/g/a", "a/**", "**/keep/**", "foo**/bar",
		"foo**bar", "d**a", "d/e**", "d/e/**/*", `\#x`, `\!x`, "#x", "!x", `a\\b`, "x\\ ", "x ", "x \\  ", " ", "[[:alpha:]]", "[[:upper:][:digit:]]*", "[[:nope:]]",
		"[[:alpha:]", "[a", "[", "[\\]]", "[a-\\c]", "[c-a]", "[--0]", "[[]", "[[:]", "?", "??", "d?a", "\\", "foo\\", "\\f\\o\\o", "é", "[é]", "\xff", "?\xa9", "\t",
		"*\n!*/\n!*.a", "log/*\n!log/keep.log", "log/\n!log/keep.log", "/log/**/*.log", "**/node_modules", "node_modules/", "/src/**/", "//foo", "/", "!", "!/",
		"\xef\xbb\xbffoo", "foo\r\nb\r", "foo\x00bar", "*a*b*c*", "[a-]", "[!-]", "[]", "[!]", "d//a", "./foo", "d/../foo", "**/**/a", "**/f/**/foo", "***", "a***", "d/***/a",
		"e/d/", "/e/d/*\n!/e/d/keep/\n/e/d/keep/*\n!/e/d/keep/a", "cache*", "empty", "empty/", "*.torrent/", ".*", "!.hidden\n.*", "[[:space:]]", "x[[:space:]]", "**/\\foo", `d\/a`, `d/**\/a`,
	} {
		if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte(c), 0o644); err != nil {
			t.Fatal(err)
		}
		compareWithGit(t, dir, nil, paths, fmt.Sprintf("%q", c))
	}
}

// Rules of several files: those of the manifest, at the top, and deeper.
func TestIgnoreLevelsAgainstGit(t *testing.T) {
	paths := ignorePaths()
	dir := gitDir(t, paths)
	manifest := "foo\n*.log\n!keep.log\n/b\n"
	for name, text := range map[string]string{
		".git/info/exclude": manifest,
		".gitignore":        "!b\n*.a\n/e/d/a\n",
		"d/.gitignore":      "/a\n!foo\ne/**\n!e/f\n",
		"d/e/.gitignore":    "!f/g/a\n",
		"e/.gitignore":      "!f/foo.a\nd/keep\n",
		"log/.gitignore":    "!/x.log\nsub\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var top *rules
	compareWithGit(t, dir, top.below("", manifest), paths, "levels")
}

// Patterns nobody would write, made of the pieces that matter.
func TestIgnoreRandomAgainstGit(t *testing.T) {
	paths := ignorePaths()
	dir := gitDir(t, paths)
	rng := rand.New(rand.NewPCG(1, 2))
	parts := []string{"*", "**", "/", "/", "?", "a", "d", "e", "foo", "keep", "[!z]", "[a-f]", "[", "]", "!", "-", `\`, ".", "o", "[[:alpha:]", "x"}
	for range 250 {
		var b strings.Builder
		for line := range 1 + rng.IntN(3) {
			if line > 0 && rng.IntN(2) == 0 {
				b.WriteByte('!')
			}
			for range 1 + rng.IntN(6) {
				b.WriteString(parts[rng.IntN(len(parts))])
			}
			b.WriteByte('\n')
		}
		if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		compareWithGit(t, dir, nil, paths, fmt.Sprintf("%q", b.String()))
	}
}

// A row of stars must not take forever.
func TestIgnoreHostilePattern(t *testing.T) {
	var r *rules
	r = r.below("", strings.Repeat("**/", 60)+"x\n"+strings.Repeat("a*", 60)+"b\n/"+strings.Repeat("**/a/", 40)+"x")
	if r.ignored(strings.Repeat("a/", 100)+strings.Repeat("a", 200), false) {
		t.Fatal("matched")
	}
}
