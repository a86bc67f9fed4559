//go:build docker

package containers

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"seedtree/manifests"
)

// big is the file whose transfer is cut: at the limit of the downloads it
// takes six seconds.
const (
	big   = 24 << 20
	limit = "4MiB"
)

func TestFleet(t *testing.T) {
	f := newFleet(t, limit, fill)
	t.Run("sealed", f.within(f.sealed))
	first, err := f.head()
	f.must(err)
	f.synced("the first build", first, "oslo", "lima", "kyiv")
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"add and change", f.addAndChange},
		{"rename and delete", f.renameAndDelete},
		{"kill in mid-transfer", f.killed},
		{"partition", f.partitioned},
		{"promote", f.promoted},
		{"stop", f.stopped},
	} {
		if !t.Run(step.name, f.within(step.do)) {
			return // the next step stands on this one
		}
	}
}

// within lets a step's failures be those of its own subtest.
func (f *fleet) within(do func()) func(*testing.T) {
	return func(t *testing.T) {
		outer := f.t
		f.t = t
		defer func() { f.t = outer }()
		do()
	}
}

// fill makes main's source: small and large, empty, executable, oddly named,
// a link.
func fill(f *fleet) {
	for i := range 30 {
		f.write("oslo", fmt.Sprintf("2019/img-%02d.jpg", i), 1000*(i*i+1))
	}
	f.write("oslo", "2020/summer/Ærø – 雪.raw", 3<<20)
	f.write("oslo", "2020/empty", 0)
	f.write("oslo", "bin/view", 5000)
	f.must(os.Chmod(f.path("oslo", "bin/view"), 0o755), os.Symlink("../2019/img-01.jpg", f.path("oslo", "bin/best")))
}

// sealed checks that the page's containers are as closed as it says: no root,
// nothing to write to but mounts, and main's source not even that.
func (f *fleet) sealed() {
	for _, site := range f.sites {
		var c struct {
			Config     struct{ User string }
			HostConfig struct {
				ReadonlyRootfs bool
				CapDrop        []string
			}
			Mounts []struct {
				Destination string
				RW          bool
			}
		}
		f.must(json.Unmarshal([]byte(f.docker("inspect", "--format", "{{json .}}", f.container(site))), &c))
		if c.Config.User != f.user || !c.HostConfig.ReadonlyRootfs || !slices.Equal(c.HostConfig.CapDrop, []string{"ALL"}) {
			f.t.Errorf("%s: user %s, read-only %t, dropped %v", site, c.Config.User, c.HostConfig.ReadonlyRootfs, c.HostConfig.CapDrop)
		}
		writable := map[string]bool{}
		for _, m := range c.Mounts {
			writable[m.Destination] = m.RW
		}
		want := map[string]bool{"/srv/catalog": true, "/etc/seedtree": true, "/var/lib/seedtree": true, "/data/photos": true}
		if site == "oslo" {
			want["/data/photos"], want["/data/photos/.seedtree"] = false, true
		}
		if fmt.Sprint(writable) != fmt.Sprint(want) {
			f.t.Errorf("%s: writable mounts %v, want %v", site, writable, want)
		}
	}
}

// head asks the catalog for its newest revision, from inside a site's container.
func (f *fleet) head() (string, error) {
	out, err := run(f.ctx, "docker", "exec", f.container("kyiv"), "/seedtree", "status", "-o", "json")
	var fleet struct{ Head string }
	if err == nil {
		err = json.Unmarshal([]byte(out), &fleet)
	}
	return fleet.Head, err
}

func (f *fleet) addAndChange() {
	f.write("oslo", "2021/new.bin", 700_000)
	f.write("oslo", "2021/tiny", 1)
	file, err := os.OpenFile(f.path("oslo", "2020/summer/Ærø – 雪.raw"), os.O_WRONLY, 0)
	f.must(err)
	_, err = file.WriteAt([]byte("retouched"), 1<<20)
	f.must(err, file.Close(), os.Chmod(f.path("oslo", "2021/tiny"), 0o755))
	f.synced("added and changed", f.build(), "oslo", "lima", "kyiv")
}

// renameAndDelete must not move a byte over the network: all of them are there.
func (f *fleet) renameAndDelete() {
	before := f.fetched("lima") + f.fetched("kyiv")
	f.must(os.Rename(f.path("oslo", "2020/summer"), f.path("oslo", "2020/winter")),
		os.Rename(f.path("oslo", "2019/img-29.jpg"), f.path("oslo", "last.jpg")),
		os.Remove(f.path("oslo", "2019/img-07.jpg")))
	f.synced("renamed and deleted", f.build(), "oslo", "lima", "kyiv")
	if n := f.fetched("lima") + f.fetched("kyiv") - before; n != 0 {
		f.t.Errorf("%d bytes were fetched again", n)
	}
}

// killed ends a follower without a warning while a file is arriving. It goes
// on where it was, and meanwhile nobody sees half a file.
func (f *fleet) killed() {
	f.write("oslo", "film.bin", big)
	rev := f.build()
	f.eventually(patience, "film.bin is arriving at kyiv", func() error {
		if n := onDisk(filepath.Join(f.tree("kyiv"), ".seedtree/staging")); n < big/3 {
			return fmt.Errorf("%d bytes", n)
		}
		return nil
	})
	f.docker("kill", "--signal", "KILL", f.container("kyiv"))
	f.absent("kyiv", "film.bin")
	if s := f.docker("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", f.container("kyiv")); s != "exited 137" {
		f.t.Fatalf("kyiv was to be killed: %s", s)
	}
	f.synced("film.bin at the other follower", rev, "oslo", "lima")
	f.docker("start", f.container("kyiv"))
	f.synced("film.bin at the killed one", rev, "oslo", "lima", "kyiv")
	n := f.fetched("kyiv")
	f.t.Logf("fetched %d of %d bytes after the kill", n, int64(big))
	if n <= 0 || n >= big {
		f.t.Error("fetched them all again, want the rest")
	}
}

// onDisk is how many bytes the files below a folder take up, holes not counted.
func onDisk(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // it comes and goes
		}
		if info, err := d.Info(); err == nil {
			sum += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	return sum
}

// partitioned cuts a follower off from its peers. The catalog, in a volume,
// it still sees: it knows what it lacks and keeps what it has.
func (f *fleet) partitioned() {
	network := f.name + "-net"
	f.docker("network", "disconnect", network, f.container("kyiv"))
	f.write("oslo", "2021/behind the wall.bin", 2<<20)
	f.write("oslo", "2021/new.bin", 800_000)
	f.must(os.Remove(f.path("oslo", "2019/img-08.jpg")))
	rev := f.build()
	f.synced("this side of the partition", rev, "oslo", "lima")
	f.eventually(patience, "kyiv knows what it lacks", func() error {
		s, err := f.status("kyiv")
		if err == nil && (s.Attempted != rev || s.Complete == rev || s.Entries.Missing != 2) {
			err = fmt.Errorf("attempted %s, complete %s, %d missing", s.Attempted, s.Complete, s.Entries.Missing)
		}
		return err
	})
	f.absent("kyiv", "2021/behind the wall.bin")
	if info, err := os.Stat(f.path("kyiv", "2021/new.bin")); err != nil || info.Size() != 700_000 {
		f.t.Errorf("the old version should stand until the new one is here: %v", err)
	}
	f.docker("network", "connect", "--alias", "kyiv", network, f.container("kyiv"))
	f.synced("both sides again", rev, "oslo", "lima", "kyiv")
}

// promoted makes lima main. oslo's source becomes a copy, so its container is
// made anew with a tree it may write to; what it knows is in its volumes.
func (f *fleet) promoted() {
	f.docker("stop", f.container("oslo"))
	f.docker("rm", f.container("oslo"))
	f.give("oslo/photos")
	again, _, ok := strings.Cut(f.agents, "\n")
	if !ok || !strings.HasPrefix(again, "oslo ") {
		f.t.Fatalf("the page does not start oslo first: %s", again)
	}
	f.sh(`oslo() { site oslo --volume ` + f.tree("oslo") + `:/data/photos "$@"; }` + "\n" + again)
	var named string
	f.eventually(patience, "lima may be promoted", func() error {
		out, err := run(f.ctx, "docker", "exec", f.container("kyiv"), "/seedtree", "promote", "lima", "-o", "json")
		if err == nil {
			named = f.revision(out)
		}
		return err
	})
	f.synced("lima is named main", named, "lima", "oslo", "kyiv")
	f.eventually(patience, "everybody plays its new part", func() error {
		lima, err := f.status("lima")
		if err != nil {
			return err
		}
		oslo, err := f.status("oslo")
		if err == nil && (lima.Role != manifests.StatusMain || oslo.Role != manifests.StatusFollower) {
			err = fmt.Errorf("lima is %s, oslo is %s", lima.Role, oslo.Role)
		}
		return err
	})
	f.write("lima", "from the new main.bin", 1<<20)
	f.must(os.Remove(f.path("lima", "last.jpg")))
	f.eventually(patience, "what lima's agent builds by schedule is at oslo", func() error {
		if _, err := os.Stat(f.path("oslo", "from the new main.bin")); err != nil {
			return err
		}
		if _, err := os.Lstat(f.path("oslo", "last.jpg")); err == nil {
			return fmt.Errorf("last.jpg is still there")
		}
		return nil
	})
	built, err := f.head() // one build or two: one may have come between the changes
	f.must(err)
	f.synced("what lima built", built, "lima", "oslo", "kyiv")
}

// stopped asks every agent to end, as process 1 of its container.
func (f *fleet) stopped() {
	for _, site := range f.sites {
		f.docker("stop", "--time", "20", f.container(site))
		if code := f.docker("inspect", "--format", "{{.State.ExitCode}}", f.container(site)); code != "0" {
			f.t.Errorf("%s ended with code %s", site, code)
		}
	}
}
