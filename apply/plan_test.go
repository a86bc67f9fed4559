package apply_test

import (
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/manifests"
)

var (
	a, b, c = f("a", "aaa"), f("b", "bbb"), f("c", "ccc")
	aNew    = f("a", "AAAA") // a newer version of a, of another length
	aEdit   = f("a", "AAA")  // and one of the same length
)

func TestPlanTruthTable(t *testing.T) {
	other := apply.FileState{Type: apply.RegularFile, Size: 99, ModTime: planTime}
	touched := apply.FileState{Type: apply.RegularFile, Size: 3, ModTime: planTime.Add(time.Hour)}
	link := apply.FileState{Type: apply.Link, Target: "x"}
	dir := apply.FileState{Type: apply.Directory}
	fifo := apply.FileState{Type: apply.OtherFile}
	one := []manifests.Entry{a}
	runPlans(t, []planCase{
		{"nothing", situation{}, ""},
		// listed, engine has it not
		{"not held, as listed", situation{listed: one, files: on(a)}, "adopt a"},
		{"not held, executable bit differs", situation{listed: one, files: on(executable(a))}, "adopt a"},
		{"not held, absent", situation{listed: one}, "add a"},
		{"not held, other length", situation{listed: one, files: with(on(), "a", other)}, "add a"},
		{"not held, other time", situation{listed: one, files: with(on(), "a", touched)}, "add a"},
		{"not held, a link", situation{listed: one, files: with(on(), "a", link)}, "add a"},
		{"not held, a directory", situation{listed: one, files: with(on(), "a", dir)}, "add a"},
		{"not held, a pipe", situation{listed: one, files: with(on(), "a", fifo)}, "add a"},
		// in staging
		{"fetching", situation{listed: one, torrents: []apply.Torrent{inStaging(a, apply.Downloading, 2, "")}}, "waiting 1"},
		{"fetching, old version there", situation{
			listed: one, owned: []manifests.Entry{aNew}, files: on(aNew),
			torrents: append(seeding(aNew), inStaging(a, apply.Downloading, 2, "")),
		}, "waiting 1"},
		{"fetching, the file turned up", situation{
			listed: one, files: on(a),
			torrents: []apply.Torrent{inStaging(a, apply.Downloading, 2, "")},
		}, "waiting 1"},
		{"checking in staging", situation{listed: one, torrents: []apply.Torrent{inStaging(a, apply.Checking, 3, "")}}, "waiting 1"},
		{"fetched", situation{
			listed: one, staged: map[manifests.InfoHash]int64{a.InfoHash: 3},
			torrents: []apply.Torrent{inStaging(a, apply.Seeding, 0, "")},
		}, "place a"},
		{"fetched, old version there", situation{
			listed: []manifests.Entry{aNew}, owned: one, files: on(a),
			staged:   map[manifests.InfoHash]int64{aNew.InfoHash: 4},
			torrents: append(seeding(a), inStaging(aNew, apply.Seeding, 0, "")),
		}, "place a release 1"},
		{"complete, but staging is empty", situation{
			listed: one, staged: map[manifests.InfoHash]int64{a.InfoHash: -1},
			torrents: []apply.Torrent{inStaging(a, apply.Seeding, 0, "")},
		}, "add a release 1"},
		{"complete, but staging is gone", situation{
			listed:   one,
			torrents: []apply.Torrent{inStaging(a, apply.Seeding, 0, "")},
		}, "add a release 1"},
		{"stopped in staging", situation{listed: one, torrents: []apply.Torrent{inStaging(a, apply.Stopped, 2, "")}}, "add a release 1"},
		{"an error in staging", situation{listed: one, torrents: []apply.Torrent{inStaging(a, apply.Stopped, 2, "No space")}}, "add a release 1"},
		{
			"an error in staging, tried just now",
			situation{
				listed: one, recent: one,
				torrents: []apply.Torrent{inStaging(a, apply.Stopped, 2, "No space")},
			},
			"waiting 1\nproblem a: the client does not get on with it: No space",
		},
	})
}

// The second half of the truth table: what stands in place, elsewhere, or is
// not listed any more.
func TestPlanTruthTableInPlace(t *testing.T) {
	other := apply.FileState{Type: apply.RegularFile, Size: 99, ModTime: planTime}
	touched := apply.FileState{Type: apply.RegularFile, Size: 3, ModTime: planTime.Add(time.Hour)}
	link := apply.FileState{Type: apply.Link, Target: "x"}
	dir := apply.FileState{Type: apply.Directory}
	one := []manifests.Entry{a}
	runPlans(t, []planCase{
		// in place
		{"in sync", situation{listed: one, files: on(a), torrents: seeding(a)}, "in sync 1"},
		{"mode differs", situation{listed: one, files: on(executable(a)), torrents: seeding(a)}, "attributes a"},
		{"time is new in the listing", situation{
			listed: []manifests.Entry{at(a, planTime.Add(time.Hour))}, owned: one,
			files: on(a), torrents: seeding(a),
		}, "attributes a"},
		{"time is new in the listing, which was begun before", situation{
			listed: []manifests.Entry{at(a, planTime.Add(time.Hour))}, owned: one,
			earlier: []manifests.Entry{at(a, planTime.Add(time.Hour))}, files: on(a), torrents: seeding(a),
		}, "attributes a"},
		{"checking in place", situation{listed: one, files: on(a), torrents: []apply.Torrent{inTree(a, apply.Checking, 3, "")}}, "waiting 1"},
		{"stopped in place", situation{listed: one, files: on(a), torrents: []apply.Torrent{inTree(a, apply.Stopped, 0, "")}}, "adopt a release 1"},
		{"an error in place", situation{listed: one, files: on(a), torrents: []apply.Torrent{inTree(a, apply.Stopped, 1, "bad")}}, "adopt a release 1"},
		{"downloading in place", situation{listed: one, files: on(a), torrents: []apply.Torrent{inTree(a, apply.Downloading, 1, "")}}, "adopt a release 1"},
		{"an error in place, tried just now", situation{
			listed: one, files: on(a), recent: one,
			torrents: []apply.Torrent{inTree(a, apply.Stopped, 1, "bad")},
		}, "problem a: the client does not get on with it: bad"},
		// drift
		{"drift: missing", situation{listed: one, owned: one, torrents: seeding(a)}, "add a release 1\ndrift 1"},
		{"drift: edited", situation{listed: one, owned: one, files: with(on(), "a", other), torrents: seeding(a)}, "add a release 1\ndrift 1"},
		{"drift: touched", situation{listed: one, owned: one, files: with(on(), "a", touched), torrents: seeding(a)}, "add a release 1\ndrift 1"},
		{"drift: a link", situation{listed: one, owned: one, files: with(on(), "a", link), torrents: seeding(a)}, "add a release 1\ndrift 1"},
		{"drift: a directory", situation{listed: one, owned: one, files: with(on(), "a", dir), torrents: seeding(a)}, "add a release 1\ndrift 1"},
		{
			"drift, the trash has it",
			situation{listed: one, owned: one, trash: one, torrents: seeding(a)},
			"restore a < trash: photos/a release 1\ndrift 1",
		},
		{"drift, another entry has it", situation{
			listed: []manifests.Entry{a, f("b", "aaa")}, owned: one,
			files: on(f("b", "aaa")), torrents: seeding(a, f("b", "aaa")),
		}, "copy a < b release 1\nin sync 1\ndrift 1"},
		{"drift, reported", situation{listed: one, owned: one, files: with(on(), "a", other), torrents: seeding(a), report: true}, "drift 1"},
		{"mode only, reported", situation{listed: one, owned: one, files: on(executable(a)), torrents: seeding(a), report: true}, "attributes a"},
		// elsewhere
		{"elsewhere, file as listed", situation{
			listed: one, files: on(a),
			torrents: []apply.Torrent{{InfoHash: a.InfoHash, Root: "/downloads/photos", State: apply.Seeding}},
		}, "adopt a release 1"},
		{"elsewhere, absent", situation{
			listed:   one,
			torrents: []apply.Torrent{{InfoHash: a.InfoHash, Root: "", State: apply.Downloading, Left: 3}},
		}, "add a release 1"},
		// not listed
		{"foreign", situation{listed: one, files: on(a, b), torrents: seeding(a)}, "in sync 1"},
		{"prune", situation{listed: one, owned: []manifests.Entry{a, b}, files: on(a, b), torrents: seeding(a, b)}, "prune b\nin sync 1"},
		{"prune what an unfinished revision put here", situation{
			listed: one, owned: one, earlier: []manifests.Entry{a, b},
			files: on(a, b), torrents: seeding(a, b),
		}, "prune b\nin sync 1"},
		{"prune without a torrent", situation{listed: one, owned: []manifests.Entry{a, b}, files: on(a, b), torrents: seeding(a)}, "prune b\nin sync 1"},
		{"prune what was edited", situation{listed: one, owned: []manifests.Entry{a, b}, files: with(on(a), "b", other), torrents: seeding(a, b)}, "prune b\nin sync 1"},
		{"gone already", situation{listed: one, owned: []manifests.Entry{a, b}, files: on(a), torrents: seeding(a, b)}, "forget b\nin sync 1"},
		{"a user's link where a file was", situation{
			listed: one, owned: []manifests.Entry{a, b}, files: with(on(a), "b", link),
			torrents: seeding(a, b),
		}, "forget b\nin sync 1"},
		{"a user's directory where a file was", situation{
			listed: one, owned: []manifests.Entry{a, b}, files: with(on(a), "b", dir),
			torrents: seeding(a, b),
		}, "forget b\nin sync 1"},
		{
			"a torrent nobody knows",
			situation{listed: one, files: on(a), torrents: append(seeding(a), inTree(c, apply.Seeding, 0, ""))},
			"forget \nin sync 1",
		},
		{"a staged torrent no longer listed", situation{
			listed: one, owned: []manifests.Entry{a, c}, files: on(a),
			torrents: append(seeding(a), inStaging(c, apply.Downloading, 1, "")),
		}, "forget c\nin sync 1"},
	})
}

func TestPlanSupply(t *testing.T) {
	x, y := f("x", "aaa"), f("y", "aaa")
	runPlans(t, []planCase{
		{"rename", situation{listed: []manifests.Entry{x}, owned: []manifests.Entry{a}, files: on(a), torrents: seeding(a)}, "move x < a release 1"},
		{"rename, the engine lost it", situation{listed: []manifests.Entry{x}, owned: []manifests.Entry{a}, files: on(a)}, "move x < a"},
		{"rename, the source is gone", situation{listed: []manifests.Entry{x}, owned: []manifests.Entry{a}, torrents: seeding(a)}, "add x\nforget a"},
		{"rename, the source was edited", situation{
			listed: []manifests.Entry{x}, owned: []manifests.Entry{a},
			files: with(on(), "a", apply.FileState{Type: apply.RegularFile, Size: 77}), torrents: seeding(a),
		}, "add x\nprune a"},
		{"rename, interrupted before the old name went", situation{
			listed: []manifests.Entry{x}, owned: []manifests.Entry{a},
			files: on(a, x), torrents: seeding(x),
		}, "prune a\nin sync 1"},
		{"rename, interrupted before the engine knew", situation{
			listed: []manifests.Entry{x}, owned: []manifests.Entry{a},
			files: on(a, x), torrents: seeding(a),
		}, "adopt x\nprune a"},
		{
			"rename and keep",
			situation{listed: []manifests.Entry{a, x}, owned: []manifests.Entry{a}, files: on(a), torrents: seeding(a)},
			"copy x < a\nin sync 1",
		},
		{
			"one becomes two",
			situation{listed: []manifests.Entry{x, y}, owned: []manifests.Entry{a}, files: on(a), torrents: seeding(a)},
			"move x < a release 1\ncopy y < a",
		},
		{
			"two become one",
			situation{listed: []manifests.Entry{a}, owned: []manifests.Entry{x, y}, files: on(x, y), torrents: seeding(x, y)},
			"move a < x release 1\nprune y",
		},
		{
			"two become two",
			situation{listed: []manifests.Entry{a, f("b", "aaa")}, owned: []manifests.Entry{x, y}, files: on(x, y), torrents: seeding(x, y)},
			"move a < x release 1\nmove b < y release 1",
		},
		{
			"swap",
			situation{
				listed: []manifests.Entry{f("a", "bbb"), f("b", "aaa")},
				owned:  []manifests.Entry{at(a, planTime.Add(1)), at(b, planTime.Add(1))},
				files:  on(at(a, planTime.Add(1)), at(b, planTime.Add(1))), torrents: seeding(a, b),
			},
			"move a < b release 2\nmove b < a release 2",
		},
		{
			"moved away and replaced",
			situation{listed: []manifests.Entry{aNew, x}, owned: []manifests.Entry{a}, files: on(a), torrents: seeding(a)},
			"move x < a release 1\nadd a",
		},
		{"a source in another tree that is not configured", situation{listed: []manifests.Entry{x}, owned: []manifests.Entry{fIn("music", "m", "aaa")}}, "add x"},
		{"trash", situation{listed: []manifests.Entry{a}, trash: []manifests.Entry{x}}, "restore a < trash: photos/x"},
		{"trash, twice", situation{listed: []manifests.Entry{a, x}, trash: []manifests.Entry{y}}, "restore a < trash: photos/y\ncopy x < trash: photos/y"},
		{"a departing file is better than the trash", situation{
			listed: []manifests.Entry{x}, owned: []manifests.Entry{a}, files: on(a),
			trash: []manifests.Entry{y}, torrents: seeding(a),
		}, "move x < a release 1"},
		{"a copy not yet adopted", situation{listed: []manifests.Entry{a, x}, files: on(a)}, "copy x < a\nadopt a"},
		{
			"begun under another name",
			situation{
				listed: []manifests.Entry{x}, owned: []manifests.Entry{a},
				staged: map[manifests.InfoHash]int64{a.InfoHash: 2}, torrents: []apply.Torrent{inStaging(a, apply.Downloading, 1, "")},
			},
			"add x < staging: photos/a release 1",
		},
		{"begun under another name and under its own", situation{
			listed: []manifests.Entry{x}, owned: []manifests.Entry{a},
			staged: map[manifests.InfoHash]int64{a.InfoHash: 2, x.InfoHash: 1},
		}, "add x"},
		{"replaced, the old torrent seeds on", situation{listed: []manifests.Entry{aNew}, owned: []manifests.Entry{a}, files: on(a), torrents: seeding(a)}, "add a"},
		{"replaced by what the trash has", situation{
			listed: []manifests.Entry{aNew}, owned: []manifests.Entry{a}, files: on(a), torrents: seeding(a),
			trash: []manifests.Entry{aNew},
		}, "restore a < trash: photos/a release 1"},
		{"same length, other time", situation{listed: []manifests.Entry{at(aEdit, planTime.Add(1))}, owned: []manifests.Entry{a}, files: on(a), torrents: seeding(a)}, "add a"},
	})
}

func TestPlanObstructions(t *testing.T) {
	in, below := f("a/in", "in"), f("d/x", "xx")
	runPlans(t, []planCase{
		{
			"a file becomes a directory",
			situation{listed: []manifests.Entry{in, b}, owned: []manifests.Entry{a, b}, files: on(a, b), torrents: seeding(a, b)},
			"add a/in\nprune a early\nin sync 1",
		},
		{"a directory becomes a file", situation{
			listed: []manifests.Entry{f("d", "d"), b}, owned: []manifests.Entry{below, b},
			files: with(on(below, b), "d", apply.FileState{Type: apply.Directory}), torrents: seeding(below, b),
		}, "add d\nprune d/x early\nin sync 1"},
		{"a directory becomes a link", situation{
			listed: []manifests.Entry{symlink("d", "x"), b}, owned: []manifests.Entry{below, b},
			files: with(on(below, b), "d", apply.FileState{Type: apply.Directory}), torrents: seeding(below, b),
		}, "create d\nprune d/x early\nin sync 1"},
		{"a file moves into a directory of its own name", situation{
			listed: []manifests.Entry{f("a/in", "aaa")}, owned: []manifests.Entry{a},
			files: on(a), torrents: seeding(a),
		}, "move a/in < a release 1"},
		{
			"held: a file would become a directory",
			situation{
				listed: []manifests.Entry{in}, owned: []manifests.Entry{a, b, c},
				files: on(a, b, c), torrents: seeding(a, b, c), limit: manifests.Limit{Percent: 1, Files: 1},
			},
			"add a/in\nheld a\nheld b\nheld c",
		},
	})
}
