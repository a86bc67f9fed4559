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
	switch {
	case b.hashed.Bytes == 0:
		return errInterrupted
	case b.journal.Err() != nil:
		return fmt.Errorf("%w after hashing %s files, %s, which could not be kept for the next build: %w", errInterrupted,
			comma(b.hashed.Files), bytesText(b.hashed.Bytes), b.journal.Err())
	}
	return fmt.Errorf("%w after hashing %s files, %s; the next build takes them over", errInterrupted,
		comma(b.hashed.Files), bytesText(b.hashed.Bytes))
}
