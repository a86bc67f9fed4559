package manifests

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// checkTracker takes announce URLs that every engine takes. Some BitTorrent
// libraries panic on URLs with a user, another scheme or no host.
func checkTracker(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fmt.Errorf("%q is no URL", clip(s))
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "udp":
		return fmt.Errorf("%q: want a URL that begins with http, https or udp", clip(s))
	case u.User != nil:
		return fmt.Errorf("the URL for %s holds a user name or password: this file is no place for secrets", u.Host)
	case u.Fragment != "" || u.Opaque != "":
		return fmt.Errorf("%q is no tracker URL", clip(s))
	case u.Port() == "":
		return checkHost(u.Hostname())
	}
	return checkPeer(u.Host)
}

// checkPeer takes host:port.
func checkPeer(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is no host:port", clip(s))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q: want a port from 1 to 65535", clip(s))
	}
	return checkHost(host)
}

func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	valid := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.'
	}
	if host == "" || len(host) > 253 || strings.ContainsFunc(host, func(r rune) bool { return !valid(r) }) {
		return fmt.Errorf("%q is no host name", clip(host))
	}
	return nil
}

// checkGlob takes what doublestar takes. A pattern is matched against paths
// that begin with no slash, so one that does could never match.
func checkGlob(s string) error {
	switch {
	case s == "":
		return errors.New("a glob is empty")
	case !doublestar.ValidatePattern(s):
		return fmt.Errorf("bad glob %q", clip(s))
	case alternatives(s) > maxAlternatives:
		return fmt.Errorf("glob %q stands for more than %d globs", clip(s), maxAlternatives)
	case s[0] == '/':
		return fmt.Errorf("glob %q begins with a slash: paths here do not, so it matches nothing", clip(s))
	}
	return nil
}

// maxAlternatives bounds what one glob's braces multiply to: matching tries
// them all, and thirty of {a,b} in a row would take hours for each file.
const maxAlternatives = 1000

// alternatives counts the globs without braces that a valid glob stands for,
// or a little more where braces are nested.
func alternatives(glob string) int {
	product := 1
	var open []int // commas so far in each brace that is open
	for i := 0; i < len(glob) && product <= maxAlternatives; i++ {
		switch c := glob[i]; {
		case c == '\\':
			i++
		case c == '{':
			open = append(open, 0)
		case c == ',' && len(open) > 0:
			open[len(open)-1]++
		case c == '}' && len(open) > 0:
			product *= open[len(open)-1] + 1
			open = open[:len(open)-1]
		}
	}
	return product
}

// checkIgnore takes gitignore rules. git silently ignores a rule it cannot
// parse, and then the files it was to hide are published: refuse it instead.
func checkIgnore(s string) error {
	if strings.TrimSpace(s) == "" || strings.ContainsAny(s, "\n\r") {
		return errors.New("an ignore rule is one line and not empty")
	}
	for part := range strings.SplitSeq(s, "/") {
		if _, err := path.Match(part, ""); err != nil {
			return fmt.Errorf("bad ignore rule %q", clip(s))
		}
	}
	return nil
}

// checkRevision takes a commit's id, whole or the beginning of it.
func checkRevision(s string) error {
	if s != "" && (len(s) < 7 || len(s) > 40 || strings.Trim(s, hexDigits) != "") {
		return fmt.Errorf("%q is no revision: want 7 to 40 hexadecimal digits", clip(s))
	}
	return nil
}

// maxDuration is the longest time that can be asked for: a hundred years.
const maxDuration = 100 * 365 * 24 * time.Hour

// parseDuration reads "30d", "2w", "36h" or "1d12h": whole numbers with the
// units w, d, h, m and s.
func parseDuration(s string) (time.Duration, error) {
	units := map[string]time.Duration{"w": 7 * 24 * time.Hour, "d": 24 * time.Hour, "h": time.Hour, "m": time.Minute, "s": time.Second}
	if s == "0" {
		return 0, nil
	}
	var sum time.Duration
	for rest := s; rest != "" || s == ""; {
		at := strings.IndexAny(rest, "wdhms")
		if at <= 0 {
			return 0, fmt.Errorf("%q is no duration such as 30d, 2w or 36h", clip(s))
		}
		n, err := strconv.ParseUint(rest[:at], 10, 32)
		if errors.Is(err, strconv.ErrSyntax) {
			return 0, fmt.Errorf("%q is no duration such as 30d, 2w or 36h", clip(s))
		}
		unit := units[rest[at:at+1]]
		if err != nil || n > uint64((maxDuration-sum)/unit) {
			return 0, fmt.Errorf("%q is longer than a hundred years", clip(s))
		}
		sum += time.Duration(n) * unit
		rest = rest[at+1:]
	}
	return sum, nil
}
