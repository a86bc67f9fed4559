package embedded

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"seedtree/apply"
	"seedtree/apply/enginetest"
	"seedtree/internal/testkit"
)

// TestDiskFull: with no space left the torrent stops with the system's words;
// when there is space again it goes on by itself and ends with the right bytes.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if !testkit.Sandbox(t) {
		return
	}
	testkit.Need(t, "ip", "iproute2")
	shell(t, "ip", "link", "set", "lo", "up")
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	large := enginetest.NewFile(t, "photos", "large", enginetest.Random(1, 4<<20))
	seeder, leecher := start(t, Config{}), start(t, Config{diskPause: time.Second})
	seeded(t, seeder, large)
	mustAdd(t, leecher, empty(large, disk, seeder.address()))
	until(t, "it says that the disk is full", func() bool {
		one := state(t, leecher, large.Entry.InfoHash)
		return one.State == apply.Stopped && strings.Contains(one.Err, syscall.ENOSPC.Error())
	})
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatalf("make the disk larger: %v", err)
	}
	untilDone(t, leecher, large)
	requireFile(t, large, disk)
}
