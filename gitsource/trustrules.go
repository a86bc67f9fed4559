package gitsource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"seedtree/internal/signature"
	"seedtree/manifests"
)

// judgement looks at one head. Commits that an anchor reaches were accepted before;
// the others are the range.
type judgement struct {
	ctx     context.Context
	st      *store
	head    hash
	anchors []hash
	tip     hash      // the anchor that was accepted last, if it is one
	dated   time.Time // what that counts as of
	allowed *signature.Allowed
	mode    Signatures
	now     time.Time

	commits map[hash]*commitObject // the range
	order   []hash                 // the same, parents before children
	dates   map[hash]time.Time     // of the range, and of what it stands on
}

// run decides.
//
// Under SignedAll each commit of the range must be signed, and do nothing to any
// of its parents that its signer's role does not allow; then neither does their
// sum.
//
// Under SignedHead the head must be signed. An admin answers for everything that
// came before. A site answers for torrents/ alone, so the rest of the tree must
// be what was accepted before or what an admin signed: going back from the head,
// along all parents, it must stay the same until there.
func (j *judgement) run() error {
	if err := j.gather(); err != nil {
		return err
	}
	if j.mode == SignedAll {
		for _, id := range j.order {
			signer, err := j.verify(id)
			if err == nil {
				err = j.permit(id, signer)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if j.commits[j.head] == nil {
		// Only the operator's trusted revision, or what it reaches, can be this.
		return nil
	}
	signer, err := j.verify(j.head)
	if err != nil || isAdmin(signer) {
		return err
	}
	if err := j.permit(j.head, signer); err != nil {
		return err
	}
	return j.vouched(signer)
}

// fail blames a commit.
func (j *judgement) fail(id hash, signer signature.Signer, format string, args ...any) error {
	e := &UntrustedError{Revision: j.head.String(), Commit: id.String(), Rule: fmt.Sprintf(format, args...)}
	if signer.Key != "" {
		e.Signer = signer.String()
	}
	return e
}

// verify finds out who signed a commit of the range.
func (j *judgement) verify(id hash) (signer signature.Signer, err error) {
	if err := j.ctx.Err(); err != nil {
		return signer, err
	}
	data, err := j.st.read(id, commitType)
	if err != nil {
		return signer, err
	}
	payload, armored, err := splitCommit(data)
	at := j.dates[id]
	switch {
	case err != nil:
		return signer, j.fail(id, signer, "%v", err)
	case armored == nil:
		return signer, j.fail(id, signer, "not signed")
	case at.Sub(j.now) > maxAhead:
		return signer, j.fail(id, signer, "it, or one before it, is dated %s, in the future by this machine's clock", at.UTC().Format(time.RFC3339))
	}
	if signer, err = j.allowed.Verify(payload, armored, at); err != nil {
		signer.Principals = nil
		return signer, j.fail(id, signer, "%v", err)
	}
	return signer, nil
}

// permit holds what a commit does to each of its parents against its signer's role.
func (j *judgement) permit(id hash, signer signature.Signer) error {
	if isAdmin(signer) {
		return nil
	}
	c := j.commits[id]
	if len(c.parents) == 0 {
		return j.fail(id, signer, ruleFirst)
	}
	for _, p := range c.parents {
		parent, err := j.commit(p)
		if err != nil {
			return err
		}
		name, err := j.st.elsewhere(parent.tree, c.tree)
		if err != nil {
			return err
		}
		if name != "" {
			return j.fail(id, signer, "%s", ruleElsewhere(name))
		}
		rule, err := j.st.mayBuild(signer, p, parent.tree)
		if err != nil {
			return err
		}
		if rule != "" {
			return j.fail(id, signer, "%s", rule)
		}
	}
	return nil
}

// vouched goes back from a head that a site signed until somebody who may change
// the manifest has answered for it, on every way.
func (j *judgement) vouched(signer signature.Signer) error {
	seen := map[hash]bool{j.head: true}
	for queue := []hash{j.head}; len(queue) > 0; queue = queue[1:] {
		id := queue[0]
		c := j.commits[id]
		if c == nil {
			continue // accepted before
		}
		if id != j.head {
			s, err := j.verify(id)
			if err == nil && isAdmin(s) {
				continue
			}
			if err != nil && !errors.Is(err, ErrUntrusted) {
				return err
			}
		}
		if len(c.parents) == 0 {
			return j.fail(id, signature.Signer{}, "begins the history, and no admin signed it or one after it")
		}
		for _, p := range c.parents {
			parent, err := j.commit(p)
			if err != nil {
				return err
			}
			name, err := j.st.elsewhere(parent.tree, c.tree)
			if err != nil {
				return err
			}
			if name != "" {
				return j.fail(id, signature.Signer{}, "changes %s, and no admin signed it or one after it (the head is %s's)", name, signer)
			}
			if !seen[p] {
				seen[p] = true
				queue = append(queue, p)
			}
		}
	}
	return nil
}

// commit reads one of the range or of what it stands on.
func (j *judgement) commit(id hash) (*commitObject, error) {
	if c := j.commits[id]; c != nil {
		return c, nil
	}
	return j.st.commit(id)
}

// elsewhere names an entry at the top of two trees that differs and is not torrents/.
// A torrents that is no directory counts as well.
func (s *store) elsewhere(before, after hash) (string, error) {
	if before == after {
		return "", nil
	}
	old, err := s.tree(before)
	if err != nil {
		return "", err
	}
	next, err := s.tree(after)
	if err != nil {
		return "", err
	}
	old, next = rest(old), rest(next)
	for i := range max(len(old), len(next)) {
		switch {
		case i >= len(next):
			return old[i].name, nil
		case i >= len(old) || old[i] != next[i]:
			return next[i].name, nil
		}
	}
	return "", nil
}

// rest is a tree without its directory torrents.
func rest(entries []treeEntry) []treeEntry {
	out := make([]treeEntry, 0, len(entries))
	for _, e := range entries {
		if !e.isDir() || e.name != manifests.CatalogDir {
			out = append(out, e)
		}
	}
	return out
}

// mayBuild returns the rule that keeps a site's key from changing torrents/ on top
// of a commit, "" if none does.
func (s *store) mayBuild(signer signature.Signer, parent, tree hash) (string, error) {
	e, err := s.lookup(tree, manifestName)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", err
	}
	var m *manifests.Manifest
	if err == nil {
		var data []byte
		if data, err = s.blob(e.id, maxManifest); err != nil {
			return "", err
		}
		m, err = manifests.ParseManifest(data)
	}
	switch {
	case err != nil:
		return fmt.Sprintf("the manifest of its parent %.12s names no main: %v", parent, err), nil
	case signer.Acts(siteRole + m.Main):
		return "", nil
	}
	return fmt.Sprintf("a site may change %s/ only while it is main, and in its parent %.12s main is %s", manifests.CatalogDir, parent, m.Main), nil
}
