package pulse_test

// writebackBeats is how often a file of three stretches and a bit shows life: the rest is
// left to fsync.
const writebackBeats = 3
