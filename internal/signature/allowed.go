package signature

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"golang.org/x/crypto/ssh"
)

// maxAllowed bounds an allowed-signers file, in bytes.
const maxAllowed = 1 << 20

// Allowed is an allowed-signers file. The zero value allows nobody.
type Allowed struct{ entries []entry }

// entry is one line: a key, who it speaks for, and when.
type entry struct {
	line       int
	principals []string // patterns
	ssh        ssh.PublicKey
	pgp        *openpgp.Entity
	namespaces []string // patterns; none: any
	after      time.Time
	before     time.Time // both zero: always; both inclusive, as in OpenSSH
}

// ParseAllowed reads an allowed-signers file. Each line is
//
//	PRINCIPALS [OPTIONS] KEYTYPE BASE64 [COMMENT]
//	PRINCIPALS [OPTIONS] openpgp FILE
//
// the first of them OpenSSH's, options and times included (but no
// cert-authority), the second ours: FILE is an armoured public key, which open
// reads. One bad line makes the file bad, for whoever stands below it may be the
// one whose key was to be taken away.
func ParseAllowed(data []byte, open func(name string) ([]byte, error)) (*Allowed, error) {
	if len(data) > maxAllowed {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(data), maxAllowed)
	}
	a := &Allowed{}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.Trim(line, " \t\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		e, err := parseEntry(line, open)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		e.line = n
		a.entries = append(a.entries, e)
	}
	if len(a.entries) == 0 {
		return nil, errors.New("it lists nobody")
	}
	return a, nil
}

func parseEntry(line string, open func(string) ([]byte, error)) (e entry, err error) {
	list, rest, err := firstField(line)
	if err != nil {
		return e, err
	}
	e.principals = strings.Split(list, ",")
	if slices.Contains(e.principals, "") {
		return e, errors.New("an empty principal")
	}
	if !isKeyType(rest) {
		options, after, err := optionField(rest)
		if err != nil {
			return e, err
		}
		if err := e.setOptions(options); err != nil {
			return e, err
		}
		rest = after
	}
	kind, rest, _ := strings.Cut(rest, " ")
	rest = strings.TrimLeft(rest, " \t")
	if kind == openpgpType {
		return e, e.setOpenPGP(rest, open)
	}
	word, _, _ := strings.Cut(rest, " ")
	wire, err := base64.StdEncoding.DecodeString(word)
	if err == nil {
		e.ssh, err = ssh.ParsePublicKey(wire)
	}
	if err == nil && e.ssh.Type() != kind {
		err = fmt.Errorf("it is one of type %s", e.ssh.Type())
	}
	if err != nil {
		return e, fmt.Errorf("no key of type %q: %w", clip(kind), err)
	}
	return e, supported(e.ssh)
}

// openpgpType stands where OpenSSH has a key's type.
const openpgpType = "openpgp"

// isKeyType tells a key from options before it, as OpenSSH does: by trying.
func isKeyType(rest string) bool {
	word, _, _ := strings.Cut(rest, " ")
	switch {
	case word == openpgpType, strings.HasPrefix(word, "ssh-"), strings.HasPrefix(word, "ecdsa-"), strings.HasPrefix(word, "sk-"):
		return true
	}
	return false
}

func (e *entry) setOpenPGP(name string, open func(string) ([]byte, error)) error {
	name = strings.Trim(name, " \t")
	if name == "" {
		return errors.New("openpgp names no key file")
	}
	if e.namespaces != nil {
		return errors.New("OpenPGP signatures have no namespaces")
	}
	data, err := open(name)
	if err != nil {
		return err
	}
	if e.pgp, err = readEntity(data); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// firstField cuts the principals off, which may stand in quotes.
func firstField(line string) (field, rest string, err error) {
	if quoted, ok := strings.CutPrefix(line, `"`); ok {
		field, rest, ok = strings.Cut(quoted, `"`)
		if !ok {
			return "", "", errors.New("a quote is not closed")
		}
	} else if i := strings.IndexAny(line, " \t"); i >= 0 {
		field, rest = line[:i], line[i:]
	} else {
		return "", "", errors.New("want PRINCIPALS [OPTIONS] KEYTYPE KEY")
	}
	return field, strings.ReplaceAll(strings.TrimLeft(rest, " \t"), "\t", " "), nil
}

// principals completes a signer whose signature is good: every line that lists the
// key counts, if it is valid at all these moments.
func (a *Allowed) principals(who Signer, is func(*entry) bool, moments ...time.Time) (Signer, error) {
	var why error = ErrUnknownKey
	for i := range a.entries {
		e := &a.entries[i]
		if !is(e) {
			continue
		}
		if err := e.validAt(moments); err != nil {
			why = err
			continue
		}
		who.Principals = append(who.Principals, e.principals...)
	}
	if len(who.Principals) == 0 {
		return who, why
	}
	return who, nil
}

func (e *entry) validAt(moments []time.Time) error {
	if e.namespaces != nil && !matchList(Namespace, e.namespaces) {
		return fmt.Errorf("%w: line %d lists it for other namespaces than git", ErrUnknownKey, e.line)
	}
	when := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	for _, at := range moments {
		if !e.after.IsZero() && at.Before(e.after) {
			return fmt.Errorf("%w: line %d lists it from %s on, the commit counts as of %s", ErrNotValidThen, e.line, when(e.after), when(at))
		}
		if !e.before.IsZero() && at.After(e.before) {
			return fmt.Errorf("%w: line %d lists it until %s, the commit counts as of %s", ErrNotValidThen, e.line, when(e.before), when(at))
		}
	}
	return nil
}

// Acts reports whether the signer's principals contain a name. Patterns are
// OpenSSH's: * and ?, and a ! before a name takes it out. Only patterns that spell the
// name's prefix up to its colon count, so that a lone * is no administrator.
func (s Signer) Acts(name string) bool {
	role, _, _ := strings.Cut(name, ":")
	var mine []string
	for _, p := range s.Principals {
		if strings.HasPrefix(strings.TrimPrefix(p, "!"), role+":") {
			mine = append(mine, p)
		}
	}
	return matchList(name, mine)
}

// matchList is OpenSSH's match_pattern_list.
func matchList(name string, patterns []string) bool {
	found := false
	for _, p := range patterns {
		p, negated := strings.CutPrefix(p, "!")
		if !matchPattern(name, p) {
			continue
		}
		if negated {
			return false
		}
		found = true
	}
	return found
}

// matchPattern matches * and ?, in time linear in the name for each star.
func matchPattern(name, pattern string) bool {
	star, mark, n, p := -1, 0, 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			n, p = n+1, p+1
		case star >= 0:
			mark++
			n, p = mark, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// Principals lists every principal of the file, as it stands there.
func (a *Allowed) Principals() []string {
	var all []string
	for _, e := range a.entries {
		all = append(all, e.principals...)
	}
	return all
}
