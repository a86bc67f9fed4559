package tracker

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"seedtree/manifests"
)

// Limits of one request. A scrape of maxScrape hashes, every byte escaped, is
// about 7 KB long.
const (
	maxQuery      = 16 << 10
	maxParameters = 128
	maxScrape     = 100
)

// event is what an announce reports (BEP 3).
type event uint8

const (
	eventNone event = iota
	eventStarted
	eventCompleted
	eventStopped
)

// announceRequest is a checked announce.
type announceRequest struct {
	infoHash manifests.InfoHash
	port     uint16
	left     uint64
	event    event
	numWant  int // -1: not said
	compact  bool
	ip       netip.Addr // what the client says of itself; usually ignored
}

// query is a parsed query string. Keys may repeat only where that means
// something: info_hash in a scrape.
type query struct {
	values map[string]string
	hashes []string
}

// parseQuery splits a raw query string. It does not use url.ParseQuery because
// that one drops what it cannot read, and half an info hash is not an info hash.
// "+" is a space, as in every form-encoded query; a plus sign is sent as %2B.
func parseQuery(raw string) (query, error) {
	q := query{values: make(map[string]string, 12)}
	if len(raw) > maxQuery {
		return q, fmt.Errorf("query of %d bytes, more than %d", len(raw), maxQuery)
	}
	count := 0
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		if count++; count > maxParameters {
			return q, fmt.Errorf("more than %d parameters", maxParameters)
		}
		name, value, _ := strings.Cut(pair, "=")
		key, err := unescape(name)
		if err != nil {
			return q, err
		}
		val, err := unescape(value)
		if err != nil {
			return q, fmt.Errorf("%s: %w", printable(key), err)
		}
		if key == "info_hash" {
			q.hashes = append(q.hashes, val)
			continue
		}
		if _, twice := q.values[key]; twice {
			return q, fmt.Errorf("%s is given twice", printable(key))
		}
		q.values[key] = val
	}
	return q, nil
}

// unescape decodes %XX and "+"; everything else stands for itself.
func unescape(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '+':
			b = append(b, ' ')
		case '%':
			if i+2 >= len(s) {
				return "", errors.New("ends within a % escape")
			}
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi > 15 || lo > 15 {
				return "", fmt.Errorf("has a bad escape %s", strconv.Quote(s[i:i+3]))
			}
			b = append(b, hi<<4|lo)
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return string(b), nil
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// printable shows a name a stranger chose without letting it write on the log.
func printable(s string) string {
	if len(s) > 32 {
		s = s[:32]
	}
	return strconv.Quote(s)
}

func infoHash(s string) (manifests.InfoHash, error) {
	var h manifests.InfoHash
	if len(s) != len(h) {
		return h, fmt.Errorf("info_hash has %d bytes, want %d", len(s), len(h))
	}
	copy(h[:], s)
	return h, nil
}

// parseAnnounce reads the parameters of BEP 3 and BEP 23. uploaded and
// downloaded must be numbers where they are given, and are not kept.
func parseAnnounce(raw string) (announceRequest, error) {
	a := announceRequest{numWant: -1, compact: true}
	q, err := parseQuery(raw)
	if err != nil {
		return a, err
	}
	if len(q.hashes) != 1 {
		return a, fmt.Errorf("%d info_hash parameters, want one", len(q.hashes))
	}
	if a.infoHash, err = infoHash(q.hashes[0]); err != nil {
		return a, err
	}
	if id := q.values["peer_id"]; len(id) != 20 {
		return a, fmt.Errorf("peer_id has %d bytes, want 20", len(id))
	}
	port, err := strconv.ParseUint(q.values["port"], 10, 16)
	if err != nil || port == 0 {
		return a, fmt.Errorf("port %s is no number from 1 to 65535", printable(q.values["port"]))
	}
	a.port = uint16(port)
	for _, key := range []string{"left", "uploaded", "downloaded"} {
		s, given := q.values[key]
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil && (given || key == "left") {
			return a, fmt.Errorf("%s %s is no number of bytes", key, printable(s))
		}
		if key == "left" {
			a.left = n
		}
	}
	return a, a.parseOptional(q)
}

func (a *announceRequest) parseOptional(q query) error {
	switch e := q.values["event"]; e {
	case "", "empty", "paused": // BEP 21: paused is a partial seed saying hello
	case "started":
		a.event = eventStarted
	case "completed":
		a.event = eventCompleted
	case "stopped":
		a.event = eventStopped
	default:
		return fmt.Errorf("event %s is unknown", printable(e))
	}
	if s, given := q.values["numwant"]; given {
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			return fmt.Errorf("numwant %s is no number", printable(s))
		}
		a.numWant = max(int(n), -1)
	}
	a.compact = q.values["compact"] != "0"
	if ip, err := netip.ParseAddr(q.values["ip"]); err == nil {
		a.ip = ip
	}
	return nil
}

// parseScrape reads the info hashes of a scrape (BEP 48). A scrape without any
// asks for everything, which a closed tracker does not tell.
func parseScrape(raw string) ([]manifests.InfoHash, error) {
	q, err := parseQuery(raw)
	if err != nil {
		return nil, err
	}
	if len(q.hashes) == 0 {
		return nil, errors.New("a scrape must name its info hashes")
	}
	if len(q.hashes) > maxScrape {
		return nil, fmt.Errorf("%d info hashes in one scrape, more than %d", len(q.hashes), maxScrape)
	}
	hashes := make([]manifests.InfoHash, len(q.hashes))
	for i, s := range q.hashes {
		if hashes[i], err = infoHash(s); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}
