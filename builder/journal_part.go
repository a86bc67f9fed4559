package builder

import (
	"context"
	"math/bits"
	"slices"
	"time"

	"seedtree/internal/pieces"
	"seedtree/manifests"
)

// minPart is the size from which on the pieces of a file are kept before all
// are read: to read less again costs less than to keep book of it.
const minPart = 64 << 20

// part is a large file that is being read.
type part struct {
	resume *pieces.Resume
	kept   time.Time // when its pieces were last added
}

// resume lists what an interrupted build has read of files that are still what
// they were then, and returns those of which something is left to read.
func (b *build) resume(ctx context.Context, files []*candidate) []*candidate {
	if b.Journal == nil {
		return files
	}
	rest := files[:0]
	for _, c := range files {
		r, ok := b.Journal.find(c.key(), c.stamp())
		switch {
		case !ok || ctx.Err() != nil:
			rest = append(rest, c)
		case r.done == nil:
			b.list(c.metainfo(r.sums), c.stat.Mode)
			b.resumedFiles++
			b.resumedBytes += c.stat.Size
		default:
			c.part = &pieces.Resume{Sums: r.sums, Done: r.done}
			b.resumedBytes += c.partBytes()
			rest = append(rest, c)
		}
	}
	clear(files[len(rest):])
	return rest
}

// partBytes says how much of a file was read. Its last piece counts as a whole
// one would, which is near enough for what is told of it.
func (c *candidate) partBytes() int64 {
	if c.part == nil {
		return 0
	}
	n := 0
	for _, b := range c.part.Done {
		n += bits.OnesCount8(b)
	}
	return min(int64(n)*manifests.PieceLength(c.stat.Size), c.stat.Size)
}

// begun returns where the pieces of a file are to be marked.
func (j *Journal) begun(c *candidate) *pieces.Resume {
	if j == nil || c.stat.Size < minPart {
		return nil
	}
	if c.part == nil {
		c.part = &pieces.Resume{}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.parts[c.key()] = &part{c.part, time.Now()}
	j.arm()
	return c.part
}

// ended takes back what begun said, whether the file was read or not.
func (j *Journal) ended(c *candidate) {
	if c.part == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.parts, c.key())
	c.part = nil // should it be read again, it is another file
}

// appendParts keeps the pieces of large files. Every record holds all of a
// file's pieces, so those of a very large one are kept less often.
func (j *Journal) appendParts(all bool) {
	now := time.Now()
	for k, p := range j.parts {
		s := p.resume.Snapshot()
		pause := time.Duration(len(s.Sums)) * 10 * time.Microsecond // 10 s for each MB
		if s.Info == nil || !slices.ContainsFunc(s.Done, func(b byte) bool { return b != 0 }) || !all && now.Sub(p.kept) < pause {
			continue
		}
		p.kept = now
		j.append(record{key: k, stamp: stampOf(s.Info), sums: s.Sums, done: s.Done})
	}
}
