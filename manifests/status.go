package manifests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode"
)

// StatusName is the one file of a status branch.
const StatusName = "status.json"

// Bounds of a status document.
const (
	maxStatus  = 512 << 10 // bytes; more than Encode can make of what follows
	maxSample  = 20        // items of a list
	maxWords   = 400       // characters of one text
	maxKey     = 100       // characters of a map's key
	maxCounted = 200       // keys of a map
)

// Status is what a site reports about itself. It says nothing that anybody
// else may act on without looking: it is another machine's word.
type Status struct {
	Site   string `json:"site"`
	Role   string `json:"role"` // "main", "follower" or "pending main"
	Engine string `json:"engine"`

	// Revisions: fetched and trusted; every action issued; every byte in place.
	Attempted string `json:"attempted,omitempty"`
	Applied   string `json:"applied,omitempty"`
	Complete  string `json:"complete,omitempty"`

	// Remote is the address of the catalog that answered last.
	Remote string `json:"remote,omitempty"`

	// Untrusted is the head that this site refuses to follow, if there is one.
	Untrusted *Untrusted `json:"untrusted,omitempty"`

	Time          time.Time        `json:"time"`
	Entries       EntryCounts      `json:"entries"`
	Bytes         ByteCounts       `json:"bytes"`
	MissingSample []string         `json:"missingSample,omitempty"` // tree/path, at most 20
	Errors        []string         `json:"errors,omitempty"`        // at most 20
	DiskFree      map[string]int64 `json:"diskFree,omitempty"`      // bytes by tree
	Pass          PassReport       `json:"pass"`
}

// Untrusted says which commit of a revision breaks which rule of a site.
type Untrusted struct {
	Revision string `json:"revision"`         // the head in question
	Commit   string `json:"commit"`           // the commit at fault
	Signer   string `json:"signer,omitempty"` // as far as known
	Rule     string `json:"rule"`
}

// Roles a site can report.
const (
	StatusMain        = "main"
	StatusFollower    = "follower"
	StatusPendingMain = "pending main"
)

// EntryCounts counts entries by how they stand.
type EntryCounts struct {
	Listed  int `json:"listed"`
	InSync  int `json:"inSync"`
	Missing int `json:"missing"`
	Held    int `json:"held"`    // removals over the limit
	Foreign int `json:"foreign"` // files that nobody listed, left alone
	Drift   int `json:"drift"`
}

// ByteCounts counts bytes of content, and of traffic since the agent started.
type ByteCounts struct {
	Listed     int64 `json:"listed"`
	Have       int64 `json:"have"`
	Missing    int64 `json:"missing"`
	Downloaded int64 `json:"downloaded"`
	Uploaded   int64 `json:"uploaded"`
	Reused     int64 `json:"reused"` // copied on the site instead of downloaded
}

// PassReport says what the last pass did.
type PassReport struct {
	Started time.Time      `json:"started"`
	Seconds float64        `json:"seconds"`
	Actions map[string]int `json:"actions,omitempty"` // by kind
}

// Encode returns the document as indented JSON. Lists and texts are cut to
// what DecodeStatus takes.
func (s Status) Encode() []byte {
	s.tidy()
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil { // tidy has removed what JSON cannot say
		panic("manifests: status: " + err.Error())
	}
	return append(b, '\n')
}

// DecodeStatus reads a status document. It comes from another machine, so its
// size, counts and names are checked and every text is made safe to print.
// Unknown fields are passed over: sites are not all upgraded at once.
func DecodeStatus(data []byte) (Status, error) {
	var s Status
	if len(data) > maxStatus {
		return s, fmt.Errorf("status: %d bytes, at most %d are read", len(data), maxStatus)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&s); err != nil {
		return Status{}, fmt.Errorf("status: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Status{}, errors.New("status: something follows the JSON object")
	}
	if err := s.check(); err != nil {
		return Status{}, fmt.Errorf("status: %w", err)
	}
	s.tidy()
	return s, nil
}

func (s *Status) check() error {
	if err := ValidSiteName(s.Site); err != nil {
		return err
	}
	if s.Role != StatusMain && s.Role != StatusFollower && s.Role != StatusPendingMain {
		return fmt.Errorf("unknown role %q", clip(s.Role))
	}
	for _, rev := range []string{s.Attempted, s.Applied, s.Complete} {
		if err := checkRevision(rev); err != nil {
			return err
		}
	}
	e, b := s.Entries, s.Bytes
	if min(e.Listed, e.InSync, e.Missing, e.Held, e.Foreign, e.Drift) < 0 ||
		min(b.Listed, b.Have, b.Missing, b.Downloaded, b.Uploaded, b.Reused) < 0 || s.Pass.Seconds < 0 {
		return errors.New("a count is negative")
	}
	if len(s.MissingSample) > maxSample || len(s.Errors) > maxSample {
		return fmt.Errorf("a list has more than %d items", maxSample)
	}
	if len(s.DiskFree) > maxCounted || len(s.Pass.Actions) > maxCounted {
		return fmt.Errorf("a map has more than %d keys", maxCounted)
	}
	return nil
}

// tidy cuts lists and makes texts safe. It never touches what the caller still holds.
func (s *Status) tidy() {
	s.Engine = tidyText(s.Engine, maxKey)
	s.Remote = tidyText(s.Remote, maxWords)
	if u := s.Untrusted; u != nil {
		s.Untrusted = &Untrusted{tidyText(u.Revision, maxKey), tidyText(u.Commit, maxKey), tidyText(u.Signer, maxWords), tidyText(u.Rule, maxWords)}
	}
	s.MissingSample = tidyTexts(s.MissingSample)
	s.Errors = tidyTexts(s.Errors)
	s.DiskFree = tidyKeys(s.DiskFree)
	s.Pass.Actions = tidyKeys(s.Pass.Actions)
	s.Time, s.Pass.Started = tidyTime(s.Time), tidyTime(s.Pass.Started)
	if math.IsNaN(s.Pass.Seconds) || math.IsInf(s.Pass.Seconds, 0) {
		s.Pass.Seconds = 0
	}
}

func tidyTexts(list []string) []string {
	var tidy []string
	for _, s := range list[:min(len(list), maxSample)] {
		tidy = append(tidy, tidyText(s, maxWords))
	}
	return tidy
}

func tidyKeys[V any](m map[string]V) map[string]V {
	if len(m) == 0 {
		return nil
	}
	tidy := make(map[string]V, len(m))
	for _, k := range sortedKeys(m) {
		if len(tidy) < maxCounted {
			tidy[tidyText(k, maxKey)] = m[k]
		}
	}
	return tidy
}

// tidyText replaces what a terminal might obey instead of print, and cuts.
func tidyText(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ReplacementChar
	}, s)
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

// tidyTime drops times that JSON cannot say.
func tidyTime(t time.Time) time.Time {
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.Round(0)
}
