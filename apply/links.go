package apply

import "os"

// shared reports whether a file in staging is also visible somewhere: as the
// file at its place, put there before the client could be told, or under
// whatever name somebody has given that since.
func (t *tree) shared(staged, place string) (bool, error) {
	info, err := t.lstat(staged)
	if err != nil || info == nil || !info.Mode().IsRegular() {
		return false, err
	}
	if n, known := linkCount(info); known {
		return n > 1, nil
	}
	there, err := t.lstat(place)
	return there != nil && os.SameFile(info, there), err
}

// unshare makes a file in staging one of its own before a client writes into
// it: through a shared one it would write over what people see, and edit.
func (t *tree) unshare(staged, place string) error {
	shared, err := t.shared(staged, place)
	if err != nil || !shared {
		return err
	}
	return t.copyFile(t, staged, staged, -1)
}

// lastName reports whether a file is known to have no second name.
func lastName(info os.FileInfo) bool {
	n, known := linkCount(info)
	return known && n == 1
}
