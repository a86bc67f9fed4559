package apply

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"seedtree/manifests"
)

// The trash of a tree is meant for people with a file manager:
//
//	.seedtree/trash/2026-03-01T14.05.09Z-1a2b3c4/2019/a.jpg
//	.seedtree/trash/2026-03-01T14.05.09Z-1a2b3c4.jsonl
//
// One folder per pass that removed something, named after the time (UTC) and
// the revision, the files inside it where they stood. The .jsonl beside it has
// one line per item for us: the Content, so that a revert finds its bytes.
// A line is written before its file arrives; a line without a file means
// nothing, and a file without a line is still there for people.

// trashTime is the layout of the time in a folder's name; no colons, for file
// systems that refuse them.
const trashTime = "2006-01-02T15.04.05Z"

// TrashItem is one file, link or folder in the trash.
type TrashItem struct {
	Tree     string
	Folder   string // below .seedtree/trash
	Path     manifests.Path
	Trashed  time.Time
	Revision string // that was being applied
	Reason   string
	Length   int64             // bytes, of a regular file
	ModTime  time.Time         // of a regular file
	Content  manifests.Content // zero: never known
}

// name is where the item stands below the tree root.
func (i TrashItem) name() string { return trashDir + "/" + i.Folder + "/" + string(i.Path) }

// trashLine is an item as the index stores it.
type trashLine struct {
	Path     string    `json:"path"`
	Raw      []byte    `json:"rawPath,omitempty"` // where the path is no valid UTF-8
	Trashed  time.Time `json:"trashed"`
	Revision string    `json:"revision,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Length   int64     `json:"length,omitempty"`
	ModTime  time.Time `json:"mtime,omitzero"`
	Content  string    `json:"content,omitempty"`
}

// bin is the trash folder of one pass in one tree, made when first needed.
type bin struct {
	t        *tree
	now      time.Time
	revision string
	folder   string   // "" until made
	index    *os.File // open for appending
}

// folderName is the n-th name for a pass's folder.
func (b *bin) folderName(n int) string {
	name := b.now.UTC().Format(trashTime)
	if b.revision != "" {
		name += "-" + b.revision[:min(len(b.revision), 12)]
	}
	if n > 1 {
		name += "-" + strconv.Itoa(n)
	}
	return name
}

// open makes a folder that nothing was put into yet.
func (b *bin) open() error {
	if err := b.close(); err != nil {
		return err
	}
	if err := b.t.makeDirs(trashDir); err != nil {
		return err
	}
	for n := 1; ; n++ {
		name := b.folderName(n)
		b.t.step("mkdir trash " + name)
		err := b.t.root.Mkdir(trashDir+"/"+name, 0o777)
		if errors.Is(err, os.ErrExist) && n < 10000 {
			continue
		}
		if err != nil {
			return err
		}
		b.index, err = b.t.root.OpenFile(trashDir+"/"+name+".jsonl", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
		if err != nil {
			return err
		}
		b.folder = name
		return nil
	}
}

func (b *bin) close() error {
	if b == nil || b.index == nil {
		return nil
	}
	err := errors.Join(b.t.fsync(b.index), b.index.Close())
	b.index, b.folder = nil, ""
	return err
}

// prepare finds a free place for what stands at name, makes the directories
// above it and writes the line. It returns the place.
func (b *bin) prepare(name string, info os.FileInfo, c manifests.Content, reason string) (string, error) {
	if b.folder == "" {
		if err := b.open(); err != nil {
			return "", err
		}
	}
	to := trashDir + "/" + b.folder + "/" + name
	if err := b.t.makeDirs(path.Dir(to)); err != nil {
		if !errors.Is(err, syscall.ENOTDIR) {
			return "", err
		}
		to = ""
	} else if there, err := b.t.lstat(to); err != nil {
		return "", err
	} else if there != nil {
		to = ""
	}
	if to == "" { // the same place twice in one pass
		if err := b.open(); err != nil {
			return "", err
		}
		to = trashDir + "/" + b.folder + "/" + name
		if err := b.t.makeDirs(path.Dir(to)); err != nil {
			return "", err
		}
	}
	item := TrashItem{Path: manifests.Path(name), Trashed: b.now, Revision: b.revision, Reason: reason, Content: c}
	if info.Mode().IsRegular() {
		item.Length, item.ModTime = info.Size(), info.ModTime()
	}
	b.t.step("index " + name)
	_, err := b.index.Write(item.encode())
	return to, err
}

// throw puts what stands at name into the trash. With keep it stays visible
// until something is renamed over it; where the file system has no hard links
// it goes away at once.
func (b *bin) throw(name string, info os.FileInfo, c manifests.Content, reason string, keep bool) error {
	to, err := b.prepare(name, info, c, reason)
	if err == nil && info.IsDir() {
		b.t.forgetDir(name)
		return b.wrap(name, b.move(name, to, info))
	}
	if err == nil && keep {
		if b.t.link(name, to) == nil {
			return nil
		}
	}
	if err == nil {
		err = b.move(name, to, info)
	}
	return b.wrap(name, err)
}

func (b *bin) wrap(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("moving %s to the trash of tree %s: %w", name, b.t.name, err)
}

// move renames, or copies a regular file when the place is another file
// system's, mounted inside the tree.
func (b *bin) move(name, to string, info os.FileInfo) error {
	err := b.t.rename(name, to)
	if err == nil || !errors.Is(err, syscall.EXDEV) || !info.Mode().IsRegular() {
		return err
	}
	if err := b.t.copyFile(b.t, name, to, -1); err != nil {
		return err
	}
	b.t.step("chtimes trash " + name)
	if err := b.t.root.Chtimes(to, time.Time{}, info.ModTime()); err != nil {
		return err
	}
	// The other file system may remember the removal before this one remembers
	// the copy, and the folders it is in.
	for at := to; at != trashDir; at = path.Dir(at) {
		if err := b.t.sync(at); err != nil {
			return err
		}
	}
	return b.t.remove(name)
}

// encode writes an item as one line of JSON.
func (i TrashItem) encode() []byte {
	l := trashLine{
		Path: string(i.Path), Trashed: i.Trashed.UTC(), Revision: i.Revision,
		Reason: i.Reason, Length: i.Length, ModTime: i.ModTime,
	}
	if strings.ToValidUTF8(l.Path, "") != l.Path {
		l.Raw = []byte(i.Path)
	}
	if !i.Content.IsZero() {
		l.Content = i.Content.String()
	}
	b, err := json.Marshal(l)
	if err != nil { // a year that RFC 3339 cannot say
		l.ModTime = time.Time{}
		b, _ = json.Marshal(l)
	}
	return append(b, '\n')
}

// decodeTrashLine reads one line; what does not make sense is no item.
func decodeTrashLine(tree, folder string, line []byte) (TrashItem, bool) {
	var l trashLine
	if json.Unmarshal(line, &l) != nil {
		return TrashItem{}, false
	}
	name := l.Path
	if l.Raw != nil {
		name = string(l.Raw)
	}
	p, err := manifests.ParsePath(name)
	if err != nil {
		return TrashItem{}, false
	}
	item := TrashItem{
		Tree: tree, Folder: folder, Path: p, Trashed: l.Trashed, Revision: l.Revision,
		Reason: l.Reason, Length: l.Length, ModTime: l.ModTime,
	}
	if l.Content != "" {
		if item.Content, err = manifests.ParseContent(l.Content); err != nil {
			return TrashItem{}, false
		}
	}
	return item, true
}
