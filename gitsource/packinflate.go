package gitsource

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
)

// inflate returns the size bytes that the zlib stream at an offset holds.
func (p *pack) inflate(offset, size int64) ([]byte, error) {
	if size <= readAhead {
		b, err := p.window(offset, int(size)+64)
		if err != nil {
			return nil, err
		}
		if data, ok := unstore(b, int(size)); ok {
			return data, nil
		}
	}
	return p.decompress(offset, size)
}

// unstore copies out of a zlib stream that only stores; the checksum behind it is the
// caller's, who knows a better one.
func unstore(b []byte, size int) ([]byte, bool) {
	if len(b) < 2 || b[0] != 0x78 || b[1]&0x20 != 0 {
		return nil, false
	}
	data := make([]byte, 0, size)
	for b = b[2:]; len(b) >= 5 && b[0]&6 == 0; {
		n := int(binary.LittleEndian.Uint16(b[1:]))
		if binary.LittleEndian.Uint16(b[3:]) != ^uint16(n) || len(b) < 5+n {
			return nil, false
		}
		last := b[0]&1 == 1
		data, b = append(data, b[5:5+n]...), b[5+n:]
		if last {
			return data, len(data) == size
		}
	}
	return nil, false
}

func (p *pack) decompress(offset, size int64) ([]byte, error) {
	from := io.Reader(io.NewSectionReader(p.f, offset, p.end-offset))
	if b, err := p.window(offset, int(min(size, readAhead))+64); err == nil {
		from = io.MultiReader(bytes.NewReader(b), io.NewSectionReader(p.f, offset+int64(len(b)), p.end-offset-int64(len(b))))
	}
	if p.buf == nil {
		p.buf = bufio.NewReaderSize(nil, 4<<10)
	}
	p.buf.Reset(from)
	var err error
	if p.zlib == nil {
		p.zlib, err = zlib.NewReader(p.buf)
	} else {
		err = p.zlib.(zlib.Resetter).Reset(p.buf, nil)
	}
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(p.zlib, data); err != nil {
		return nil, eof(err)
	}
	if n, err := p.zlib.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return nil, errMalformedPack // longer than it says, or its checksum does not fit
	}
	return data, nil
}
