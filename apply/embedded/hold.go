package embedded

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"seedtree/apply"
	"seedtree/internal/pulse"
	"seedtree/manifests"
)

const (
	lookAgain  = 2 * time.Second        // a file is compared with its stamp at most that often
	lookBudget = 100 * time.Millisecond // per List, for files that were looked at before
)

// List implements apply.Engine. On the way it compares files with what they
// were when they were handed over, as many as fit into a tenth of a second.
func (e *Engine) List(ctx context.Context) ([]apply.Torrent, error) {
	if err := e.lookAround(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return nil, errClosed
	}
	list := make([]apply.Torrent, 0, len(e.entries))
	for _, en := range e.entries {
		t := en.report()
		if en.loaded != nil && en.fetch != nil {
			_, t.Left = en.loaded.d.progress()
			if t.Left == 0 { // the worker has not heard yet
				t.Left = 1
			}
		}
		list = append(list, t)
	}
	return list, nil
}

// lookAround finds complete files that changed. Those never looked at since
// the engine was opened come first and do not count against the budget.
func (e *Engine) lookAround(ctx context.Context) error {
	type view struct {
		en         *entry
		root, path string
		seal       stamp
		first      bool
	}
	now := time.Now()
	var todo, again []view
	e.mu.Lock()
	for _, en := range e.entries {
		switch v := (view{en, en.root, en.path, en.stamp, en.looked.IsZero()}); {
		case en.fetch != nil:
		case v.first:
			todo = append(todo, v)
		case now.Sub(en.looked) > lookAgain:
			again = append(again, v)
		}
	}
	e.mu.Unlock()
	todo = append(todo, again...)
	var gone []*entry
	var stopped outOfOrder
	defer func() { stopped.log(e.log) }()
	beat := pulse.Of(ctx)
	for _, v := range todo {
		beat()
		if err := ctx.Err(); err != nil {
			return err
		}
		if !v.first && time.Since(now) > lookBudget {
			break
		}
		err := compare(v.root, v.path, v.seal)
		e.mu.Lock()
		if v.en.root == v.root && v.en.stamp.equal(v.seal) && v.en.fetch == nil {
			v.en.looked = now
			if err != nil {
				if e.changed(v.en, err) {
					stopped.add(v.root, v.path, err)
				}
				gone = append(gone, v.en)
			}
		}
		e.mu.Unlock()
	}
	e.loading.Lock()
	defer e.loading.Unlock()
	for _, en := range gone {
		e.drop(en)
	}
	return nil
}

// outOfOrder counts the files that one look finds changed: an unmounted drive
// is one line in the log, not one for each of its files.
type outOfOrder struct {
	files      int
	root, path string // of the first
	err        error
}

func (o *outOfOrder) add(root, path string, err error) {
	if o.files++; o.files == 1 {
		o.root, o.path, o.err = root, path, err
	}
}

func (o *outOfOrder) log(log *slog.Logger) {
	if o.files > 0 {
		log.Warn("files changed behind our back, not serving them", "files", o.files, "first", o.path, "root", o.root, "error", o.err)
	}
}

// compare says what is wrong with a file that should look as it did.
func compare(root, path string, seal stamp) error {
	now, err := look(root, path)
	if err == nil && !now.equal(seal) {
		err = fmt.Errorf("%s: %w", filepath.Join(root, path), errChanged)
	}
	return err
}

// Add implements apply.Engine.
func (e *Engine) Add(ctx context.Context, additions []apply.Addition) error {
	var errs []error
	var fresh []*entry
	var infos [][]byte
	seen := map[manifests.InfoHash]bool{}
	beat := pulse.Of(ctx)
	for _, a := range additions {
		beat()
		if err := ctx.Err(); err != nil {
			return err
		}
		if seen[a.Entry.InfoHash] || e.held(a) {
			continue
		}
		en, info, err := e.examine(a)
		if err != nil {
			errs = append(errs, &apply.EngineError{InfoHash: a.Entry.InfoHash, Op: "add", Err: err})
			continue
		}
		seen[en.hash] = true
		fresh, infos = append(fresh, en), append(infos, info)
	}
	if err := e.take(fresh, infos, beat); err != nil {
		for _, en := range fresh {
			errs = append(errs, &apply.EngineError{InfoHash: en.hash, Op: "add", Err: err})
		}
	} else if err := e.tidy(beat); err != nil {
		e.log.Warn("the session log keeps its history", "error", err)
	}
	return errors.Join(errs...)
}

// held reports whether the torrent is held as it is handed over. Its trackers
// and peers are brought up to date. One that is stopped, or that lacks pieces
// our own code has found in the meantime, is taken anew.
func (e *Engine) held(a apply.Addition) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	en := e.entries[a.Entry.InfoHash]
	if en == nil || en.root != a.Root || en.problem != "" {
		return false
	}
	if en.fetch != nil && bitfield(a.Have).full(en.length, en.pieceLength) {
		return false
	}
	if sw := e.swarms.get(a.Trackers, a.Peers); sw != en.swarm {
		e.rejoin(en, sw)
		if _, err := e.session.append([]packer{packSwarm(sw), packRejoin(en)}, false); err != nil {
			e.log.Warn("cannot note new trackers", "error", err)
		}
	}
	return true
}

// examine checks an addition; nothing that it has not passed reaches the library.
func (e *Engine) examine(a apply.Addition) (*entry, []byte, error) {
	m, err := manifests.DecodeMetainfo(a.Metainfo)
	if err != nil {
		return nil, nil, err
	}
	info, err := infoBytes(a.Metainfo)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case manifests.InfoHash(sha1.Sum(info)) != a.Entry.InfoHash:
		return nil, nil, fmt.Errorf("metainfo is that of %s/%s, not of the entry", m.Tree, m.Path)
	case m.Tree != a.Entry.Tree || m.Path != a.Entry.Path || m.Length != a.Entry.Length:
		return nil, nil, fmt.Errorf("metainfo speaks of %s/%s with %d bytes, the entry of %s with %d",
			m.Tree, m.Path, m.Length, a.Entry.Key(), a.Entry.Length)
	case !filepath.IsAbs(a.Root) || filepath.Clean(a.Root) != a.Root:
		return nil, nil, fmt.Errorf("root %q is not a clean absolute path", a.Root)
	case !filepath.IsLocal(filepath.FromSlash(string(m.Path))):
		return nil, nil, fmt.Errorf("path %q leads out of its tree", m.Path)
	case a.Have != nil && len(a.Have) != len(newBitfield(m.NumPieces())):
		return nil, nil, fmt.Errorf("bitfield has %d bytes for %d pieces", len(a.Have), m.NumPieces())
	}
	en := &entry{hash: a.Entry.InfoHash, path: string(m.Path), length: m.Length, pieceLength: m.PieceLength, readOnly: a.ReadOnly}
	have := newBitfield(m.NumPieces())
	copy(have, a.Have)
	if have.full(m.Length, m.PieceLength) {
		en.fixed, en.looked = true, time.Now()
		if en.stamp, err = look(a.Root, en.path); err == nil && en.stamp.size != en.length {
			err = fmt.Errorf("%s has %d bytes, listed are %d", filepath.Join(a.Root, en.path), en.stamp.size, en.length)
		}
		if err != nil {
			return nil, nil, err
		}
	} else {
		en.fetch = &fetch{have: have, left: have.missing(m.Length, m.PieceLength)}
		if a.ReadOnly {
			en.problem = fmt.Sprintf("%d of %d bytes are missing from a file that must not be written", en.fetch.left, en.length)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	en.root = e.intern(a.Root)
	en.swarm = e.swarms.get(a.Trackers, a.Peers)
	return en, info, nil
}

// infoBytes returns the info dictionary inside a .torrent.
func infoBytes(torrent []byte) ([]byte, error) {
	whole, err := parse(torrent)
	if err != nil {
		return nil, err
	}
	fields, err := whole.dict()
	if err != nil {
		return nil, err
	}
	return fields["info"], nil
}

// take makes the entries held: in the session log first.
func (e *Engine) take(fresh []*entry, infos [][]byte, beat func()) error {
	if len(fresh) == 0 {
		return nil
	}
	e.loading.Lock()
	defer e.loading.Unlock()
	for _, en := range fresh {
		beat()
		e.mu.Lock()
		old := e.entries[en.hash]
		e.mu.Unlock()
		if old != nil {
			e.drop(old)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return errClosed
	}
	var records []packer
	for _, sw := range e.swarms.inUse(fresh) {
		records = append(records, packSwarm(sw))
	}
	head := len(records)
	for i, en := range fresh {
		records = append(records, packAdd(en, infos[i]))
	}
	beat()
	offs, err := e.session.append(records, true)
	beat()
	if err != nil {
		return err
	}
	for i, en := range fresh {
		end := offs[head+i] + int64(len(records[head+i]))
		en.info = span{end - int64(len(infos[i])), int32(len(infos[i]))}
		if old := e.entries[en.hash]; old != nil {
			en.heard = old.heard
		}
		e.entries[en.hash] = en
		e.enqueue(en)
		if en.seedable() {
			e.announcer.seed(en)
		}
	}
	e.poke()
	return nil
}

// Move implements apply.Engine.
func (e *Engine) Move(_ context.Context, h manifests.InfoHash, root string) error {
	if err := e.move(h, root); err != nil {
		return &apply.EngineError{InfoHash: h, Op: "move", Err: err}
	}
	return nil
}

func (e *Engine) move(h manifests.InfoHash, root string) error {
	e.mu.Lock()
	en := e.entries[h]
	e.mu.Unlock()
	if en == nil {
		return errors.New("no such torrent is held")
	}
	now, err := look(root, en.path)
	if err == nil && now.size != en.length {
		err = fmt.Errorf("%s has %d bytes, listed are %d", filepath.Join(root, en.path), now.size, en.length)
	}
	if err != nil {
		return err
	}
	e.loading.Lock()
	defer e.loading.Unlock()
	e.drop(en)
	e.mu.Lock()
	defer e.mu.Unlock()
	en.root, en.stamp, en.looked = e.intern(root), now, time.Now()
	en.fixed, en.readOnly, en.problem = true, true, ""
	switch {
	case en.fetch != nil && en.fetch.touched:
		en.fetch = nil // whoever moves a file gives it its listed time first
	case en.fetch != nil: // it was never complete as far as we know: look
		en.fetch = &fetch{left: en.length, unchecked: true}
		e.enqueue(en)
		e.poke()
	}
	_, err = e.session.append([]packer{packStamped(recordMove, en)}, false)
	return err
}

// Remove implements apply.Engine.
func (e *Engine) Remove(ctx context.Context, hashes []manifests.InfoHash) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.loading.Lock()
	defer e.loading.Unlock()
	var records []packer
	beat := pulse.Of(ctx)
	for _, h := range hashes {
		beat()
		e.mu.Lock()
		en := e.entries[h]
		e.mu.Unlock()
		if en == nil {
			continue
		}
		e.drop(en)
		e.mu.Lock()
		delete(e.entries, h)
		e.mu.Unlock()
		e.announcer.gone(en)
		records = append(records, packRemove(h))
	}
	if _, err := e.session.append(records, false); err != nil {
		return err
	}
	return e.tidy(beat)
}
