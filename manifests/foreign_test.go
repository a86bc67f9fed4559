package manifests

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// tool finds a foreign program or fails with the line that installs it.
func tool(t *testing.T, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v\nhint: %s", err, install)
	}
	return path
}

// scratchGit returns a way to run git in a new repository that distrusts names
// as the most careful client does.
func scratchGit(t *testing.T) func(stdin string, args ...string) (string, error) {
	git, dir := tool(t, "git", "sudo apt-get install git"), t.TempDir()
	run := func(stdin string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), git, args...)
		cmd.Dir = dir
		cmd.Stdin = strings.NewReader(stdin)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		return string(out) + stderr.String(), err
	}
	for _, args := range [][]string{{"init", "-q"}, {"config", "core.protectHFS", "true"}, {"config", "core.protectNTFS", "true"}} {
		if out, err := run("", args...); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	return run
}

// checkGit makes a tree of the given paths and reports git's objections: those
// of the index, which guards checkouts, and those of fsck, which guards servers.
func checkGit(t *testing.T, paths []string) string {
	t.Helper()
	git := scratchGit(t) // fsck looks at every object there is
	blob, err := git("a torrent, say\n", "hash-object", "-w", "--stdin")
	if err != nil {
		t.Fatal(err, blob)
	}
	var index strings.Builder
	for _, p := range paths {
		index.WriteString("100644 " + strings.TrimSpace(blob) + "\t" + p + "\x00")
	}
	if out, err := git(index.String(), "update-index", "-z", "--index-info"); err != nil || out != "" {
		return "update-index: " + out
	}
	tree, err := git("", "write-tree")
	if err != nil {
		return "write-tree: " + tree
	}
	commit, err := git("", "-c", "user.name=a", "-c", "user.email=a@b.example", "commit-tree", "-m", "x", strings.TrimSpace(tree))
	if err != nil {
		t.Fatal(err, commit)
	}
	if out, err := git("", "fsck", "--strict", "--no-dangling", "--no-progress", strings.TrimSpace(commit)); err != nil || out != "" {
		return "fsck: " + out
	}
	return ""
}

// git itself takes every name we make, and refuses those we escaped for its sake.
func TestGitTakesEveryName(t *testing.T) {
	var paths []string
	names := tricky()
	for seed := range 1500 {
		s := names.Example(seed)
		for k := Regular; k <= EmptyDir; k++ {
			paths = append(paths, EscapeLeaf(s, k))
		}
		// Directories of their own, so that no leaf collides with one.
		paths = append(paths, "dirs/"+EscapeDir(s)+"/a")
	}
	if objection := checkGit(t, paths); objection != "" {
		t.Error(objection)
	}
	for _, s := range []string{
		".git", ".GiT", ".git ", ".git. .", "git~1", "GIT~1", ".git:x", ".g\u200cit", "\ufeff.git", ".git\uffff",
		".gitmodules", "gitmod~1", "gi7eba~1", "gi7eb~10", "~1000000", ".gitmodules:x", ".gitattributes", "gi7d29~9", ".gitAttri\u200dbutes",
	} {
		if checkGit(t, []string{s + "/a"}) == "" {
			t.Errorf("git takes %q as it is: why is it escaped to %q?", s, EscapeDir(s))
		}
		if !gitRefuses(s) || !strings.Contains(EscapeDir(s), "%") {
			t.Errorf("%q is escaped to %q", s, EscapeDir(s))
		}
	}
	for _, s := range []string{".github", ".gitkeep", ".gitx", "git", "git~2", "gitmod~5", "~0100000", "~100000", "gi7eba~0", ".git\ufffd", ".gitignore", "mailmap"} {
		if objection := checkGit(t, []string{s + "/a"}); objection != "" || gitRefuses(s) {
			t.Errorf("%q: refused %v, and git says %q", s, gitRefuses(s), objection)
		}
	}
}

// Names that only git can judge: wherever it objects to a raw name, we escape.
func TestGitJudgesAsWeDo(t *testing.T) {
	alphabet := rapid.SampledFrom([]string{
		".git", "git", "GIT", "gitmod", "module", "s", "attributes", "gi7eba", "gi7d29", "~", "1", "9", "0", ".", " ", ":", "x",
		"\u200c", "\ufeff", "\uffff", "\U0001fffe", "é", "I", "K",
	})
	names := rapid.Map(rapid.SliceOfN(alphabet, 1, 4), func(parts []string) string { return strings.Join(parts, "") }).
		Filter(func(s string) bool { return checkComponent(s) == nil })
	var harmless []string
	for seed := range 20_000 {
		if s := names.Example(seed); !gitRefuses(s) {
			harmless = append(harmless, s+"/a")
		}
	}
	if len(harmless) < 1000 || len(harmless) > 19_990 {
		t.Fatalf("%d of 20000 names are harmless: the test tries too little", len(harmless))
	}
	if objection := checkGit(t, harmless); objection != "" {
		t.Error(objection)
	}
}

// A client of another make reads what we write.
func TestTransmissionReadsOurTorrents(t *testing.T) {
	show := tool(t, "transmission-show", "sudo apt-get install transmission-cli")
	m := sample()
	m.Path = "Größe/a b.jpg"
	file := filepath.Join(t.TempDir(), "a.torrent")
	trackers := [][]string{{"http://a.example:1/announce", "http://b.example:2/announce"}, {"http://c.example:3/announce"}}
	if err := os.WriteFile(file, m.EncodeWith(trackers), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), show, file)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{
		"Name: photos\n", "Hash: " + m.InfoHash().String(), "Piece Count: 2\n", "Piece Size: 256.0 KiB\n", "Privacy: Private torrent\n",
		"photos/Größe/a b.jpg (300.0 kB)", "http://a.example:1/announce", "http://b.example:2/announce", "http://c.example:3/announce",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("transmission-show does not say %q:\n%s", want, out)
		}
	}
}
