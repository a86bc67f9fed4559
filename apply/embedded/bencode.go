package embedded

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// maxDepth is more than any tracker response or torrent needs; it keeps a
// bomb of nested lists from eating the stack.
const maxDepth = 10

var errBencode = errors.New("malformed bencoding")

// raw is one bencoded value inside a larger buffer.
type raw []byte

// cut splits the first value off b.
func cut(b []byte, depth int) (value raw, rest []byte, err error) {
	if len(b) == 0 || depth > maxDepth {
		return nil, nil, errBencode
	}
	switch c := b[0]; {
	case c == 'i':
		for i := 1; i < len(b) && i < 24; i++ {
			if b[i] == 'e' {
				return b[:i+1], b[i+1:], nil
			}
		}
		return nil, nil, errBencode
	case c == 'l' || c == 'd':
		rest = b[1:]
		for len(rest) > 0 && rest[0] != 'e' {
			if _, rest, err = cut(rest, depth+1); err != nil {
				return nil, nil, err
			}
		}
		if len(rest) == 0 {
			return nil, nil, errBencode
		}
		n := len(b) - len(rest) + 1
		return b[:n], b[n:], nil
	default:
		_, rest, err = cutString(b)
		if err != nil {
			return nil, nil, err
		}
		return b[:len(b)-len(rest)], rest, nil
	}
}

// cutString splits the first value off b, which must be a byte string.
func cutString(b []byte) (s, rest []byte, err error) {
	n := 0
	for i, c := range b {
		switch {
		case c == ':' && i > 0:
			if n > len(b)-i-1 {
				return nil, nil, errBencode
			}
			return b[i+1 : i+1+n], b[i+1+n:], nil
		case c < '0' || c > '9' || n > math.MaxInt32:
			return nil, nil, errBencode
		}
		n = n*10 + int(c-'0')
	}
	return nil, nil, errBencode
}

// dict reads a dictionary one level deep. The last of duplicate keys wins.
func (r raw) dict() (map[string]raw, error) {
	if len(r) < 2 || r[0] != 'd' {
		return nil, fmt.Errorf("%w: want a dictionary", errBencode)
	}
	out := map[string]raw{}
	for rest := []byte(r[1:]); len(rest) > 0 && rest[0] != 'e'; {
		key, after, err := cutString(rest)
		if err != nil {
			return nil, err
		}
		value, next, err := cut(after, 1)
		if err != nil {
			return nil, err
		}
		out[string(key)], rest = value, next
	}
	return out, nil
}

// list reads a list one level deep.
func (r raw) list() ([]raw, error) {
	if len(r) < 2 || r[0] != 'l' {
		return nil, fmt.Errorf("%w: want a list", errBencode)
	}
	var out []raw
	for rest := []byte(r[1:]); len(rest) > 0 && rest[0] != 'e'; {
		value, next, err := cut(rest, 1)
		if err != nil {
			return nil, err
		}
		out, rest = append(out, value), next
	}
	return out, nil
}

// bytes reads a byte string.
func (r raw) bytes() ([]byte, bool) {
	s, rest, err := cutString(r)
	return s, err == nil && len(rest) == 0
}

// int reads an integer.
func (r raw) int() (int64, bool) {
	if len(r) < 3 || r[0] != 'i' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(r[1:len(r)-1]), 10, 64)
	return n, err == nil
}

// parse reads one whole value and refuses anything after it.
func parse(b []byte) (raw, error) {
	value, rest, err := cut(b, 0)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: %d bytes after the end", errBencode, len(rest))
	}
	return value, err
}
