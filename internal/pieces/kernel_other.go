//go:build !amd64 || purego

package pieces

// vectorChoices is empty: crypto/sha1 is the fastest there is here.
func vectorChoices() []choice { return nil }
