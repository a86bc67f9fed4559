package manifests

import (
	"fmt"
	"math"
	"strconv"
)

func appendString(b []byte, s string) []byte {
	b = append(strconv.AppendInt(b, int64(len(s)), 10), ':')
	return append(b, s...)
}

func appendInt(b []byte, n int64) []byte {
	return append(strconv.AppendInt(append(b, 'i'), n, 10), 'e')
}

// reader reads canonical bencode (BEP 3) of a known shape from left to right.
// It never recurses and never allocates by what a length claims, so nesting
// and length bombs are refused where they begin. After the first error it
// stays where it is and every further read returns zero values.
type reader struct {
	data []byte
	pos  int
	err  error
}

// fail keeps the first error with its place.
func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("byte %d: %s", r.pos, fmt.Sprintf(format, args...))
	}
}

// peek reports whether c comes next.
func (r *reader) peek(c byte) bool {
	return r.err == nil && r.pos < len(r.data) && r.data[r.pos] == c
}

// token begins a dictionary ('d'), list ('l') or integer ('i'), or with 'e'
// ends one.
func (r *reader) token(c byte, what string) {
	switch {
	case r.peek(c):
		r.pos++
	case r.pos >= len(r.data):
		r.fail("ends where %s belongs", what)
	case c == 'e' && '0' <= r.data[r.pos] && r.data[r.pos] <= '9':
		at := r.pos
		s := r.bytes("a string")
		if r.err == nil {
			r.pos = at
			r.fail("%q where %s belongs: keys must be known, sorted and unique", clip(string(s)), what)
		}
	default:
		r.fail("%q where %s belongs", r.data[r.pos], what)
	}
}

// key reads a dictionary key, which can only be want: the keys of a
// catalog's dictionaries are all known, all required, sorted and unique.
func (r *reader) key(want string) {
	at := r.pos
	got := r.bytes(want)
	if r.err == nil && string(got) != want {
		r.pos = at
		r.fail("key %q where key %q belongs: keys must be known, sorted and unique", clip(string(got)), want)
	}
}

// bytes reads a string; the result points into the data.
func (r *reader) bytes(what string) []byte {
	if r.err != nil {
		return nil
	}
	n, i := 0, r.pos
	for ; i < len(r.data) && '0' <= r.data[i] && r.data[i] <= '9'; i++ {
		if n = 10*n + int(r.data[i]-'0'); n > len(r.data) {
			r.fail("%s claims more bytes than there are", what)
			return nil
		}
	}
	switch {
	case i == r.pos && i < len(r.data):
		r.fail("%q where %s belongs", r.data[i], what)
	case i == len(r.data):
		r.fail("ends where %s belongs", what)
	case r.data[i] != ':':
		r.fail("length of %s ends in %q", what, r.data[i])
	case r.data[r.pos] == '0' && i > r.pos+1:
		r.fail("length of %s has a leading zero", what)
	case n > len(r.data)-i-1:
		r.fail("%s claims %d bytes, %d are left", what, n, len(r.data)-i-1)
	default:
		r.pos = i + 1 + n
		return r.data[i+1 : r.pos : r.pos]
	}
	return nil
}

// int reads an integer of at most 64 bits.
func (r *reader) int(what string) int64 {
	r.token('i', what)
	if r.err != nil {
		return 0
	}
	i, negative := r.pos, r.peek('-')
	if negative {
		i++
	}
	var n int64 // counts down: the lowest integer has no positive twin
	from := i
	for ; i < len(r.data) && '0' <= r.data[i] && r.data[i] <= '9'; i++ {
		digit := int64(r.data[i] - '0')
		if n < (math.MinInt64+digit)/10 {
			r.fail("%s is no integer of 64 bits", what)
			return 0
		}
		n = 10*n - digit
	}
	switch {
	case i == from || i == len(r.data) || r.data[i] != 'e':
		r.fail("%s is no integer", what)
		return 0
	case r.data[from] == '0' && (i > from+1 || negative):
		r.fail("%s has a leading zero or a needless sign", what)
		return 0
	case !negative && n == math.MinInt64:
		r.fail("%s is no integer of 64 bits", what)
		return 0
	case !negative:
		n = -n
	}
	r.pos = i + 1
	return n
}
