//go:build !unix

package builder

// nonblock: no pipes in folders here.
const nonblock = 0
