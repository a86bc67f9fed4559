package gitsource

import "io"

// limitWriter fails once more than left bytes went through it.
type limitWriter struct {
	w    io.Writer
	left int64
	err  error
}

func (l *limitWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		return 0, l.err
	}
	n, err := l.w.Write(p)
	l.left -= int64(n)
	return n, err
}
