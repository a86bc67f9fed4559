package pieces

import "os"

// ChangeTime returns the inode's change time in nanoseconds, 0 where there is
// none to be had. Unlike the modification time no program can set it back.
func ChangeTime(info os.FileInfo) int64 { return changeTime(info) }
