package testkit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The messages of BEP 3 that a minimal peer needs.
const (
	msgChoke      = 0
	msgUnchoke    = 1
	msgInterested = 2
	msgBitfield   = 5
	msgRequest    = 6
	msgPiece      = 7

	blockLength = 16 << 10
)

// PeerFile is a torrent's single file as a peer knows it.
type PeerFile struct {
	InfoHash    [20]byte
	PieceLength int64
	Data        []byte // what a seeder serves, listed or not
	Length      int64  // for Fetch only
}

func (f PeerFile) pieces() int {
	n := max(f.Length, int64(len(f.Data)))
	return int((n + f.PieceLength - 1) / f.PieceLength)
}

// Seeder is the smallest possible BitTorrent peer. It dials in, because
// Transmission ignores loopback addresses that a tracker names; it unchokes at
// once, so a transfer takes milliseconds rather than a rechoke interval.
type Seeder struct {
	uploaded atomic.Int64
}

// Uploaded returns payload bytes sent.
func (s *Seeder) Uploaded() int64 { return s.uploaded.Load() }

// Seed serves files to the client at addr until the test ends; a client that
// does not know a torrent yet, or is down, is asked again. While the client has
// not said whether it is interested, kick is called.
func Seed(t testing.TB, addr string, kick func(), files ...PeerFile) *Seeder {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	s := &Seeder{}
	for _, f := range files {
		group.Go(func() {
			for ctx.Err() == nil {
				_ = s.serve(ctx, addr, kick, f)
				select {
				case <-ctx.Done():
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	}
	t.Cleanup(func() { cancel(); group.Wait() })
	return s
}

func (s *Seeder) serve(ctx context.Context, addr string, kick func(), f PeerFile) error {
	p, err := dialPeer(ctx, addr, f.InfoHash)
	if err != nil {
		return err
	}
	defer p.close()
	n := f.pieces()
	field := make([]byte, (n+7)/8)
	for i := range n {
		field[i/8] |= 0x80 >> (i % 8)
	}
	if err := p.send(msgBitfield, field); err != nil {
		return err
	}
	interested := nudge(ctx, kick)
	defer interested()
	for {
		id, body, err := p.receive()
		if err != nil {
			return err
		}
		switch id {
		case msgInterested:
			interested()
			if err := p.send(msgUnchoke, nil); err != nil {
				return err
			}
		case msgRequest:
			if len(body) != 12 {
				return errors.New("request of a wrong length")
			}
			from := int64(binary.BigEndian.Uint32(body))*f.PieceLength + int64(binary.BigEndian.Uint32(body[4:]))
			to := from + int64(binary.BigEndian.Uint32(body[8:]))
			if from > to || to > int64(len(f.Data)) {
				return fmt.Errorf("request of bytes %d to %d of %d", from, to, len(f.Data))
			}
			if err := p.send(msgPiece, append(bytes.Clone(body[:8]), f.Data[from:to]...)); err != nil {
				return err
			}
			s.uploaded.Add(to - from)
		}
	}
}

// nudge calls kick again and again until the returned function is called, which
// waits for it to end. Clients decide only every 10 s whom they want something
// from and whom they serve; a kick makes them decide now.
func nudge(ctx context.Context, kick func()) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond):
				kick()
			}
		}
	})
	return func() { cancel(); group.Wait() }
}

// Fetch downloads a whole file from the client at addr. It calls kick while it
// waits to be served.
func Fetch(ctx context.Context, addr string, f PeerFile, kick func()) ([]byte, error) {
	for {
		data, err := fetch(ctx, addr, f, kick)
		if err == nil {
			return data, nil
		}
		select { // it may just not know the torrent yet
		case <-ctx.Done():
			return nil, fmt.Errorf("fetch %x from %s: %w", f.InfoHash, addr, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func fetch(ctx context.Context, addr string, f PeerFile, kick func()) ([]byte, error) {
	p, err := dialPeer(ctx, addr, f.InfoHash)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.send(msgInterested, nil); err != nil {
		return nil, err
	}
	unchoked := nudge(ctx, kick)
	defer unchoked()
	data := make([]byte, f.Length)
	var asked, got int64
	for got < f.Length {
		id, body, err := p.receive()
		if err != nil {
			return nil, err
		}
		switch id {
		case msgUnchoke:
			unchoked()
			for ; asked < f.Length && asked-got < inFlight && err == nil; asked += f.block(asked) {
				err = p.request(f, asked)
			}
		case msgPiece:
			var n int
			if n, err = f.store(data, body); err == nil && asked < f.Length {
				err = p.request(f, asked)
				asked += f.block(asked)
			}
			got += int64(n)
		case msgChoke:
			return nil, errors.New("choked in the middle")
		}
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

// inFlight is how many bytes are asked for ahead: some clients answer only
// twice a second.
const inFlight = 128 * blockLength

// block is the length of the block that starts at off: none crosses a piece.
func (f PeerFile) block(off int64) int64 {
	return min(blockLength, f.PieceLength-off%f.PieceLength, f.Length-off)
}

// store puts a received block where it says it belongs.
func (f PeerFile) store(data, body []byte) (int, error) {
	if len(body) < 8 {
		return 0, errors.New("piece without a head")
	}
	at := int64(binary.BigEndian.Uint32(body))*f.PieceLength + int64(binary.BigEndian.Uint32(body[4:]))
	if at > int64(len(data)) {
		return 0, fmt.Errorf("a block at %d of %d", at, len(data))
	}
	return copy(data[at:], body[8:]), nil
}

func (p *peerConn) request(f PeerFile, off int64) error {
	var body [12]byte
	binary.BigEndian.PutUint32(body[:], uint32(off/f.PieceLength))
	binary.BigEndian.PutUint32(body[4:], uint32(off%f.PieceLength))
	binary.BigEndian.PutUint32(body[8:], uint32(f.block(off)))
	return p.send(msgRequest, body[:])
}

// peerConn is one connection after the handshake.
type peerConn struct {
	net.Conn
	in   *bufio.Reader
	stop func() bool
}

func (p *peerConn) close() { p.stop(); p.Conn.Close() }

func dialPeer(ctx context.Context, addr string, infoHash [20]byte) (*peerConn, error) {
	// A client takes one handshake at a time from one address: have many.
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if host, _, _ := net.SplitHostPort(addr); host == "127.0.0.1" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, byte(1+rand.IntN(250)), byte(rand.IntN(250)), byte(1+rand.IntN(250)))}
	}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &peerConn{Conn: conn, in: bufio.NewReader(conn), stop: context.AfterFunc(ctx, func() { conn.Close() })}
	hello := append([]byte("\x13BitTorrent protocol\x00\x00\x00\x00\x00\x00\x00\x00"), infoHash[:]...)
	hello = fmt.Appendf(hello, "-TK0001-%012x", rand.Uint64()>>16)
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err = conn.Write(hello); err == nil {
		_, err = io.ReadFull(p.in, hello[:68])
	}
	if err == nil && !bytes.Equal(hello[28:48], infoHash[:]) {
		err = errors.New("the client answers for another torrent")
	}
	if err != nil {
		p.close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return p, nil
}

func (p *peerConn) send(id byte, body []byte) error {
	_ = p.SetWriteDeadline(time.Now().Add(30 * time.Second))
	head := binary.BigEndian.AppendUint32(nil, uint32(1+len(body)))
	_, err := p.Write(append(append(head, id), body...))
	return err
}

// receive returns the next message; keep-alives have no id and are passed over.
func (p *peerConn) receive() (id byte, body []byte, err error) {
	for {
		var head [4]byte
		if _, err = io.ReadFull(p.in, head[:]); err != nil {
			return 0, nil, err
		}
		n := binary.BigEndian.Uint32(head[:])
		if n > 1<<20 {
			return 0, nil, fmt.Errorf("message of %d bytes", n)
		}
		if n == 0 {
			continue
		}
		body = make([]byte, n)
		if _, err = io.ReadFull(p.in, body); err != nil {
			return 0, nil, err
		}
		return body[0], body[1:], nil
	}
}
