package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/config"

	"seedtree/internal/durable"
	"seedtree/internal/pulse"
)

// local is a repository on this machine. It is read and written directly, under
// git's own locks and in git's own order, so that no git program is needed here
// and any may work in the same repository meanwhile.
type local struct{ path string }

func newLocal(path string) *local { return &local{filepath.Clean(path)} }

// String returns the path as configured.
func (l *local) String() string { return l.path }

// gitDir finds the repository: the path itself, or .git in it.
func (l *local) gitDir() (string, error) {
	if _, err := os.Stat(l.path); err != nil {
		// A drive that is not mounted looks like this; trying later may help.
		return "", fmt.Errorf("%w: %w: %w", ErrUnreachable, ErrNotFound, err)
	}
	for _, dir := range []string{l.path, filepath.Join(l.path, ".git")} {
		if isGitDir(dir) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%s is no git repository: %w", l.path, ErrNotFound)
}

func isGitDir(dir string) bool {
	for _, name := range []string{"HEAD", "objects", "refs"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// settings are the parts of a repository's config that concern us.
type settings struct{ bare bool }

func readSettings(gitDir string) (settings, error) {
	var set settings
	f, err := os.Open(filepath.Join(gitDir, "config"))
	if errors.Is(err, fs.ErrNotExist) {
		return set, nil
	}
	if err != nil {
		return set, err
	}
	defer f.Close()
	cfg := config.New()
	if err := config.NewDecoder(io.LimitReader(f, 1<<20)).Decode(cfg); err != nil {
		return set, fmt.Errorf("%s: %w", f.Name(), err)
	}
	ext := cfg.Section("extensions")
	if v := ext.Option("objectformat"); v != "" && !strings.EqualFold(v, "sha1") {
		return set, fmt.Errorf("%s: %w", gitDir, errSHA256)
	}
	if v := ext.Option("refstorage"); v != "" && !strings.EqualFold(v, "files") {
		return set, fmt.Errorf("%s: references stored as %s are not supported, only as files", gitDir, v)
	}
	set.bare = strings.EqualFold(cfg.Section("core").Option("bare"), "true")
	return set, nil
}

func (l *local) fetch(ctx context.Context, choose chooser, have func(hash) bool, in *incoming) error {
	dir, err := l.gitDir()
	if err != nil {
		return err
	}
	if _, err := readSettings(dir); err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		refs, err := readRefs(dir)
		if err != nil {
			return err
		}
		wants, _, err := choose(heads(refs))
		if err != nil || len(wants) == 0 {
			return err
		}
		err = l.copyObjects(ctx, dir, wants, have, in)
		// A git that repacks meanwhile takes packs away under our hands: look once more.
		if !errors.Is(err, ErrRemoteDamaged) || attempt > 0 {
			return err
		}
		if err := in.reset(); err != nil {
			return err
		}
	}
}

func (l *local) copyObjects(ctx context.Context, dir string, wants []hash, have func(hash) bool, in *incoming) error {
	from := openStore(dir, ErrRemoteDamaged)
	from.beat, from.hash.strict = in.beat, true
	defer from.Close()
	w := &walker{ctx: ctx, from: from, have: have, seen: map[hash]bool{}, commits: wants}
	objects, err := w.run()
	if err != nil {
		return err
	}
	return in.build(func(p *packWriter) error {
		for _, o := range objects {
			if err := ctx.Err(); err != nil {
				return err
			}
			data, err := from.readUpTo(o.id, o.t, in.lim.object)
			if err != nil {
				return err
			}
			if err := p.add(o.id, o.t, data); err != nil {
				return err
			}
			if p.offset > uint64(in.lim.pack) {
				return fmt.Errorf("%w: more than %d bytes to fetch", ErrTooLarge, in.lim.pack)
			}
		}
		return nil
	})
}

func (l *local) push(ctx context.Context, u update) error {
	dir, err := l.gitDir()
	if err != nil {
		return err
	}
	set, err := readSettings(dir)
	if err != nil {
		return err
	}
	if !set.bare {
		return fmt.Errorf("%w: %s has a work tree; push to a bare repository", ErrRefused, l.path)
	}
	if err := refuseHooks(dir); err != nil {
		return err
	}
	refs, err := readRefs(dir)
	if err != nil {
		return err
	}
	if refs[u.ref] == u.new {
		return nil
	}
	if err := u.check(refs[u.ref]); err != nil {
		return err
	}
	if err := refConflict(refs, u.ref); err != nil {
		return err
	}
	if err := storeObjects(ctx, dir, u.pack); err != nil {
		return fmt.Errorf("store objects in %s: %w", l.path, err)
	}
	return moveRef(ctx, dir, u)
}

// check is the comparison in compare-and-swap.
func (u update) check(now hash) error {
	if u.force || now == u.old {
		return nil
	}
	return fmt.Errorf("%w: %s is at %s, not at %s", ErrMoved, u.ref, name(now), name(u.old))
}

func name(id hash) string {
	if id.IsZero() {
		return "nothing"
	}
	return id.String()
}

// refuseHooks keeps us from walking around the owner's rules: these hooks run
// programs that expect git's environment, which is not here.
func refuseHooks(dir string) error {
	for _, hook := range []string{"pre-receive", "update", "reference-transaction"} {
		name := filepath.Join(dir, "hooks", hook)
		if st, err := os.Stat(name); err == nil && st.Mode()&0o111 != 0 {
			return fmt.Errorf("%w: %s has to be asked, which only git can do: push over ssh or https", ErrRefused, name)
		}
	}
	return nil
}

// refConflict: git keeps references as files, so a/b cannot stand beside a.
func refConflict(refs map[string]hash, ref string) error {
	for other := range refs {
		if strings.HasPrefix(other, ref+"/") || strings.HasPrefix(ref, other+"/") {
			return fmt.Errorf("%w: %s cannot stand beside %s", ErrRefused, ref, other)
		}
	}
	return nil
}

// looseLimit is git's own receive.unpackLimit: fewer objects come as single files,
// so that small pushes do not leave thousands of packs.
const looseLimit = 100

func storeObjects(ctx context.Context, dir string, p packSource) error {
	if p.count >= looseLimit {
		return storePack(dir, p, pulse.Of(ctx))
	}
	return storeLoose(ctx, dir, p)
}

// storePack copies a pack, index first: git and we look for the pack's index and
// then for the pack, or for the pack and then its index; the pair appears with the pack.
func storePack(dir string, p packSource, beat func()) error {
	packs := filepath.Join(dir, "objects", "pack")
	var temps []string
	for _, suffix := range []string{".idx", ".pack"} {
		f, err := os.CreateTemp(packs, "tmp_"+suffix[1:]+"_")
		if err != nil {
			return err
		}
		defer os.Remove(f.Name())
		src, err := os.Open(p.base + suffix)
		if err == nil {
			err = pulse.Copy(f, src, math.MaxInt64, beat)
			_ = src.Close()
		}
		if err := errors.Join(err, pulse.WriteBack(f, beat), f.Chmod(0o444), f.Sync(), f.Close()); err != nil {
			return err
		}
		temps = append(temps, f.Name())
	}
	for i, suffix := range []string{".idx", ".pack"} {
		if err := os.Rename(temps[i], filepath.Join(packs, filepath.Base(p.base)+suffix)); err != nil {
			return err
		}
	}
	return durable.SyncDir(packs)
}

// storeLoose writes a pack's objects as single files.
func storeLoose(ctx context.Context, dir string, p packSource) error {
	beat := pulse.Of(ctx)
	dirs := map[string]bool{filepath.Join(dir, "objects"): true}
	err := eachInPack(p.base, func(id hash, t plumbing.ObjectType, data []byte) error {
		beat()
		if err := ctx.Err(); err != nil {
			return err
		}
		sub := filepath.Join(dir, "objects", id.String()[:2])
		dirs[sub] = true
		return writeLoose(sub, id, t, data)
	})
	if err != nil {
		return err
	}
	for d := range dirs {
		if err := durable.SyncDir(d); err != nil {
			return err
		}
	}
	return nil
}
