package builder

import (
	"time"

	"seedtree/internal/dirat"
)

const maxResolution = 2 * time.Second

// resolution is the longest time in which two writes may get the same stamp.
// Linux stamps with the last tick of the clock, 10 ms at most; a stamp of whole
// seconds may come from a file system that knows nothing finer, down to the
// two seconds of FAT.
func resolution(modified int64) time.Duration {
	if modified%int64(time.Second) == 0 {
		return maxResolution
	}
	return 50 * time.Millisecond
}

// youth says how long after it was looked at a file has to be left alone, so
// that whoever writes to it again cannot leave its time stamp as it is. Since
// the listing knows nothing of a file but its length and this stamp, the second
// write would never be noticed. 0: its stamp is history already.
//
// It is the file system that stamps, and a server's clock may be hours from
// ours. So what it has stamped says what its clock shows: at least the time of
// the file's last change, whatever that was, and at least newest, the latest
// change seen on the same device. Ours only measures how long it goes on from
// there.
func youth(s *dirat.Stat, newest int64) time.Duration {
	const near = int64(2 * maxResolution)
	left := resolution(s.Modified)
	if s.Changed <= 0 {
		return left // a system that does not tell proves nothing
	}
	switch there := max(s.Changed, newest); {
	case s.Modified < there-near:
		return 0
	case s.Modified > there+near:
		// Somebody set it, far into the future: no write now leaves it like this.
		return 0
	default:
		return max(0, left+time.Duration(s.Modified-there))
	}
}
