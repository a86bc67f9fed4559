package builder

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"seedtree/internal/dirat"
	"seedtree/manifests"
)

// Drives that are mounted inside a source. Without its drive such a folder
// looks just like one whose files were deleted, and no marker stands in it.
// So a build is told which folders were another file system the last time.
var (
	// ErrUnmounted: a folder was another file system at the last build, is none
	// now, and what is listed below it is not there.
	ErrUnmounted = errors.New("was another file system at the last build and is none now: its drive is not mounted")
	// ErrEmptyMount: a drive is mounted, with nothing on it of what is listed.
	ErrEmptyMount = errors.New("is a drive with no files on it, but files are listed there")
)

// mount is a folder below a source's root that is another file system than the
// folder it is in, or was one at the last build.
type mount struct {
	src   *source
	key   manifests.Key
	on    bool       // it is one now
	stat  dirat.Stat // of its root, where it is one
	above uint64     // the device of the folder it is in
}

// mounted takes note of a directory that is or was a mount point. Device
// numbers are given out anew at each boot, so only that they differ counts.
func (w *scanner) mounted(p *place) {
	on := p.stat.Device != p.in.stat.Device
	path := strings.TrimSuffix(p.path, "/")
	if on || w.mounts[w.key(path)] {
		w.out.mounts = append(w.out.mounts, mount{src: w.src, key: w.key(path), on: on, stat: p.stat, above: p.in.stat.Device})
	}
}

// hideMounts hides the mount points whose files went with their drive: what is
// listed below stays. One with nothing to lose is a folder like any other: so
// it is when the files were copied into the folder for good.
func (b *build) hideMounts() {
	slices.SortFunc(b.found.mounts, func(x, y mount) int { return x.key.Compare(y.key) })
	if b.AllowRemovals {
		return
	}
	for _, m := range b.found.mounts {
		listed, there := b.below(m.key)
		switch {
		case len(listed) == 0:
		case m.on && len(there) == 0:
			b.hideAll(m.key, ErrEmptyMount)
		case !m.on && slices.ContainsFunc(listed, func(k manifests.Key) bool { return !there[k] }):
			b.hideAll(m.key, ErrUnmounted)
		}
	}
}

// below returns which files and links the previous listing has below a folder,
// and which are there now.
func (b *build) below(at manifests.Key) (listed []manifests.Key, there map[manifests.Key]bool) {
	there = map[manifests.Key]bool{}
	from, _ := b.Previous.Find(manifests.Key{Tree: at.Tree, Path: at.Path + "/"})
	for i := from; i < b.Previous.Len() && within(b.Previous.At(i).Key(), at); i++ {
		if e := b.Previous.At(i); e.Kind != manifests.EmptyDir {
			listed = append(listed, e.Key())
			if b.found.kept[i] {
				there[e.Key()] = true
			}
		}
	}
	for _, e := range b.found.entries {
		if e.Kind != manifests.EmptyDir && within(e.Key(), at) {
			there[e.Key()] = true
		}
	}
	for _, d := range b.found.folders {
		for i := range d.files {
			if k := d.files[i].key(); within(k, at) {
				there[k] = true
			}
		}
	}
	for _, x := range b.found.chmods {
		if k := x.file.key(); within(k, at) {
			there[k] = true
		}
	}
	return listed, there
}

// hideAll reports a folder and forgets what was found in it.
func (b *build) hideAll(at manifests.Key, why error) {
	f := &b.found
	f.hidden = append(f.hidden, at)
	f.failed = append(f.failed, Failure{at, why})
	f.entries = slices.DeleteFunc(f.entries, func(e manifests.Entry) bool { return within(e.Key(), at) })
	f.chmods = slices.DeleteFunc(f.chmods, func(x chmod) bool { return within(x.file.key(), at) })
	f.folders = slices.DeleteFunc(f.folders, func(d *folder) bool { return within(d.files[0].key(), at) })
}

// mountPoints returns what the next build is to be told: the mount points that
// are there, and those of which nobody can say.
func (b *build) mountPoints() []manifests.Key {
	var all []manifests.Key
	for _, m := range b.found.mounts {
		if m.on {
			all = append(all, m.key)
		}
	}
	for _, k := range b.Mounts {
		if slices.ContainsFunc(b.found.hidden, func(at manifests.Key) bool { return within(k, at) }) {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, manifests.Key.Compare)
	return slices.Compact(all)
}

// still makes sure that a drive was not unmounted while it was read: its files
// would pass for deleted. One that came back as another device is welcome,
// since that is how automounters work.
func (m *mount) still() error {
	if !m.on {
		return nil
	}
	dir, err := m.src.open(string(m.key.Path))
	if err != nil {
		return fmt.Errorf("%s: %w while it was read: %w", m.key, ErrNotMounted, cause(err))
	}
	defer func() { _ = dir.Close() }()
	now, err := dir.Stat()
	if err != nil || now.Device == m.above || now.Inode != m.stat.Inode {
		return errors.Join(fmt.Errorf("%s: %w any more: it was unmounted while it was read", m.key, ErrNotMounted), err)
	}
	return nil
}

// within reports whether a place is another one or below it.
func within(k, at manifests.Key) bool {
	if k.Tree != at.Tree || at.Path == "" {
		return k.Tree == at.Tree
	}
	rest, ok := strings.CutPrefix(string(k.Path), string(at.Path))
	return ok && (rest == "" || rest[0] == '/')
}
