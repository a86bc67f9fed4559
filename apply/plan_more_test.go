package apply_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/manifests"
)

func TestPlanSpecialEntries(t *testing.T) {
	e, s, d := empty("e"), symlink("s", "target"), emptyDir("d")
	x := e
	x.Executable = true
	all := []manifests.Entry{e, s, d}
	full := apply.FileState{Type: apply.RegularFile, Size: 5}
	runPlans(t, []planCase{
		{"absent", situation{listed: all}, "create d\ncreate e\ncreate s"},
		{"as wanted", situation{listed: all, files: on(all...)}, "in sync 3"},
		{"a directory with something in it", situation{listed: []manifests.Entry{d}, files: on(d)}, "in sync 1"},
		{"other target", situation{listed: []manifests.Entry{s}, files: on(symlink("s", "elsewhere"))}, "create s"},
		{"other target, drift", situation{listed: []manifests.Entry{s}, owned: []manifests.Entry{s}, files: on(symlink("s", "elsewhere"))}, "create s\ndrift 1"},
		{"other target, reported", situation{
			listed: []manifests.Entry{s}, owned: []manifests.Entry{s}, report: true,
			files: on(symlink("s", "elsewhere")),
		}, "drift 1"},
		{"new, reported drift does not stop it", situation{listed: []manifests.Entry{s}, earlier: []manifests.Entry{s}, report: true}, "create s"},
		{"new target, reported drift does not stop it", situation{
			listed: []manifests.Entry{s}, owned: []manifests.Entry{symlink("s", "elsewhere")}, report: true,
			files: on(symlink("s", "elsewhere")),
		}, "create s"},
		{"an empty file that got content", situation{listed: []manifests.Entry{e}, files: with(on(), "e", full)}, "create e"},
		{"mode of an empty file", situation{listed: []manifests.Entry{x}, files: on(e)}, "attributes e"},
		{
			"a file becomes a link",
			situation{listed: []manifests.Entry{symlink("a", "b"), b}, owned: []manifests.Entry{a, b}, files: on(a, b), torrents: seeding(a, b)},
			"create a release 1\nin sync 1",
		},
		{"a link becomes a file", situation{listed: []manifests.Entry{a}, owned: []manifests.Entry{symlink("a", "b")}, files: on(symlink("a", "b"))}, "add a"},
		{
			"pruned",
			situation{listed: []manifests.Entry{b}, owned: []manifests.Entry{b, e, s, d}, files: on(b, e, s, d), torrents: seeding(b)},
			"prune d\nprune e\nprune s\nin sync 1",
		},
		{"a listed directory is not pruned with the empty one", situation{
			listed: []manifests.Entry{f("d/x", "x")}, owned: []manifests.Entry{d, b},
			files: on(d, b), torrents: seeding(b),
		}, "add d/x\nprune b"},
		{"left empty by an interrupted pass", situation{
			listed: []manifests.Entry{b}, owned: []manifests.Entry{b, f("gone/deep/x", "x")},
			files: on(b), torrents: seeding(b), emptyDirs: []string{"gone/deep", "theirs"},
		}, "prune gone/deep\nin sync 1"},
		{"empty, but listed files belong there", situation{
			listed: []manifests.Entry{f("dir/x", "x")}, owned: []manifests.Entry{f("dir/x", "x")},
			emptyDirs: []string{"dir"},
		}, "add dir/x"},
	})
}

func TestPlanHolds(t *testing.T) {
	var ten []manifests.Entry
	for i := range 10 {
		ten = append(ten, f(fmt.Sprint(i), fmt.Sprintf("content %d", i)))
	}
	tight := manifests.Limit{Percent: 20, Files: 1000}
	from := func(n int) situation {
		return situation{listed: ten[n:], owned: ten, files: on(ten...), torrents: seeding(ten...), limit: tight}
	}
	approved := from(3)
	approved.allow = true
	nothing := from(10)
	nothing.allow = true
	renamed := from(10)
	for _, e := range ten {
		e = f("new/"+string(e.Path), "content "+string(e.Path))
		renamed.listed = append(renamed.listed, e)
	}
	renamed.files, renamed.torrents = on(append(renamed.listed[:len(renamed.listed):len(renamed.listed)], ten...)...), seeding(renamed.listed...)
	mixed := from(4)
	mixed.listed = append([]manifests.Entry{f("moved", "content 0")}, ten[4:]...)
	grown := from(2)
	grown.owned, grown.limit.Percent = ten[:3], 30
	grown.files, grown.torrents = on(ten[:3]...), seeding(ten[:3]...)
	excluded := from(0)
	excluded.exclude = "photos/[0-6]"
	unknown := from(3)
	unknown.stopped = "unmounted"
	runPlans(t, []planCase{
		{"within the limit", from(2), "prune 0\nprune 1\nin sync 8"},
		{"over the limit", from(3), "held 0\nheld 1\nheld 2\nin sync 7"},
		{"over the limit, approved", approved, "prune 0\nprune 1\nprune 2\nin sync 7"},
		{"everything", from(10), "held 0\nheld 1\nheld 2\nheld 3\nheld 4\nheld 5\nheld 6\nheld 7\nheld 8\nheld 9"},
		{"an empty listing, approved", nothing, "held 0\nheld 1\nheld 2\nheld 3\nheld 4\nheld 5\nheld 6\nheld 7\nheld 8\nheld 9"},
		{
			"a rename of everything loses nothing", renamed,
			"prune 0\nprune 1\nprune 2\nprune 3\nprune 4\nprune 5\nprune 6\nprune 7\nprune 8\nprune 9\nin sync 10",
		},
		{"a move among held removals", mixed, "move moved < 0 release 1\nheld 1\nheld 2\nheld 3\nin sync 6"},
		{"measured against the larger side", grown, "add 3\nadd 4\nadd 5\nadd 6\nadd 7\nadd 8\nadd 9\nprune 0\nprune 1\nin sync 1"},
		{"the site's filter counts as removal", excluded, "held 0\nheld 1\nheld 2\nheld 3\nheld 4\nheld 5\nheld 6\nin sync 3"},
		{"nothing in a stopped tree", unknown, "stopped 1"},
		{"a torrent nobody knows in a stopped tree", situation{
			listed: ten, stopped: "unmounted",
			torrents: []apply.Torrent{inTree(c, apply.Seeding, 0, ""), inStaging(b, apply.Downloading, 1, "")},
		}, "stopped 1"},
	})
}

func TestPlanFilter(t *testing.T) {
	runPlans(t, []planCase{
		{"excluded, never here: a file at its path is the user's", situation{
			listed: []manifests.Entry{a, b}, owned: []manifests.Entry{a, b},
			exclude: "photos/b", files: on(a, b), torrents: seeding(a),
		}, "in sync 1"},
		{"excluded now, seeded by us: it goes", situation{
			listed: []manifests.Entry{a, b}, owned: []manifests.Entry{a, b},
			exclude: "photos/b", files: on(a, b), torrents: seeding(a, b),
		}, "prune b\nin sync 1"},
		{"excluded, the only one with these bytes", situation{
			listed: []manifests.Entry{a, f("b", "aaa")}, owned: []manifests.Entry{f("b", "aaa")},
			exclude: "photos/b", files: on(f("b", "aaa")), torrents: seeding(f("b", "aaa")),
		}, "move a < b release 1"},
		{"a tree that is not configured here", situation{listed: []manifests.Entry{a, fIn("music", "m", "m")}, files: on(a), torrents: seeding(a)}, "in sync 1\nstopped 1"},
		{"a tree that is not configured here and excluded", situation{
			listed: []manifests.Entry{a, fIn("music", "m", "m")}, exclude: "music/**",
			files: on(a), torrents: seeding(a),
		}, "in sync 1"},
	})
}

func TestPlanAtMain(t *testing.T) {
	main := func(s situation) situation {
		s.main, s.role = "lima", manifests.RoleSource
		return s
	}
	pendingMain := func(s situation) situation { s.main = "lima"; return s }
	edited := apply.FileState{Type: apply.RegularFile, Size: 3, ModTime: planTime.Add(time.Hour)}
	one := []manifests.Entry{a}
	runPlans(t, []planCase{
		{"first build", main(situation{listed: one, files: on(a)}), "adopt a"},
		{"in sync", main(situation{listed: one, files: on(a), torrents: seeding(a)}), "in sync 1"},
		{"edited", main(situation{listed: one, owned: one, files: with(on(), "a", edited), torrents: seeding(a)}), "forget a\ndrift 1"},
		{"deleted", main(situation{listed: one, owned: one, torrents: seeding(a)}), "forget a\ndrift 1"},
		{"edited and already let go", main(situation{listed: one, owned: one, files: with(on(), "a", edited)}), "drift 1"},
		{"mode changed: still the same bytes", main(situation{listed: one, files: on(executable(a)), torrents: seeding(a)}), "in sync 1"},
		{"not listed", main(situation{listed: one, owned: []manifests.Entry{a, b}, files: on(a, b), torrents: seeding(a, b)}), "forget b\nin sync 1"},
		{"an empty listing", main(situation{owned: one, files: on(a), torrents: seeding(a)}), ""},
		{"from the time as a follower", main(situation{
			listed: one, files: on(a),
			torrents: []apply.Torrent{inStaging(a, apply.Downloading, 1, "")},
		}), "adopt a release 1"},
		{"the client found something", main(situation{listed: one, files: on(a), torrents: []apply.Torrent{inTree(a, apply.Stopped, 1, "bad piece")}}), "adopt a release 1"},
		{"checking", main(situation{listed: one, files: on(a), torrents: []apply.Torrent{inTree(a, apply.Checking, 1, "")}}), "waiting 1"},
		{"special entries", main(situation{listed: []manifests.Entry{empty("e"), symlink("s", "x"), emptyDir("d")}, files: on(empty("e"))}), "in sync 1\ndrift 2"},
		{"trash and other copies are not used", main(situation{
			listed: []manifests.Entry{a, f("x", "aaa")}, trash: one, files: on(f("x", "aaa")),
			torrents: seeding(f("x", "aaa")),
		}), "in sync 1\ndrift 1"},
		{"pending main is a follower", pendingMain(situation{listed: []manifests.Entry{a, b}, files: on(a), torrents: seeding(a)}), "add b\nin sync 1"},
		{"a source marker at a site that is not main", situation{
			listed: one, role: manifests.RoleSource,
			files: with(on(), "a", edited), torrents: seeding(a),
		}, "add a release 1\ndrift 1"},
	})
}

func TestPlanRoles(t *testing.T) {
	for _, c := range []struct {
		main, marker string
		want         apply.Role
	}{
		{"oslo", manifests.RoleCopy, apply.Follower},
		{"oslo", manifests.RoleSource, apply.Follower},
		{"lima", manifests.RoleCopy, apply.PendingMain},
		{"lima", manifests.RoleSource, apply.Main},
	} {
		d, o := situation{main: c.main, role: c.marker}.build(t)
		if got := apply.NewPlan(d, o).Role; got != c.want {
			t.Errorf("main %s, marker %s: %v, want %v", c.main, c.marker, got, c.want)
		}
	}
}

func TestPlanCaseFolding(t *testing.T) {
	upper, lower := f("Photo.jpg", "aaa"), f("photo.JPG", "aaa")
	both := on(upper)
	both["photo.JPG"] = both["Photo.jpg"] // as the walk reports one file under both names
	runPlans(t, []planCase{
		{
			"two entries, one name",
			situation{folds: true, listed: []manifests.Entry{upper, lower, b}, files: on(b), torrents: seeding(b)},
			"add Photo.jpg\nin sync 1\nproblem photo.JPG: differs only by case from Photo.jpg, which this file system takes for the same name",
		},
		{
			"only the case changed",
			situation{folds: true, listed: []manifests.Entry{lower}, owned: []manifests.Entry{upper}, files: both, torrents: seeding(upper)},
			"adopt photo.JPG\nforget Photo.jpg",
		},
		{
			"case matters elsewhere",
			situation{listed: []manifests.Entry{lower}, owned: []manifests.Entry{upper}, files: on(upper), torrents: seeding(upper)},
			"move photo.JPG < Photo.jpg release 1",
		},
	})
}

func TestSameTime(t *testing.T) {
	listed := time.Date(2021, 3, 4, 5, 6, 7, 123456789, time.UTC)
	for _, c := range []struct {
		found time.Time
		want  bool
	}{
		{listed, true},
		{listed.In(time.FixedZone("x", 3600)), true},
		{listed.Truncate(100), true},
		{listed.Truncate(time.Microsecond), true},
		{listed.Truncate(time.Second), true},
		{listed.Truncate(2 * time.Second), true},
		{listed.Add(1), false},
		{listed.Add(-1), false},
		{listed.Truncate(time.Second).Add(time.Second), false},
		{listed.Truncate(time.Minute), false},
	} {
		if got := apply.SameTime(listed, c.found); got != c.want {
			t.Errorf("%v: %t", c.found, got)
		}
	}
	old := time.Date(1960, 1, 1, 0, 0, 0, 999, time.UTC)
	if !apply.SameTime(old, time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Error("times before 1970 are not cut downwards")
	}
	if apply.SameTime(listed.Truncate(time.Second), listed) {
		t.Error("a file with a finer time than listed was written since")
	}
}

func TestModeFor(t *testing.T) {
	for _, c := range []struct {
		mode, want uint32
		exe        bool
	}{
		{0o644, 0o644, false},
		{0o644, 0o755, true},
		{0o600, 0o700, true},
		{0o755, 0o755, true},
		{0o755, 0o644, false},
		{0o700, 0o600, false},
		{0o640, 0o750, true},
		{0o744, 0o744, true},
	} {
		if got := apply.ModeFor(fileMode(c.mode), c.exe); got != fileMode(c.want) {
			t.Errorf("%o executable %t: %o, want %o", c.mode, c.exe, got, c.want)
		}
	}
}

func fileMode(m uint32) (mode os.FileMode) { return os.FileMode(m) }
