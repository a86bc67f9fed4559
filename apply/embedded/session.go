package embedded

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"seedtree/internal/durable"
	"seedtree/internal/pulse"
)

const (
	sessionName  = "session.log"
	sessionMagic = "seedtree session 1\n"
	frameHead    = 8       // length and CRC-32C of the payload, 4 bytes each, little endian
	maxFrame     = 1 << 28 // a torrent of 200 TiB; anything longer is damage
)

// session is the engine's memory across restarts: a log of records that is only
// appended to. A tail torn by a crash is discarded; what it said is handed over
// again by the next pass. The log also keeps the info dictionaries, so that
// a held torrent costs memory for its record alone.
type session struct {
	mu   sync.RWMutex
	dir  string
	f    *os.File
	size int64
	live int64 // bytes of the log that a compaction would keep, roughly
	crc  *crc32.Table
}

// openSession reads the log and gives each sound payload with the offset it
// stands at to replay.
func openSession(dir string, replay func(payload []byte, off int64) error) (*session, error) {
	s := &session{dir: dir, crc: crc32.MakeTable(crc32.Castagnoli)}
	name := filepath.Join(dir, sessionName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	s.f = f
	if err := s.read(replay); err != nil {
		f.Close()
		return nil, fmt.Errorf("session %s: %w", name, err)
	}
	return s, nil
}

// read replays the log and cuts off what follows the last sound record.
func (s *session) read(replay func([]byte, int64) error) error {
	size, err := scanSession(s.f, replay)
	if err != nil {
		return s.begin(errors.Is(err, errNoSession))
	}
	s.size = size
	return s.f.Truncate(s.size)
}

// errNoSession: a file is long enough to be a session log and is none.
var errNoSession = errors.New("no session log")

// scanSession replays a log up to its last sound record and returns where that
// one ends. It is an error if the log does not even begin as one.
func scanSession(from io.Reader, replay func([]byte, int64) error) (size int64, err error) {
	in := bufio.NewReaderSize(from, 1<<18)
	magic := make([]byte, len(sessionMagic))
	if _, err := io.ReadFull(in, magic); err != nil {
		return 0, err
	}
	if string(magic) != sessionMagic {
		return 0, errNoSession
	}
	size = int64(len(sessionMagic))
	crc := crc32.MakeTable(crc32.Castagnoli)
	var head [frameHead]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			break
		}
		n := binary.LittleEndian.Uint32(head[:4])
		if n == 0 || n > maxFrame {
			break
		}
		payload, err := io.ReadAll(io.LimitReader(in, int64(n)))
		if err != nil || len(payload) < int(n) || crc32.Checksum(payload, crc) != binary.LittleEndian.Uint32(head[4:]) {
			break
		}
		if err := replay(payload, size+frameHead); err != nil {
			break
		}
		size += frameHead + int64(n)
	}
	return size, nil
}

// begin starts an empty log. A file that is no log of ours is put aside.
func (s *session) begin(foreign bool) error {
	if foreign {
		name := filepath.Join(s.dir, sessionName)
		if err := os.Rename(name, name+".damaged"); err != nil {
			return err
		}
		s.f.Close()
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		s.f = f
	}
	if err := s.f.Truncate(0); err != nil {
		return err
	}
	if _, err := s.f.WriteAt([]byte(sessionMagic), 0); err != nil {
		return err
	}
	s.size = int64(len(sessionMagic))
	return nil
}

// append writes records in one go and returns where each payload stands. When
// the disk is full nothing of the batch stays behind.
func (s *session) append(payloads []packer, sync bool) ([]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.appendLocked(payloads, sync)
}

func (s *session) appendLocked(payloads []packer, sync bool) ([]int64, error) {
	if len(payloads) == 0 {
		return nil, nil
	}
	var buf []byte
	offs := make([]int64, len(payloads))
	for i, p := range payloads {
		offs[i] = s.size + int64(len(buf)) + frameHead
		buf = binary.LittleEndian.AppendUint32(buf, uint32(len(p)))
		buf = binary.LittleEndian.AppendUint32(buf, crc32.Checksum(p, s.crc))
		buf = append(buf, p...)
	}
	if _, err := s.f.WriteAt(buf, s.size); err != nil {
		// Half a batch must not stand in the way of the next one.
		return nil, errors.Join(fmt.Errorf("session: %w", err), s.f.Truncate(s.size))
	}
	s.size += int64(len(buf))
	if sync {
		if err := s.f.Sync(); err != nil {
			return nil, fmt.Errorf("session: %w", err)
		}
	}
	return offs, nil
}

// bytes reads a span of the log.
func (s *session) bytes(at span) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := make([]byte, at.len)
	if _, err := s.f.ReadAt(b, at.off); err != nil {
		return nil, fmt.Errorf("session: read metainfo: %w", err)
	}
	return b, nil
}

// tidy is told how much of the log is of use, and reports whether a
// compaction would pay.
func (s *session) tidy(live int64) bool {
	s.mu.Lock()
	s.live = live
	s.mu.Unlock()
	return s.bloated()
}

// bloated reports whether a compaction would pay.
func (s *session) bloated() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.size > 1<<20+2*s.live
}

// compact rewrites the log with the payloads that write yields. read gives the
// old log's bytes; kept is told each payload's new place once the new log is
// the one in use, still under the lock, so that no reader sees half of it.
func (s *session) compact(write func(read func(span) ([]byte, error), put func(packer) error) error, beat func(), kept func(offs []int64)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := filepath.Join(s.dir, sessionName)
	f, err := os.OpenFile(name+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("session: compact: %w", err)
	}
	next := &session{dir: s.dir, f: f, crc: s.crc}
	offs, err := next.fill(s, write)
	if err == nil {
		err = pulse.WriteBack(f, beat)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		f.Close()
		os.Remove(name + ".new")
		return fmt.Errorf("session: compact: %w", err)
	}
	_ = durable.SyncDir(s.dir)
	s.f.Close()
	s.f, s.size, s.live = f, next.size, next.size
	kept(offs)
	return nil
}

func (s *session) fill(old *session, write func(func(span) ([]byte, error), func(packer) error) error) ([]int64, error) {
	if err := s.begin(false); err != nil {
		return nil, err
	}
	var offs []int64
	var batch []packer
	size := 0
	flush := func() error {
		at, err := s.appendLocked(batch, false)
		offs, batch, size = append(offs, at...), batch[:0], 0
		return err
	}
	read := func(at span) ([]byte, error) {
		b := make([]byte, at.len)
		_, err := old.f.ReadAt(b, at.off)
		return b, err
	}
	put := func(p packer) error {
		batch, size = append(batch, p), size+len(p)
		if size < 1<<20 {
			return nil
		}
		return flush()
	}
	if err := write(read, put); err != nil {
		return nil, err
	}
	err := flush()
	return offs, err
}

func (s *session) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.f.Sync(), s.f.Close())
}
