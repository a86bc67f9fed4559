//go:build !unix

package dirat

// nonblock: no pipes in folders here.
const nonblock = 0
