package builder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"seedtree/manifests"
)

// What Explain says of a place.
const (
	StateIgnored    = "ignored"
	StateSkipped    = "skipped" // no torrent can carry it
	StateDirectory  = "directory"
	StateNew        = "new"
	StateChanged    = "changed"
	StateUnchanged  = "unchanged"
	StateMissing    = "missing"    // not there, but listed
	StateAbsent     = "absent"     // neither there nor listed
	StateUnreadable = "unreadable" // what is listed of it stays
	StateAway       = "away"       // so is the drive it is on, and what is listed stays
)

// Rule is one line of an ignore file, or one of the manifest's ignore rules.
type Rule struct {
	File    string // the ignore file as tree/path; "" for the manifest
	Line    int    // in the file; in the manifest the number of the rule, from 1
	Pattern string
}

// Explanation says what a build makes of one place, and why.
type Explanation struct {
	Key   manifests.Key
	State string
	// Rule decided: it ignores the place, or takes it back. At is what it
	// matched, the place itself or a directory above it.
	Rule *Rule
	At   manifests.Path
	Why  string // more, for people; may be empty
}

// Explain says what Build would make of a place, by the same rules, without
// reading the file or anything but what leads to it.
func Explain(o Options, k manifests.Key) (Explanation, error) {
	x := Explanation{Key: k}
	root, err := os.OpenRoot(o.Trees[k.Tree])
	if err != nil {
		return x, fmt.Errorf("tree %s: %w: %w", k.Tree, ErrNotMounted, err)
	}
	defer func() { _ = root.Close() }()
	info, at, err := lookAt(root, k.Path)
	asked := string(k.Path)
	if at != "" {
		asked = at // what is behind a link is none of ours
	}
	load := func(base string, above *rules) (*rules, error) { return loadRules(root, base, above) }
	from, rule, where, hidden := decide(asked, info != nil && info.IsDir(), treeRules(o.Manifest.Trees[k.Tree].Ignore), load)
	if rule != nil {
		x.Rule, x.At = &Rule{File: k.Tree + "/" + from.base + ignoreFile, Line: rule.line, Pattern: rule.text}, manifests.Path(where)
		if from.item > 0 {
			x.Rule.File, x.Rule.Line = "", from.item
		}
	}
	old, listed := entryAt(o.Previous, k)
	gone := away(root, o, k)
	switch {
	case hidden != nil:
		x.State, x.Why = StateUnreadable, cause(hidden).Error()
	case rule != nil && !rule.negated:
		x.State = StateIgnored
	case private(k.Path):
		x.State, x.Why = StateSkipped, "belongs to seedtree"
	case gone != nil:
		x.State, x.Why = StateAway, gone.Error()+"; what is listed there stays"
	case at != "":
		x.State, x.Why = StateSkipped, fmt.Sprintf("%s/%s is a symlink, and those are never followed", k.Tree, at)
	case errors.Is(err, fs.ErrNotExist) && listed:
		x.State, x.Why = StateMissing, "a build would remove it from the catalog"
	case errors.Is(err, fs.ErrNotExist):
		x.State, x.Why = StateAbsent, "neither there nor listed"
	case err != nil:
		x.State, x.Why = StateUnreadable, cause(err).Error()
	default:
		target, _ := root.Readlink(string(k.Path)) // "" of what is no link
		x.State, x.Why = compare(info, target, old, listed)
		if err := opens(root, k.Path, x.State, info.Mode()); err != nil {
			x.State, x.Why = StateUnreadable, cause(err).Error()
		}
	}
	return x, nil
}

// opens tries what a build does with a place of that state. No byte is read.
func opens(root *os.Root, p manifests.Path, state string, mode fs.FileMode) error {
	if !mode.IsDir() && (!mode.IsRegular() || state != StateNew && state != StateChanged) {
		return nil
	}
	f, err := root.OpenFile(string(p), os.O_RDONLY|nonblock, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// lookAt stats a place. If one of the directories above it is a symlink, it
// says which: a build does not follow it.
func lookAt(root *os.Root, p manifests.Path) (info fs.FileInfo, link string, err error) {
	for end := range len(p) {
		if p[end] != '/' {
			continue
		}
		info, err := root.Lstat(string(p[:end]))
		if err != nil {
			return nil, "", err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return nil, string(p[:end]), nil
		}
		if !info.IsDir() {
			return nil, "", fs.ErrNotExist
		}
	}
	info, err = root.Lstat(string(p))
	return info, "", err
}

// decide returns the rule that decides about a path and what of it the rule
// matched. Nothing in an ignored directory is asked about. load adds the ignore
// file of a directory to the rules from above.
func decide(path string, isDir bool, top *rules, load func(base string, above *rules) (*rules, error)) (*rules, *rule, string, error) {
	here, err := load("", top)
	for end := 1; err == nil && end <= len(path); end++ {
		last := end == len(path)
		if !last && path[end] != '/' {
			continue
		}
		from, one := here.match(path[:end], !last || isDir)
		if last || one != nil && !one.negated {
			return from, one, path[:end], nil
		}
		here, err = load(path[:end]+"/", here)
	}
	return nil, nil, "", err
}

// loadRules reads the ignore file of a directory, if there is one.
func loadRules(root *os.Root, base string, above *rules) (*rules, error) {
	info, err := root.Lstat(base + ignoreFile)
	switch {
	case err != nil && !errors.Is(err, fs.ErrPermission), info != nil && info.IsDir():
		return above, nil // none, or no such directory
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s%s is not a regular file, so its directory is left as it is listed", base, ignoreFile)
	}
	f, err := root.OpenFile(base+ignoreFile, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxIgnoreFile+1))
	if err == nil && len(text) > maxIgnoreFile {
		err = fmt.Errorf("%s%s has more than %d bytes", base, ignoreFile, maxIgnoreFile)
	}
	return above.below(base, string(text)), err
}

func entryAt(l *manifests.Listing, k manifests.Key) (manifests.Entry, bool) {
	if l == nil {
		return manifests.Entry{}, false
	}
	return l.Get(k)
}

func private(p manifests.Path) bool {
	for c := range strings.SplitSeq(string(p), "/") {
		if c == manifests.PrivateDir {
			return true
		}
	}
	return false
}

// compare says what a build makes of what stands at a place.
func compare(info fs.FileInfo, target string, old manifests.Entry, listed bool) (state, why string) {
	mode := info.Mode()
	kind := manifests.Regular
	switch {
	case mode.IsDir():
		return StateDirectory, "what is in it is listed; itself only while it is empty"
	case mode&fs.ModeSymlink != 0:
		kind = manifests.Symlink
	case !mode.IsRegular():
		return StateSkipped, "is a " + special(mode) + ", which no torrent can carry"
	case info.Size() == 0:
		kind = manifests.Empty
	case info.Size() > manifests.MaxLength:
		return StateUnreadable, "is larger than what fits in a torrent"
	}
	now := manifests.StoredTime(info.ModTime())
	switch {
	case !listed && kind == manifests.Regular:
		return StateNew, "would be hashed"
	case !listed:
		return StateNew, "is a " + kind.String()
	case old.Kind != kind:
		return StateChanged, fmt.Sprintf("is a %s now, listed as a %s", kind, old.Kind)
	case old.Target != target:
		return StateChanged, fmt.Sprintf("leads to %q, listed with %q", target, old.Target)
	case kind == manifests.Regular && old.Length != info.Size():
		return StateChanged, fmt.Sprintf("would be hashed: it has %d bytes, listed with %d", info.Size(), old.Length)
	case kind == manifests.Regular && !old.ModTime.Equal(now):
		return StateChanged, fmt.Sprintf("would be hashed: it was modified %s, listed with %s", now.Format(time.RFC3339Nano), old.ModTime.Format(time.RFC3339Nano))
	case kind != manifests.Symlink && old.Executable != executable(mode):
		return StateChanged, "its executable bit; it would not be read"
	}
	return StateUnchanged, "it would not be read"
}
