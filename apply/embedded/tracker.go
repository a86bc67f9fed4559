package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	announceFor     = 15 * time.Second // for one announce, connecting included
	maxAnswer       = 256 << 10        // bytes of a tracker's answer that are read
	defaultInterval = 30 * time.Minute
	minInterval     = time.Second
	maxInterval     = 24 * time.Hour
)

// errRefused is a tracker that answered and said no.
var errRefused = errors.New("tracker refuses")

// announce is what a tracker is told (BEP 3).
type announce struct {
	hash     [20]byte
	peerID   string
	port     int
	left     int64
	event    string // started, completed, stopped or ""
	numwant  int
	uploaded int64
}

// answer is what it says.
type answer struct {
	interval time.Duration // until the next announce
	soonest  time.Duration // until one out of turn; 0 if it did not say
	peers    []netip.AddrPort
}

// parseTracker accepts the announce URLs that can be spoken to safely: http
// or https, a host, no credentials, no fragment.
func parseTracker(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("tracker: %w", err)
	}
	port := u.Port()
	n, perr := strconv.ParseUint(port, 10, 16)
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		err = fmt.Errorf("scheme %q is not http or https", u.Scheme)
	case u.Hostname() == "" || u.Opaque != "":
		err = errors.New("there is no host")
	case u.User != nil:
		return nil, errors.New("tracker: an announce URL must not carry credentials") // and must not be printed
	case u.Fragment != "":
		err = errors.New("it has a fragment")
	case len(s) > 2048:
		err = errors.New("it is longer than 2048 bytes")
	case port != "" && (perr != nil || n == 0), strings.HasSuffix(u.Host, ":"):
		err = fmt.Errorf("port %q is not a port", port)
	}
	if err != nil {
		return nil, fmt.Errorf("tracker %q: %w", s, err)
	}
	return u, nil
}

// query writes the parameters. Values are escaped byte by byte: an info hash
// is no text.
func (a announce) query() string {
	var b strings.Builder
	b.WriteString("info_hash=")
	b.WriteString(escapeBytes(a.hash[:]))
	b.WriteString("&peer_id=")
	b.WriteString(escapeBytes([]byte(a.peerID)))
	fmt.Fprintf(&b, "&port=%d&uploaded=%d&downloaded=0&left=%d&compact=1&numwant=%d", a.port, a.uploaded, a.left, a.numwant)
	if a.event != "" {
		b.WriteString("&event=")
		b.WriteString(a.event)
	}
	return b.String()
}

func escapeBytes(p []byte) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range p {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// ask sends one announce.
func ask(ctx context.Context, client *http.Client, u *url.URL, a announce) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, announceFor)
	defer cancel()
	to := *u
	if to.RawQuery != "" {
		to.RawQuery += "&"
	}
	to.RawQuery += a.query()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("User-Agent", "seedtree")
	resp, err := client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) { // it repeats the whole query
			err = ue.Err
		}
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, err
	case len(body) > maxAnswer:
		return answer{}, fmt.Errorf("answer is longer than %d bytes", maxAnswer)
	case resp.StatusCode != http.StatusOK:
		return answer{}, fmt.Errorf("HTTP status %s", resp.Status)
	}
	return parseAnswer(body)
}

func parseAnswer(body []byte) (answer, error) {
	whole, err := parse(body)
	if err != nil {
		return answer{}, fmt.Errorf("answer: %w", err)
	}
	fields, err := whole.dict()
	if err != nil {
		return answer{}, fmt.Errorf("answer: %w", err)
	}
	if reason, ok := fields["failure reason"]; ok {
		text, _ := reason.bytes()
		return answer{}, fmt.Errorf("%w: %q", errRefused, text[:min(len(text), 200)])
	}
	out := answer{interval: defaultInterval}
	if n, ok := fields["interval"].int(); ok && n > 0 {
		out.interval = seconds(n)
	}
	if n, ok := fields["min interval"].int(); ok && n > 0 {
		out.soonest = seconds(n)
		out.interval = max(out.interval, out.soonest)
	}
	if list, err := fields["peers"].list(); err == nil {
		out.peers = listedPeers(list)
	} else if compact, ok := fields["peers"].bytes(); ok {
		out.peers = compactPeers(compact, 4)
	}
	if compact, ok := fields["peers6"].bytes(); ok { // BEP 7
		out.peers = append(out.peers, compactPeers(compact, 16)...)
	}
	return out, nil
}

func seconds(n int64) time.Duration {
	return max(min(time.Duration(min(n, 1<<30))*time.Second, maxInterval), minInterval)
}

// compactPeers reads addresses of n bytes with a port each (BEP 23, BEP 7).
func compactPeers(b []byte, n int) (out []netip.AddrPort) {
	for ; len(b) >= n+2; b = b[n+2:] {
		ip, _ := netip.AddrFromSlice(b[:n])
		out = appendPeer(out, ip, int64(b[n])<<8|int64(b[n+1]))
	}
	return out
}

// listedPeers reads the original form: a dictionary a peer.
func listedPeers(list []raw) (out []netip.AddrPort) {
	for _, one := range list {
		fields, err := one.dict()
		if err != nil {
			continue
		}
		text, _ := fields["ip"].bytes()
		port, _ := fields["port"].int()
		if ip, err := netip.ParseAddr(string(text)); err == nil {
			out = appendPeer(out, ip, port)
		}
	}
	return out
}

func appendPeer(out []netip.AddrPort, ip netip.Addr, port int64) []netip.AddrPort {
	ip = ip.Unmap().WithZone("")
	if port < 1 || port > 65535 || ip.IsUnspecified() || ip.IsMulticast() || len(out) >= 200 {
		return out
	}
	return append(out, netip.AddrPortFrom(ip, uint16(port)))
}
