package main

import (
	"fmt"
	"path/filepath"

	"seedtree/builder"
)

// journalPath is where what is hashed is kept until it is committed. Reading
// everything again has a journal of its own: it may take days, and what
// nightly builds have read meanwhile is not what it is to compare.
func (b *build) journalPath() string {
	if b.flags.rehash {
		return filepath.Join(b.state, "rehash.journal")
	}
	return filepath.Join(b.state, "build.journal")
}

// progressed remembers how far the build came and tells it.
func (b *build) progressed(p builder.Progress) {
	b.hashed = p
	b.memory.look(p)
	if b.progress != nil {
		b.progress(p)
	}
}

// settle removes the journal of a build that is done and keeps that of any
// other. A dry run leaves what it read to the build that follows.
func (b *build) settle(done bool) {
	if err := b.journal.Err(); err != nil {
		b.log.Warn("should this build be interrupted, the next one has to hash again", "err", err)
	}
	end := b.journal.Close
	if done {
		end = b.journal.Remove
	}
	if err := end(); err != nil {
		b.log.Debug("the journal of what was hashed", "err", err)
	}
}

// interrupted says what a build that was stopped has done, and that it was not
// in vain.
func (b *build) interrupted() error {
	if b.hashed.Bytes == 0 {
		return errInterrupted
	}
	what := bytesText(b.hashed.Bytes)
	if b.hashed.Files > 0 {
		what = files(b.hashed.Files) + ", " + what
	}
	if err := b.journal.Err(); err != nil {
		return fmt.Errorf("%w after hashing %s, which could not be kept for the next build: %w", errInterrupted, what, err)
	}
	return fmt.Errorf("%w after hashing %s; the next build takes it over", errInterrupted, what)
}
