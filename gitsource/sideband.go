package gitsource

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// band takes apart what git's side-band-64k carries: data in channel 1, words for
// people in 2, a fatal error in 3. It ends at the flush packet, whether or not the
// server closes the connection.
type band struct {
	r     *bufio.Reader
	words io.Writer
	// alive is called for words, and for packets without data, with which a server
	// that is busy says that it still is there.
	alive func()
	left  int  // bytes of the present data packet
	ended bool // the flush packet came
}

func (b *band) Read(p []byte) (int, error) {
	for b.left == 0 {
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, eof(err)
}

// next reads the head of a packet, and all of one that is not data.
func (b *band) next() error {
	if b.ended {
		return io.EOF
	}
	var head [5]byte
	if _, err := io.ReadFull(b.r, head[:4]); err != nil {
		return eof(err)
	}
	size, err := strconv.ParseUint(string(head[:4]), 16, 16)
	if err != nil {
		return fmt.Errorf("malformed packet length %q", head[:4])
	}
	if b.ended = size == 0; b.ended {
		return io.EOF
	}
	if size < 5 {
		return fmt.Errorf("malformed packet of %d bytes", size)
	}
	if _, err := io.ReadFull(b.r, head[4:]); err != nil {
		return eof(err)
	}
	data := int(size) - 5
	switch channel := head[4]; channel {
	case 1:
		if b.left = data; data == 0 {
			b.alive()
		}
		return nil
	case 2:
		b.alive()
		_, err := io.CopyN(b.words, b.r, int64(data))
		return eof(err)
	case 3:
		var said tail
		_, err := io.CopyN(&said, b.r, int64(data))
		return errors.Join(serverError(said.text()), eof(err))
	default:
		return fmt.Errorf("packet in channel %d, which there is not", channel)
	}
}
