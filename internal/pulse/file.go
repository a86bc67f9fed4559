package pulse

import (
	"errors"
	"io"
	"os"
)

// Stretch is how much of a file is copied or brought to disk between two signs of
// life, in bytes: some minutes' work of the slowest disk.
const Stretch = 64 << 20

// Copy copies at most length bytes by whatever means the system has.
func Copy(out, in *os.File, length int64, beat func()) error {
	for length > 0 {
		n, err := io.CopyN(out, in, min(length, Stretch))
		beat()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		length -= n
	}
	return nil
}
