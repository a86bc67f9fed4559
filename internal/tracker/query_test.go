package tracker

import (
	"net/url"
	"strings"
	"testing"

	"seedtree/manifests"
)

func TestMalformedAnnounces(t *testing.T) {
	good := strings.TrimPrefix(target(hash(1), 3, ""), "/announce?")
	if _, err := parseAnnounce(good); err != nil {
		t.Fatal(err)
	}
	with := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in %q", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, c := range []struct{ name, raw, want string }{
		{"empty", "", "0 info_hash"},
		{"two hashes", good + "&info_hash=x", "2 info_hash"},
		{"short hash", with("info_hash=", "info_hash=x"), "has 21 bytes"},
		{"hex hash", "info_hash=" + hash(1).String() + good[strings.Index(good, "&"):], "has 40 bytes"},
		{"bad escape", good + "&key=%zz", `bad escape "%zz"`},
		{"cut escape", good + "&key=%a", "ends within"},
		{"cut escape in name", good + "&%=1", "ends within"},
		{"short id", with("-ST0001-", ""), "peer_id has 12 bytes"},
		{"port 0", with("port=51413", "port=0"), "port"},
		{"port too high", with("port=51413", "port=65536"), "port"},
		{"port negative", with("port=51413", "port=-1"), "port"},
		{"no left", with("left=3", "x=3"), "left"},
		{"left negative", with("left=3", "left=-3"), "left"},
		{"left overflows", with("left=3", "left=99999999999999999999999"), "left"},
		{"uploaded no number", with("uploaded=0", "uploaded=many"), "uploaded"},
		{"unknown event", good + "&event=exploded", `event "exploded"`},
		{"numwant no number", good + "&numwant=all", "numwant"},
		{"twice", good + "&left=0", `"left" is given twice`},
		{"long", good + "&x=" + strings.Repeat("a", maxQuery), "bytes, more than"},
		{"many", good + strings.Repeat("&info_hash=a", maxParameters), "parameters"},
		{"control characters", good + "&event=%0a%1b[2J", `\n\x1b[2J`},
	} {
		_, err := parseAnnounce(c.raw)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestScrapeLimits(t *testing.T) {
	one := "info_hash=" + strings.Repeat("%20", 20) + "&"
	if got, err := parseScrape(strings.Repeat(one, maxScrape)); err != nil || len(got) != maxScrape {
		t.Errorf("%d hashes: %d, %v", maxScrape, len(got), err)
	}
	for _, raw := range []string{"", "info_hash=short", strings.Repeat(one, maxScrape+1)} {
		if _, err := parseScrape(raw); err == nil {
			t.Errorf("scrape %.40q is accepted", raw)
		}
	}
}

// Whatever an info hash is made of, it arrives as it was sent, in the three
// ways clients escape.
func TestEscapes(t *testing.T) {
	for first := range 256 {
		var h manifests.InfoHash
		for i := range h {
			h[i] = byte(first + 13*i)
		}
		form := url.QueryEscape(string(h[:]))
		for _, escaped := range []string{form, strings.ReplaceAll(form, "+", "%20"), strings.ToLower(form)} {
			if strings.ToLower(form) == escaped && strings.ContainsAny(string(h[:]), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
				continue // lower-casing the escapes would also change letters
			}
			got, err := parseScrape("info_hash=" + escaped)
			if err != nil || got[0] != h {
				t.Fatalf("%s: got %v, %v", escaped, got, err)
			}
		}
	}
}

// FuzzQuery holds the parser against the standard library's: what both accept
// they read alike, and what the standard library refuses is refused.
func FuzzQuery(f *testing.F) {
	f.Add(strings.TrimPrefix(target(hash(1), 3, "&event=started&ip=::1&numwant=5"), "/announce?"))
	f.Add("a=%2B+&info_hash=%00%ff&info_hash=&=&a%3Db")
	f.Add("a=%4")
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseQuery(raw)
		std, stdErr := url.ParseQuery(raw)
		if strings.Contains(raw, ";") { // the standard library refuses a harmless byte
			stdErr = nil
		} else if err == nil && stdErr != nil {
			t.Fatalf("%q: accepted, though %v", raw, stdErr)
		}
		if err == nil && stdErr == nil && !strings.Contains(raw, ";") {
			for k, v := range q.values {
				if std.Get(k) != v {
					t.Fatalf("%q: %q is %q, want %q", raw, k, v, std.Get(k))
				}
			}
			if len(std["info_hash"]) != len(q.hashes) {
				t.Fatalf("%q: %d hashes, want %d", raw, len(q.hashes), len(std["info_hash"]))
			}
		}
		if a, err := parseAnnounce(raw); err == nil && (a.port == 0 || a.numWant < -1) {
			t.Fatalf("%q: accepted as %+v", raw, a)
		}
		_, _ = parseScrape(raw)
	})
}
