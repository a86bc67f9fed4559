package builder

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"seedtree/internal/testkit"
)

// What a rebuild of an unchanged tree asks of the system, seen from outside:
// each file is looked at once, none is opened, each directory is opened once.
func TestEachFileIsLookedAtOnce(t *testing.T) {
	const mark, dirs, files = "/the second build", 5, 40
	if os.Getenv("SEEDTREE_TRACED") != "" {
		f := newFixture(t)
		for i := range dirs * files {
			f.write(fmt.Sprintf("dir-%d/file-%d", i/files, i), "x")
		}
		f.commit()
		_, _ = os.Lstat(mark)
		if r := f.commit(); r.Listing.Len() != dirs*files || !r.Diff.Empty() {
			t.Fatalf("%+v", r)
		}
		_, _ = os.Lstat(mark) // before the folder is removed
		return
	}
	strace := testkit.Need(t, "strace", "strace")
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-qq", "-e", "trace=%file", "-o", trace, os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "SEEDTREE_TRACED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(data), mark)
	if len(parts) != 3 {
		t.Fatalf("the trace has %d marks: %.2000s", len(parts)-1, data)
	}
	second := parts[1]
	for i := range dirs * files {
		var calls []string
		for line := range strings.Lines(second) {
			// A call that another thread interrupts is told in two lines, the name in the first.
			if strings.Contains(line, fmt.Sprintf(`"file-%d"`, i)) {
				calls = append(calls, line)
			}
		}
		if len(calls) != 1 || !strings.Contains(calls[0], "fstatat") {
			t.Fatalf("file %d took %d calls: %q", i, len(calls), calls)
		}
	}
	for i := range dirs {
		if n := strings.Count(second, fmt.Sprintf(`"dir-%d", O_RDONLY`, i)); n != 1 {
			t.Errorf("directory %d was opened %d times", i, n)
		}
	}
}
