package builder

import (
	"errors"
	"fmt"

	"seedtree/manifests"
)

// Suspect is a file whose bytes are not those that are listed, although its
// length and modification time are. Programs that change files leave new
// times; disks that rot do not. So the listing keeps the old bytes: other
// sites have them still, and to list the new ones would spread the damage.
type Suspect struct {
	Entry manifests.Entry   // as listed
	Found manifests.Content // what stands there now
}

// ErrNotListed: there is nothing to accept at a place.
var ErrNotListed = errors.New("is not listed")

// suspect reports whether a file that was read has rotted by all appearance.
func (b *build) suspect(old, now manifests.Entry) bool {
	return b.Rehash && old.Kind == manifests.Regular && old.Length == now.Length && old.ModTime.Equal(now.ModTime) &&
		old.Content != now.Content && !b.accepted(now.Key())
}

// accepted reports whether the caller takes the bytes of a file for meant,
// whatever they are, because it was named or a directory it is in.
func (b *build) accepted(k manifests.Key) bool {
	if len(b.accept) == 0 {
		return false
	}
	for at, more := k.Path, true; more; at, more = at.Dir() {
		if b.accept[manifests.Key{Tree: k.Tree, Path: at}] {
			return true
		}
	}
	return b.accept[manifests.Key{Tree: k.Tree}]
}

// acceptable makes sure that everything named is listed: a slip of the pen
// must not look like an answer.
func acceptable(o Options) (map[manifests.Key]bool, error) {
	accept := map[manifests.Key]bool{}
	for _, k := range o.Accept {
		accept[k] = true
	}
	unknown := map[manifests.Key]bool{}
	for k := range accept {
		unknown[k] = true
	}
	for e := range o.Previous.All() {
		if len(unknown) == 0 {
			break
		}
		delete(unknown, manifests.Key{Tree: e.Tree})
		for at, more := e.Path, true; more; at, more = at.Dir() {
			delete(unknown, manifests.Key{Tree: e.Tree, Path: at})
		}
	}
	var errs []error
	for _, k := range o.Accept {
		if unknown[k] {
			errs = append(errs, fmt.Errorf("%s %w", k, ErrNotListed))
		}
	}
	return accept, errors.Join(errs...)
}
