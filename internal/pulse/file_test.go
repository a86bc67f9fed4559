package pulse_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"seedtree/internal/pulse"
)

func TestSteps(t *testing.T) {
	var got []string
	ctx := pulse.With(t.Context(), func(step string) { got = append(got, step) })
	pulse.Of(ctx)()
	pulse.Step(ctx, "hashing")
	pulse.Of(pulse.Unseen(ctx))()
	pulse.Step(pulse.Unseen(ctx), "looking")
	pulse.Of(context.Background())()
	pulse.Step(context.Background(), "nobody watches")
	if len(got) != 2 || got[0] != "" || got[1] != "hashing" {
		t.Errorf("%q", got)
	}
}

// A large file shows life at each stretch while it is copied and while it is brought to
// disk, and arrives as it was.
func TestLargeFiles(t *testing.T) {
	const size = 3*pulse.Stretch + 5
	dir := t.TempDir()
	in, err := os.Create(filepath.Join(dir, "in"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for at := int64(0); at < size; at += pulse.Stretch {
		if _, err := in.WriteAt([]byte{byte(at >> 20), 1, 2, 3, 4}, at); err != nil {
			t.Fatal(err)
		}
	}
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	beats := 0
	beat := func() { beats++ }
	if err := pulse.Copy(out, in, size+100, beat); err != nil || beats < 4 {
		t.Errorf("copying: %v, %d signs of life", err, beats)
	}
	if info, err := out.Stat(); err != nil || info.Size() != size {
		t.Errorf("%v bytes, %v", info.Size(), err)
	}
	for at := int64(0); at < size; at += pulse.Stretch {
		var a, b [5]byte
		_, _ = in.ReadAt(a[:], at)
		if _, err := out.ReadAt(b[:], at); err != nil || a != b {
			t.Errorf("at %d: %v, want %v, %v", at, b, a, err)
		}
	}
	beats = 0
	if err := pulse.WriteBack(out, beat); err != nil {
		t.Fatal(err)
	}
	if want := writebackBeats; beats != want {
		t.Errorf("bringing it to disk: %d signs of life, want %d", beats, want)
	}
	if err := pulse.Copy(out, in, 0, beat); err != nil {
		t.Error(err)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := pulse.WriteBack(d, beat); err != nil {
		t.Errorf("a directory: %v", err)
	}
}
