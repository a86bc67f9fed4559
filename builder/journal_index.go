package builder

import (
	"bufio"
	"bytes"
	"cmp"
	"hash/maphash"
	"io"
	"math"
	"slices"

	"seedtree/manifests"
)

// journalIndex says where the records of each file are. A build looks records up
// before it adds any, and millions may come: so what is added is not kept here,
// and whoever looks again has it made anew.
type journalIndex struct {
	seed  maphash.Seed
	marks []journalMark // ordered
}

// journalMark is one record. Two files may have one hash: the record says whose
// it is.
type journalMark struct {
	hash uint64 // of the key
	at   int64  // where the record begins; the newest is the last
}

func (m journalMark) compare(o journalMark) int {
	return cmp.Or(cmp.Compare(m.hash, o.hash), cmp.Compare(m.at, o.at))
}

func (x *journalIndex) add(k manifests.Key, at int64) {
	x.marks = append(x.marks, journalMark{maphash.Comparable(x.seed, k), at})
}

// of returns the records that may be of a file, the newest last.
func (x *journalIndex) of(k manifests.Key) []journalMark {
	hash := maphash.Comparable(x.seed, k)
	from, _ := slices.BinarySearchFunc(x.marks, journalMark{hash, 0}, journalMark.compare)
	to := from
	for to < len(x.marks) && x.marks[to].hash == hash {
		to++
	}
	return x.marks[from:to]
}

// find returns what is known of a file that still is what it was then.
func (j *Journal) find(k manifests.Key, now stamp) (record, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.index == nil {
		j.index = j.makeIndex()
	}
	for _, m := range slices.Backward(j.index.of(k)) {
		if r, ok := j.read(m.at); ok && r.key == k {
			return r, r.stamp == now
		}
	}
	return record{}, false
}

// read returns the record at a place in the file or in what waits behind it.
func (j *Journal) read(at int64) (r record, ok bool) {
	if waits := at - j.size; waits >= 0 {
		_, r, ok = readRecord(bytes.NewReader(j.buf[min(waits, int64(len(j.buf))):]))
	} else if j.file != nil {
		_, r, ok = readRecord(io.NewSectionReader(j.file, at, -waits))
	}
	return r, ok
}

// makeIndex finds the records and leaves out what is damaged.
func (j *Journal) makeIndex() *journalIndex {
	x := &journalIndex{seed: maphash.MakeSeed()}
	in := bufio.NewReaderSize(nil, 1<<20)
	at := int64(len(j.head))
	for again := true; at < j.size && j.file != nil; {
		if again {
			in.Reset(io.NewSectionReader(j.file, at, math.MaxInt64-at))
		}
		n, r, ok := readRecord(in)
		if again = !ok; again {
			at = j.nextMark(at + 1)
			continue
		}
		x.add(r.key, at)
		at += n
	}
	for rest := j.buf; len(rest) > 0; {
		n, r, ok := readRecord(bytes.NewReader(rest))
		if !ok {
			break
		}
		x.add(r.key, j.size+int64(len(j.buf)-len(rest)))
		rest = rest[n:]
	}
	slices.SortFunc(x.marks, journalMark.compare)
	return x
}

// nextMark returns where the next record may begin, the file's end if nowhere.
func (j *Journal) nextMark(at int64) int64 {
	chunk := make([]byte, 64<<10)
	for at < j.size {
		n, err := j.file.ReadAt(chunk, at)
		if i := bytes.Index(chunk[:n], []byte(recordMark)); i >= 0 {
			return at + int64(i)
		}
		if n < len(recordMark) || err != nil {
			break
		}
		at += int64(n - len(recordMark) + 1)
	}
	return j.size
}
