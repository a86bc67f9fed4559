package gitsource

// prefix keeps the first bytes written to it.
type prefix struct {
	b [20]byte
	n int
}

func (p *prefix) Write(b []byte) (int, error) {
	p.n += copy(p.b[p.n:], b)
	return len(b), nil
}

// deltaTarget reads the size of the object a delta makes: the second of the two
// variable-length numbers it begins with. -1 when there is none.
func (p *prefix) deltaTarget() int64 {
	_, target, _ := deltaSizes(p.b[:p.n])
	return target
}

// deltaSizes reads what a delta begins with: the sizes of its base and of what it
// makes. The latter is -1 when it is malformed.
func deltaSizes(b []byte) (base, target int64, rest []byte) {
	for _, size := range []*int64{&base, &target} {
		for shift := 0; ; shift += 7 {
			if len(b) == 0 || shift > 56 {
				return 0, -1, nil
			}
			c := b[0]
			b = b[1:]
			*size |= int64(c&0x7f) << shift
			if c < 0x80 {
				break
			}
		}
	}
	return base, target, b
}

// patchDelta makes an object from another and a delta, whose target's size the
// caller has found acceptable. Memory is taken once: go-git's grows as it goes, to
// three times as much.
func patchDelta(from, delta []byte) ([]byte, error) {
	base, target, ops := deltaSizes(delta)
	if target < 0 || base != int64(len(from)) {
		return nil, errMalformedPack
	}
	out := make([]byte, 0, target)
	for len(ops) > 0 {
		op := ops[0]
		ops = ops[1:]
		source, at, n := ops, 0, int(op) // so many bytes stand right here
		if op >= 0x80 {
			if at, n, ops = copyOp(op, ops); n < 0 {
				return nil, errMalformedPack
			}
			source = from
		}
		if n == 0 || at < 0 || at > len(source) || n > len(source)-at || n > cap(out)-len(out) {
			return nil, errMalformedPack
		}
		out = append(out, source[at:at+n]...)
		if op < 0x80 {
			ops = ops[n:]
		}
	}
	if int64(len(out)) != target {
		return nil, errMalformedPack
	}
	return out, nil
}

// copyOp reads where in the base and how much of it is copied: up to four bytes and
// up to three, of which those are there whose bits are set. n is -1 when they are not.
func copyOp(op byte, ops []byte) (at, n int, rest []byte) {
	var parts [7]byte
	for bit := range parts {
		if op>>bit&1 == 0 {
			continue
		}
		if len(ops) == 0 {
			return 0, -1, nil
		}
		parts[bit], ops = ops[0], ops[1:]
	}
	at = int(parts[0]) | int(parts[1])<<8 | int(parts[2])<<16 | int(parts[3])<<24
	n = int(parts[4]) | int(parts[5])<<8 | int(parts[6])<<16
	if n == 0 {
		n = 0x10000
	}
	return at, n, ops
}
