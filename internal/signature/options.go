package signature

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// optionField cuts the options off, up to the first blank outside of quotes, and
// splits them at the commas outside of quotes.
func optionField(rest string) (options []string, after string, err error) {
	quoted, begin := false, 0
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '\\' && quoted && i+1 < len(rest) && rest[i+1] == '"':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ',':
			options = append(options, rest[begin:i])
			begin = i + 1
		case c == ' ':
			return append(options, rest[begin:i]), strings.TrimLeft(rest[i:], " "), nil
		}
	}
	if quoted {
		return nil, "", errors.New("a quote is not closed")
	}
	return nil, "", fmt.Errorf("no key after %q", clip(rest))
}

func (e *entry) setOptions(options []string) error {
	seen := map[string]bool{}
	for _, o := range options {
		name, value, valued := strings.Cut(o, "=")
		name = strings.ToLower(name)
		if seen[name] {
			return fmt.Errorf("%s is given twice", name)
		}
		seen[name] = true
		if name == "cert-authority" {
			return errors.New("cert-authority is not supported: list each key")
		}
		if name != "namespaces" && name != "valid-after" && name != "valid-before" {
			return fmt.Errorf("unknown option %q", clip(o))
		}
		if !valued || len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
			return fmt.Errorf(`want %s="..."`, name)
		}
		if err := e.setOption(name, strings.ReplaceAll(value[1:len(value)-1], `\"`, `"`)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if !e.after.IsZero() && !e.before.IsZero() && !e.after.Before(e.before) {
		return errors.New("valid-before is not after valid-after")
	}
	return nil
}

func (e *entry) setOption(name, value string) (err error) {
	switch name {
	case "namespaces":
		e.namespaces = strings.Split(value, ",")
	case "valid-after":
		e.after, err = parseTime(value)
	default:
		e.before, err = parseTime(value)
	}
	return err
}

// parseTime reads YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS; with a Z it is UTC, else
// this machine's time zone, which makes sites differ.
func parseTime(value string) (time.Time, error) {
	zone := time.Local
	digits, utc := strings.CutSuffix(value, "Z")
	if utc {
		zone = time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(digits) == len(layout) {
			t, err := time.ParseInLocation(layout, digits, zone)
			if err != nil {
				return t, fmt.Errorf("%q is no date", clip(value))
			}
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q: want YYYYMMDD[HHMM[SS]] and a Z for UTC", clip(value))
}
