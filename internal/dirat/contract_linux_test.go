package dirat

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The two ways to read a directory, and what both have to do. On Linux both
// can be tried.
type (
	handle[D any, F file] interface {
		reader
		links
		opener[D]
		OpenPath(string) (D, error)
		OpenFile(string, int64) (F, error)
	}
	reader interface {
		Read(*Names) error
		Stat() (Stat, error)
	}
	links interface {
		Lstat(string) (Stat, error)
		LstatAt(*Names, int, *Stat) error
		Readlink(string) (string, error)
	}
	file interface {
		io.ReaderAt
		io.Closer
		Stat() (fs.FileInfo, error)
	}
)

func TestContract(t *testing.T) {
	t.Run("raw", func(t *testing.T) { contract(t, openRaw) })
	t.Run("root", func(t *testing.T) { contract(t, openRoot) })
}

func contract[D handle[D, F], F file](t *testing.T, open func(string) (D, error)) {
	c := &kit[D, F]{open: open}
	for name, test := range map[string]func(*testing.T){
		"names":   c.names,
		"order":   c.order,
		"again":   c.again,
		"stat":    c.stat,
		"files":   c.files,
		"sparse":  c.sparse,
		"links":   c.links,
		"paths":   c.paths,
		"pipes":   c.pipes,
		"private": c.private,
		"swaps":   c.swaps,
	} {
		t.Run(name, test)
	}
}

type kit[D handle[D, F], F file] struct{ open func(string) (D, error) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c *kit[D, F]) at(t *testing.T, dir string) D {
	t.Helper()
	d, err := c.open(dir)
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func read(t *testing.T, d reader, n *Names) (all []string) {
	t.Helper()
	must(t, d.Read(n))
	for i := range n.Len() {
		all = append(all, string(n.At(i)))
		if n.IsDir(i) {
			all[i] += "/"
		}
	}
	return all
}

func touch(t *testing.T, names ...string) {
	t.Helper()
	for _, n := range names {
		must(t, os.MkdirAll(filepath.Dir(n), 0o755))
		must(t, os.WriteFile(n, []byte(filepath.Base(n)), 0o644))
	}
}

// Every name a directory can hold, also more of them than fit in one call.
func (c *kit[D, F]) names(t *testing.T) {
	dir := t.TempDir()
	want := []string{"new\nline", "bad\xff\xfeutf8", " ", "-rf", "...", "\x01", strings.Repeat("n", 255), strings.Repeat("é", 127)}
	for i := range 3000 {
		want = append(want, "a rather long name, of which few fit in one buffer "+strings.Repeat("x", i%90)+string(rune('a'+i%26))+time.Duration(i).String())
	}
	for _, n := range want {
		touch(t, filepath.Join(dir, n))
	}
	slices.Sort(want)
	var n Names
	if got := read(t, c.at(t, dir), &n); !slices.Equal(got, want) {
		t.Fatalf("%d names, want %d; %.200q", len(got), len(want), got)
	}
	if !n.Has("-rf") || n.Has("-r") || n.Has("") {
		t.Fatal("it does not know what it has")
	}
}

// The order of the paths below: a directory counts with its slash.
func (c *kit[D, F]) order(t *testing.T) {
	dir := t.TempDir()
	touch(t, dir+"/a-b", dir+"/a/x", dir+"/a.torrent/x", dir+"/a0", dir+"/b", dir+"/common-prefix-1/x", dir+"/common-prefix-10",
		dir+"/common-prefix-1!", dir+"/common-prefix-\xff", dir+"/common-prefix-long enough for two keys, a", dir+"/common-prefix-long enough for two keys, B")
	must(t, os.Symlink("a", dir+"/link"))
	want := []string{
		"a-b", "a.torrent/", "a/", "a0", "b", "common-prefix-1!", "common-prefix-1/", "common-prefix-10",
		"common-prefix-long enough for two keys, B", "common-prefix-long enough for two keys, a", "common-prefix-\xff", "link",
	}
	var n Names
	if got := read(t, c.at(t, dir), &n); !slices.Equal(got, want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
	if n.Has("a") {
		t.Fatal("a directory is not what Has looks for")
	}
}

// One Names for many directories, one directory read many times.
func (c *kit[D, F]) again(t *testing.T) {
	dir := t.TempDir()
	touch(t, dir+"/many/1", dir+"/many/2", dir+"/many/3", dir+"/one/x")
	must(t, os.Mkdir(dir+"/none", 0o755))
	var n Names
	many, none := c.at(t, dir+"/many"), c.at(t, dir+"/none")
	for range 2 {
		if got := read(t, many, &n); len(got) != 3 {
			t.Fatalf("got %q", got)
		}
		if got := read(t, none, &n); len(got) != 0 {
			t.Fatalf("got %q", got)
		}
	}
	touch(t, dir+"/many/4")
	if got := read(t, many, &n); len(got) != 4 {
		t.Fatalf("got %q", got)
	}
	must(t, os.Remove(dir+"/none"))
	if err := none.Read(&n); !errors.Is(err, fs.ErrNotExist) || n.Len() != 0 {
		t.Fatalf("a removed directory: %d names, %v", n.Len(), err)
	}
}

// What is seen is what package os sees, whatever the time stamps.
func (c *kit[D, F]) stat(t *testing.T) {
	dir := t.TempDir()
	d := c.at(t, dir)
	touch(t, dir+"/f")
	must(t, os.Symlink("f", dir+"/link"))
	must(t, os.Chmod(dir+"/f", 0o754|fs.ModeSetuid|fs.ModeSticky))
	must(t, os.Mkdir(dir+"/d", 0o711))
	for _, at := range []time.Time{
		time.Unix(1e9, 123456789), time.Unix(0, 0), time.Unix(-1, 5), time.Unix(-2, 999999999),
		time.Date(1902, 1, 1, 0, 0, 0, 7, time.UTC), time.Date(2400, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		ts := []unix.Timespec{{Sec: at.Unix(), Nsec: int64(at.Nanosecond())}, {Sec: at.Unix(), Nsec: int64(at.Nanosecond())}}
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, dir+"/f", ts, 0))
		info, err := os.Lstat(dir + "/f")
		must(t, err)
		s, err := d.Lstat("f")
		must(t, err)
		last := time.Unix(0, 1<<63-1)
		if want := info.ModTime(); !s.ModTime().Equal(want) && (!want.After(last) || !s.ModTime().Equal(last)) {
			t.Errorf("stamped %v, want %v", s.ModTime(), want)
		}
	}
	var n Names
	must(t, d.Read(&n))
	for i := range n.Len() {
		var s Stat
		must(t, d.LstatAt(&n, i, &s))
		info, err := os.Lstat(filepath.Join(dir, string(n.At(i))))
		must(t, err)
		st := info.Sys().(*syscall.Stat_t)
		if s != StatOf(info) || s.Inode != st.Ino || s.Changed != st.Ctim.Nano() || s.Mode != info.Mode() || s.Size != info.Size() {
			t.Errorf("%s: %+v, want %+v", n.At(i), s, StatOf(info))
		}
	}
	own, err := d.Stat()
	must(t, err)
	if info, _ := os.Stat(dir); own != StatOf(info) {
		t.Errorf("the directory itself: %+v", own)
	}
	if _, err := d.Lstat("absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

func (c *kit[D, F]) files(t *testing.T) {
	dir := t.TempDir()
	d := c.at(t, dir)
	must(t, os.WriteFile(dir+"/f", []byte("0123456789"), 0o644))
	f, err := d.OpenFile("f", 10)
	must(t, err)
	buf := make([]byte, 4)
	if n, err := f.ReadAt(buf, 3); n != 4 || err != nil || string(buf) != "3456" {
		t.Fatalf("read %d %q, %v", n, buf, err)
	}
	if n, err := f.ReadAt(buf, 8); n != 2 || err != io.EOF || string(buf[:n]) != "89" {
		t.Fatalf("at the end: %d, %v", n, err)
	}
	info, err := f.Stat()
	must(t, err)
	s, err := d.Lstat("f")
	if must(t, err); StatOf(info) != s || info.Size() != 10 || !info.ModTime().Equal(s.ModTime()) || info.IsDir() {
		t.Fatalf("open: %+v, by name: %+v", StatOf(info), s)
	}
	must(t, f.Close())
	if _, err := f.ReadAt(buf, 0); err == nil {
		t.Fatal("it reads what was closed")
	}
	if _, err := d.OpenFile("absent", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("absent: %v", err)
	}
}

// Links are looked at and never followed, neither out of the tree nor in it.
func (c *kit[D, F]) links(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	touch(t, dir+"/d/f", out+"/secret")
	d := c.at(t, dir)
	for name, target := range map[string]string{
		"out": out, "in": "d", "file": "d/f", "self": "self", "dangling": "nothing", "long": strings.Repeat("x/", 1500) + "x",
	} {
		must(t, os.Symlink(target, filepath.Join(dir, name)))
		if got, err := d.Readlink(name); err != nil || got != target {
			t.Errorf("%s: leads to %.50q, %v", name, got, err)
		}
		if s, err := d.Lstat(name); err != nil || s.Mode.Type() != fs.ModeSymlink {
			t.Errorf("%s: is %v, %v", name, s.Mode, err)
		}
		if _, err := d.OpenDir(name); !errors.Is(err, errLink) {
			t.Errorf("%s: opened as a directory: %v", name, err)
		}
		if _, err := d.OpenFile(name, 0); !errors.Is(err, errLink) {
			t.Errorf("%s: opened as a file: %v", name, err)
		}
		if _, err := d.OpenPath(name + "/d"); !errors.Is(err, errLink) {
			t.Errorf("%s: opened on the way: %v", name, err)
		}
	}
	if _, err := d.Readlink("d"); err == nil {
		t.Error("a directory leads nowhere")
	}
	// The directory named by the operator may be reached by links.
	if got := read(t, c.at(t, dir+"/in"), &Names{}); !slices.Equal(got, []string{"f"}) {
		t.Errorf("through a link: %q", got)
	}
}

func (c *kit[D, F]) paths(t *testing.T) {
	dir := t.TempDir()
	touch(t, dir+"/a/b/c/f")
	d := c.at(t, dir)
	for path, want := range map[string]string{"a": "b/", "a/b": "c/", "a/b/c": "f"} {
		deep, err := d.OpenPath(path)
		must(t, err)
		if got := read(t, deep, &Names{}); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q", path, got)
		}
		must(t, deep.Close())
	}
	for _, path := range []string{"", ".", "..", "a/..", "/a", "a/", "a//b", "a\x00b"} {
		if _, err := d.OpenPath(path); !errors.Is(err, errName) {
			t.Errorf("%q as a path: %v", path, err)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", "/etc", "a\x00b"} {
		_, err1 := d.Lstat(name)
		_, err2 := d.OpenFile(name, 0)
		_, err3 := d.Readlink(name)
		for _, err := range []error{err1, err2, err3} {
			if !errors.Is(err, errName) {
				t.Errorf("%q as a name: %v", name, err)
			}
		}
	}
	if _, err := d.OpenDir("a/b"); !errors.Is(err, errName) {
		t.Errorf("a path as a name: %v", err)
	}
}

// Nobody writes into the pipe, and nobody waits for that.
func (c *kit[D, F]) pipes(t *testing.T) {
	dir := t.TempDir()
	must(t, syscall.Mkfifo(dir+"/pipe", 0o644))
	d := c.at(t, dir)
	done := make(chan error, 1)
	go func() {
		_, err := d.OpenDir("pipe")
		f, err2 := d.OpenFile("pipe", 1<<20)
		if err2 == nil {
			err2 = f.Close()
		}
		if err == nil {
			err = errors.New("a pipe was opened as a directory")
			err2 = err
		}
		done <- err2
	}()
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for the pipe")
	}
}

// A directory whose names can be read and nothing else is an error at once,
// not one for each name.
func (c *kit[D, F]) private(t *testing.T) {
	dir := t.TempDir()
	touch(t, dir+"/locked/f", dir+"/unreadable/f")
	unprivileged(t, dir)
	must(t, os.Chmod(dir+"/locked", 0o600))
	must(t, os.Chmod(dir+"/unreadable", 0))
	t.Cleanup(func() { _ = os.Chmod(dir+"/locked", 0o700); _ = os.Chmod(dir+"/unreadable", 0o700) })
	d := c.at(t, dir)
	if locked, err := d.OpenDir("locked"); err == nil {
		_, err = locked.Stat()
		if _ = locked.Close(); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("locked: %v", err)
		}
	}
	if _, err := d.OpenDir("unreadable"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("unreadable: %v", err)
	}
}

// Somebody swaps a directory for a link out of the tree, and back, for as long
// as we open it: what is read is always inside.
func (c *kit[D, F]) swaps(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	touch(t, dir+"/a/f", dir+"/b", out+"/f")
	must(t, os.WriteFile(out+"/f", []byte("secret"), 0o644))
	must(t, os.Symlink(out, dir+"/link"))
	d := c.at(t, dir)
	stop, ended := make(chan bool), make(chan bool)
	go func() {
		defer close(ended)
		for {
			_ = unix.Renameat2(unix.AT_FDCWD, dir+"/a", unix.AT_FDCWD, dir+"/link", unix.RENAME_EXCHANGE)
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	opened, refused := 0, 0
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline) && (opened < 300 || refused < 300); {
		a, err := d.OpenPath("a")
		if err != nil {
			refused++
			continue
		}
		opened++
		f, err := a.OpenFile("f", 0)
		must(t, errors.Join(err, a.Close()))
		buf := make([]byte, 6)
		if n, _ := f.ReadAt(buf, 0); string(buf[:n]) == "secret" {
			t.Fatal("it was led out of the tree")
		}
		must(t, f.Close())
	}
	close(stop)
	<-ended
	if opened == 0 || refused == 0 {
		t.Fatalf("opened %d times, refused %d times: this tested nothing", opened, refused)
	}
}
