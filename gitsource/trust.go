package gitsource

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"seedtree/internal/signature"
	"seedtree/manifests"
)

// Signatures says which commits have to be signed.
type Signatures uint8

// How much is looked at, the stricter the later.
const (
	NoSignatures Signatures = iota
	SignedHead              // the newest commit; its signer answers for what came before
	SignedAll               // every commit since the one accepted last
)

func (m Signatures) String() string { return [...]string{"none", "head", "all"}[m] }

// ParseSignatures reads none, head or all.
func ParseSignatures(text string) (Signatures, error) {
	for m := NoSignatures; m <= SignedAll; m++ {
		if m.String() == text {
			return m, nil
		}
	}
	return 0, fmt.Errorf("%q: want none, head or all", text)
}

// Trust says whose commits count, and with what ours are signed. Files are read at
// each use.
//
// A principal in the allowed-signers file is a role. admin:WHO may change anything.
// site:NAME may change what is below torrents/, on top of a manifest that names
// NAME as main, and nothing else.
type Trust struct {
	Signatures            Signatures
	AllowedSignersFile    string
	SigningKeyFile        string // "": we do not sign
	SigningPassphraseFile string
	// Revision is a full commit id that the operator vouches for: what it reaches needs
	// no signature, and a history without it is refused. "" is none.
	Revision string
	// Applied lists revisions that this site is known to have had, by other means than
	// the mirror. They count while the mirror remembers none.
	Applied func() []Applied
}

// Applied is a revision that a site remembers, and where that is written.
type Applied struct{ Revision, Where string }

// ErrUntrusted: a commit is not signed, or by somebody who may not do what it does.
var ErrUntrusted = errors.New("revision not trusted")

// ErrNoSigners: the allowed-signers file cannot be used, so nothing is trusted.
var ErrNoSigners = errors.New("allowed signers")

// UntrustedError says which commit breaks which rule.
type UntrustedError struct {
	Revision string // the head in question
	Commit   string // the commit that is at fault, often the same
	Signer   string // principals and key, as far as known; "" when it is not signed
	Rule     string
	// Lax says that the revision reached before was looked at less strictly than the
	// configuration asks for now, so that it is no better.
	Lax bool
}

func (e *UntrustedError) Error() string {
	text := fmt.Sprintf("%v: %.12s", ErrUntrusted, e.Revision)
	if e.Commit != e.Revision {
		text += fmt.Sprintf(": commit %.12s before it", e.Commit)
	}
	if e.Signer != "" {
		text += ", signed by " + e.Signer
	}
	return text + ": " + e.Rule
}

// Is makes errors.Is(err, ErrUntrusted) true.
func (e *UntrustedError) Is(target error) bool { return target == ErrUntrusted }

// Beginnings of the principals that mean something here.
const (
	siteRole  = "site:"
	adminRole = "admin:"
)

func isAdmin(s signature.Signer) bool {
	for _, p := range s.Principals {
		if strings.HasPrefix(p, adminRole) && len(p) > len(adminRole) {
			return true
		}
	}
	return false
}

const ruleFirst = "a first commit is an admin's"

func ruleElsewhere(name string) string {
	return fmt.Sprintf("only an admin may change %s; a site changes what is below %s/", name, manifests.CatalogDir)
}

// maxAhead is how far a commit may be dated into the future, for clocks differ.
const maxAhead = 24 * time.Hour

// judge decides whether a head may become the one reached. rewrite says that the
// operator named it, and that it need not descend from the one before.
// The verdict changes nothing but what is noted about the check.
func (s *Source) judge(ctx context.Context, head hash, rewrite bool) error {
	before := s.st
	err := s.judged(ctx, head, rewrite)
	if err != nil && s.st.tip() != head {
		s.st = before // what was found of a head that is refused says nothing of the next remote's
	}
	var untrusted *UntrustedError
	if t := s.cfg.Trust; errors.As(err, &untrusted) {
		untrusted.Lax = s.st.Checked < t.Signatures || t.Revision != "" && t.Revision != s.st.Contains
	}
	return err
}

func (s *Source) judged(ctx context.Context, head hash, rewrite bool) error {
	st, err := s.open()
	if err != nil {
		return err
	}
	if err := s.contains(ctx, st, head, rewrite); err != nil {
		return err
	}
	mode := s.cfg.Trust.Signatures
	if mode == NoSignatures {
		return s.noteChecked(head, mode)
	}
	allowed, err := s.allowedSigners()
	if err != nil {
		return err
	}
	// What was taken over with less scrutiny is looked at again.
	tip, known := s.st.tip(), s.st.Checked >= mode
	if known && tip == head {
		return nil
	}
	j := &judgement{ctx: ctx, st: st, head: head, allowed: allowed, mode: mode, now: time.Now()}
	// Under SignedHead not all that a checked head reaches was checked, so that such a
	// head helps only those that descend from it.
	if known && st.has(tip) && !(rewrite && mode == SignedHead) {
		j.anchors = append(j.anchors, tip)
		j.tip, j.dated = tip, time.Unix(s.st.Dated, 0)
	}
	if id := s.cfg.Trust.Revision; id != "" {
		j.anchors = append(j.anchors, plumbing.NewHash(id))
	}
	if err := j.run(); err != nil {
		return err
	}
	if s.st.Dated = 0; j.commits[head] != nil {
		s.st.Dated = j.dates[head].Unix()
	}
	return s.noteChecked(head, mode)
}

// noteChecked remembers how the tip was looked at. Only a tip that stays has to be
// written down here; moveTip writes the others.
func (s *Source) noteChecked(head hash, mode Signatures) error {
	if s.st.Checked == mode || mode == NoSignatures && s.st.tip() == head {
		return nil
	}
	s.st.Checked = mode
	if s.st.tip() != head {
		return nil
	}
	return s.save()
}

// checkedOurs is noteChecked for a commit of our own: no better than what it stands on.
func (s *Source) checkedOurs(at time.Time) {
	s.st.Dated = max(s.st.Dated, at.Unix())
	if mode := s.cfg.Trust.Signatures; s.st.Tip == "" || s.st.Checked > mode {
		s.st.Checked = mode
	}
}

// contains insists on the revisions that a head must descend from, come what may:
// the one that the configuration names, and while the mirror remembers nothing,
// those that the site remembers elsewhere.
func (s *Source) contains(ctx context.Context, st *store, head hash, rewrite bool) error {
	if id := s.cfg.Trust.Revision; id != "" && (rewrite || s.st.Contains != id) {
		in, err := reaches(ctx, st, head, id)
		if err != nil {
			return err
		}
		if !in {
			return &UntrustedError{Revision: head.String(), Commit: head.String(), Rule: "its history does not hold the trusted revision " + id}
		}
		if s.st.Contains = id; s.st.tip() == head {
			if err := s.save(); err != nil {
				return err
			}
		}
	}
	if s.st.Tip != "" || rewrite || s.cfg.Trust.Applied == nil {
		return nil
	}
	for _, f := range s.cfg.Trust.Applied() {
		in, err := reaches(ctx, st, head, f.Revision)
		if err != nil {
			return err
		}
		if !in {
			return fmt.Errorf("%s remembers more than the catalog has: %w", f.Where, &RewoundError{From: f.Revision, To: head.String()})
		}
	}
	return nil
}

// reaches is descends for an id that need not be one, or be here.
func reaches(ctx context.Context, st *store, head hash, id string) (bool, error) {
	ancestor := plumbing.NewHash(id)
	if !plumbing.IsHash(id) || !st.has(ancestor) {
		return false, nil
	}
	return descends(ctx, st, head, ancestor)
}
