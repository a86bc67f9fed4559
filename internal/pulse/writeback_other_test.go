//go:build !linux

package pulse_test

// writebackBeats is none where the system only knows fsync.
const writebackBeats = 0
