package builder

import (
	"io/fs"
	"os"
	"slices"

	"seedtree/internal/dirat"
	"seedtree/manifests"
)

// away says which drive is not there that a place belongs on, by the rules of
// hideMounts; nil if it is none.
func away(root *os.Root, o Options, k manifests.Key) error {
	above, err := root.Lstat(".")
	for end := 1; err == nil && end <= len(k.Path); end++ {
		if end < len(k.Path) && k.Path[end] != '/' {
			continue
		}
		at := manifests.Key{Tree: k.Tree, Path: k.Path[:end]}
		var info fs.FileInfo
		if info, err = root.Lstat(string(at.Path)); err != nil || !info.IsDir() {
			return nil // nothing is mounted there, nor will be: it is gone for good
		}
		on := dirat.StatOf(info).Device != dirat.StatOf(above).Device
		if on || slices.Contains(o.Mounts, at) {
			if why := lost(root, o.Previous, at, on); why != nil {
				return Failure{at, why}
			}
		}
		above = info
	}
	return nil
}

// lost says why a folder that is or was a drive keeps what is listed below it.
func lost(root *os.Root, previous *manifests.Listing, at manifests.Key, on bool) error {
	if previous == nil {
		return nil
	}
	from, _ := previous.Find(manifests.Key{Tree: at.Tree, Path: at.Path + "/"})
	for i := from; i < previous.Len() && within(previous.At(i).Key(), at); i++ {
		e := previous.At(i)
		switch {
		case e.Kind == manifests.EmptyDir:
		case on && bare(root, at.Path):
			return ErrEmptyMount
		case on:
			return nil
		default:
			if info, link, err := lookAt(root, e.Path); err != nil || link != "" || !listable(info.Mode()) {
				return ErrUnmounted
			}
		}
	}
	return nil
}

// bare reports whether there is no file below a folder that could be listed.
func bare(root *os.Root, at manifests.Path) bool {
	err := fs.WalkDir(root.FS(), string(at), func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == manifests.PrivateDir:
			return fs.SkipDir
		case listable(d.Type()):
			return fs.ErrExist
		}
		return nil
	})
	return err == nil
}

// listable says what becomes an entry by itself.
func listable(mode fs.FileMode) bool { return mode.IsRegular() || mode.Type() == fs.ModeSymlink }
