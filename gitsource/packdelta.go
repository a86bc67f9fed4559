package gitsource

import (
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// resolve finds the ids of all deltas.
func (x *arrivals) resolve() error {
	for i := range x.all {
		if x.all[i].done && x.all[i].base == none32 {
			if err := x.family(int32(i)); err != nil {
				return err
			}
		}
	}
	open := 0
	for _, a := range x.all {
		if !a.done {
			open++
		}
	}
	if open > 0 {
		return fmt.Errorf("malformed: %d objects are deltas of what did not come with them, or of each other", open)
	}
	return nil
}

// family resolves everything that stands on a whole object, depth first. What has no
// more deltas to come is let go before the last of them is made, so that a chain of
// any length has two objects in memory.
func (x *arrivals) family(root int32) error {
	x.adopt(root)
	if x.all[root].child == none32 {
		return nil
	}
	data, err := x.inflate(root)
	if err != nil {
		return err
	}
	x.push(ancestor{i: root, data: data})
	for len(x.stack) > 0 {
		top := &x.stack[len(x.stack)-1]
		i := top.next
		base, err := x.data(top)
		if err != nil {
			return err
		}
		if top.next = x.all[i].next; top.next == none32 {
			x.held -= len(top.data)
			x.stack = x.stack[:len(x.stack)-1]
		}
		depth, chain := top.depth+1, top.chain+x.all[i].makes
		if depth > maxArrivalChain || chain > maxMade {
			return fmt.Errorf("%w: %d deltas on each other that make %d bytes, at most %d and %d are taken", ErrTooLarge, depth, chain, maxArrivalChain, int64(maxMade))
		}
		if data, err = x.delta(i, base, chain); err != nil {
			return err
		}
		if x.adopt(i); x.all[i].child != none32 {
			x.push(ancestor{i: i, data: data, depth: depth, chain: chain})
		}
	}
	return nil
}

// delta resolves one.
func (x *arrivals) delta(i int32, base []byte, chain int64) ([]byte, error) {
	a := &x.all[i]
	data, err := x.patch(i, base)
	if err != nil {
		return nil, err
	}
	// Blobs are read in the order of their names, which has nothing to do with what
	// stands on what: each costs its whole chain.
	if a.t = x.all[a.base].t; a.t == plumbing.BlobObject {
		if x.later += chain; x.later > 8*x.lim.inflated {
			return nil, x.tooMuch()
		}
	}
	a.id, err = x.hash.of(a.t, data)
	a.done = true
	return data, err
}

// patch applies a delta, on account.
func (x *arrivals) patch(i int32, base []byte) ([]byte, error) {
	if err := x.step(); err != nil {
		return nil, err
	}
	if x.work -= x.all[i].makes; x.work < 0 {
		return nil, x.tooMuch()
	}
	delta, err := x.inflate(i)
	if err != nil {
		return nil, err
	}
	data, err := patchDelta(base, delta)
	if err != nil {
		return nil, fmt.Errorf("object at %d: %w", x.all[i].at, err)
	}
	return data, nil
}

func (x *arrivals) tooMuch() error {
	return fmt.Errorf("%w: a pack of %d bytes whose deltas make more than a catalog's would", ErrTooLarge, x.from.end)
}

// push makes an object the one whose deltas come next. Others are let go when there
// are too many bytes.
func (x *arrivals) push(a ancestor) {
	a.next = x.all[a.i].child
	for i := range x.stack {
		if x.held+len(a.data) <= x.lim.memory {
			break
		}
		x.held -= len(x.stack[i].data)
		x.stack[i].data = nil
	}
	x.stack = append(x.stack, a)
	x.held += len(a.data)
}

// data returns an ancestor's bytes, made once more if they were let go.
func (x *arrivals) data(a *ancestor) ([]byte, error) {
	if a.data != nil || x.all[a.i].makes == 0 {
		return a.data, nil
	}
	chain := []int32{a.i}
	for i := x.all[a.i].base; i != none32; i = x.all[i].base {
		chain = append(chain, i)
	}
	data, err := x.inflate(chain[len(chain)-1])
	for n := len(chain) - 2; err == nil && n >= 0; n-- {
		data, err = x.patch(chain[n], data)
	}
	a.data = data
	x.held += len(data)
	return data, err
}

// inflate reads an object, of a delta the delta, once more.
func (x *arrivals) inflate(i int32) ([]byte, error) {
	a := &x.all[i]
	head, err := x.from.window(a.at, 64)
	if err != nil {
		return nil, err
	}
	t, _, n := objectHead(head)
	switch t {
	case plumbing.OFSDeltaObject:
		_, m := backOffset(head[n:])
		n += m
	case plumbing.REFDeltaObject:
		n += 20
	}
	return x.from.inflate(a.at+int64(n), a.size)
}
