//go:build !amd64 || purego

package pieces

// hiddenChoices are kernels for other machines that run on this one as well.
func hiddenChoices() []choice { return nil }
