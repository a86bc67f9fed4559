package apply

import (
	"context"
	"fmt"

	"seedtree/manifests"
)

// place publishes what the engine fetched. A client's "complete" is a claim:
// every piece is hashed here before anything becomes visible.
func (x *execution) place(ctx context.Context) error {
	return x.batches(ctx, x.actions(ofKind(Place)), x.placeBatch)
}

func (x *execution) placeBatch(ctx context.Context, items []*item) error {
	for _, it := range items {
		it.held = true
		it.file = stagedName(it.Entry)
	}
	items = x.each(items, func(it *item) error {
		if shared, err := it.tree.shared(it.file, string(it.Entry.Path)); shared || err != nil {
			return err // visible already: what is too long in it may be a user's
		}
		return it.tree.cut(it.file, it.Entry.Length)
	})
	if err := x.check(ctx, items); err != nil {
		return err
	}
	var good, lied []*item
	for _, it := range items {
		if it.have.Complete {
			good = append(good, it)
		} else {
			lied = append(lied, it)
		}
	}
	placed, err := x.publish(ctx, good)
	for _, it := range placed {
		x.done(it)
	}
	if err != nil {
		return err
	}
	x.fetchAgain(lied)
	return nil
}

// fetchAgain takes up transfers that are not what the client says, with what
// our own check found.
func (x *execution) fetchAgain(items []*item) {
	for _, it := range items {
		if it.have.Err != nil {
			x.fail(it, fmt.Errorf("checking what was fetched: %w", it.have.Err))
		} else {
			here := counted(it.meta, it.have.Bits)
			x.fail(it, fmt.Errorf("the client says complete, but only %d of %d bytes are right; it fetches the rest again", here, it.Entry.Length))
		}
		a := it.Action
		a.Kind, a.Reason, a.release = Add, "what was fetched is not right", []manifests.InfoHash{it.Entry.InfoHash}
		x.refetch = append(x.refetch, a)
	}
}
