package pulse

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// WriteBack brings what was written to a file to disk, stretch by stretch. It makes
// nothing durable: that is what the fsync is for which follows. But fsync is one call,
// and what a machine with much memory holds back for a slow disk takes it longer than
// anybody watches in patience.
//
// An error is that of a disk. It must not be passed over: the kernel tells it once,
// and the fsync that follows on this descriptor would know nothing of it.
func WriteBack(f *os.File, beat func()) error {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	const begin, end = unix.SYNC_FILE_RANGE_WRITE,
		unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	fd, size := int(f.Fd()), info.Size()
	for at := int64(0); at < size-Stretch; at += Stretch { // the rest is fsync's
		// The next stretch is on its way while this one is waited for.
		err := unix.SyncFileRange(fd, at+Stretch, Stretch, begin)
		if unable(err) {
			return nil
		}
		if err == nil {
			// Whatever this one says may be what became of the bytes, told for once: a
			// server in the network may well call that an invalid argument.
			err = unix.SyncFileRange(fd, at, Stretch, end)
		}
		switch {
		case errors.Is(err, unix.EINTR):
			at -= Stretch
			continue
		case err != nil:
			return &os.PathError{Op: "sync_file_range", Path: f.Name(), Err: err}
		}
		beat()
	}
	return nil
}

// unable says whether it is this kernel, file system or sandbox that does not know the
// call. One that does not wait tells nothing of earlier writes.
func unable(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ESPIPE) || errors.Is(err, unix.EPERM)
}
