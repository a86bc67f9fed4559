//go:build unix

package builder

import (
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
)

func mkfifo(name string) error { return syscall.Mkfifo(name, 0o644) }

func seteuid(uid int) error { return syscall.Seteuid(uid) }

func TestSpecialFilesAreNamed(t *testing.T) {
	f := newFixture(t)
	f.write("a", "aa")
	f.must(os.Mkdir(f.path("d"), 0o755))
	f.must(mkfifo(f.path("d/pipe")))
	// The one device that everybody may make: character device 0, 0.
	f.must(syscall.Mknod(f.path("d/device"), syscall.S_IFCHR|0o600, 0))
	t.Chdir(f.path("d")) // a socket's path has to be short
	l, err := net.Listen("unix", "socket")
	f.must(err)
	defer func() { _ = l.Close() }()
	r := f.commit()
	f.wantPaths(r, "a", "d (empty directory)")
	var got []string
	for _, s := range r.Skipped {
		got = append(got, s.Key.String()+" "+s.Reason)
	}
	want := []string{
		"t/d/device is a device, which no torrent can carry",
		"t/d/pipe is a named pipe, which no torrent can carry",
		"t/d/socket is a socket, which no torrent can carry",
	}
	if !slices.Equal(got, want) {
		t.Fatalf("skipped %q", got)
	}
}

// Directories are closed when their files are read: a tree has more of them
// than a process may open.
func TestOpenDirectoriesAreBounded(t *testing.T) {
	f := newFixture(t)
	for i := range 600 {
		f.write(fmt.Sprintf("%d/%d/x", i%20, i), fmt.Sprint(i))
	}
	var old syscall.Rlimit
	f.must(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old))
	low := old
	low.Cur = 250
	f.must(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low))
	defer func() { f.must(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)) }()
	r := f.commit()
	if r.Listing.Len() != 600 || len(r.Failed) != 0 {
		t.Fatalf("listed %d, failed %v", r.Listing.Len(), r.Failed)
	}
}
