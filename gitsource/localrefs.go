package gitsource

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"seedtree/internal/durable"
)

// maxSymref is how many references may point at each other.
const maxSymref = 5

// readRefs lists all references of a repository. One that cannot be read has the
// zero id: it is there, and whoever needs it must not take it for unborn.
func readRefs(dir string) (map[string]hash, error) {
	refs, err := packedRefs(dir)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(filepath.Join(dir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // git removes emptied folders
			}
			return err
		}
		if d.IsDir() || strings.HasSuffix(path, ".lock") {
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		id, err := looseRef(dir, filepath.ToSlash(rel), 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // packed meanwhile; the next look sees it
		}
		refs[filepath.ToSlash(rel)] = id
		return err
	})
	return refs, err
}

// looseRef reads a reference's file; garbage reads as zero.
func looseRef(dir, name string, depth int) (hash, error) {
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return hash{}, err
	}
	text := strings.TrimSpace(string(data))
	if target, ok := strings.CutPrefix(text, "ref:"); ok && depth < maxSymref {
		target = strings.TrimSpace(target)
		if !strings.HasPrefix(target, "refs/") || validRefName(target) != nil {
			return hash{}, nil
		}
		return looseRef(dir, target, depth+1)
	}
	if !plumbing.IsHash(text) {
		return hash{}, nil
	}
	return plumbing.NewHash(text), nil
}

// packedRefs reads the file git gathers old references in.
func packedRefs(dir string) (map[string]hash, error) {
	refs := map[string]hash{}
	f, err := os.Open(filepath.Join(dir, "packed-refs"))
	if errors.Is(err, fs.ErrNotExist) {
		return refs, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == '^' {
			continue
		}
		id, name, ok := strings.Cut(line, " ")
		if !ok || !plumbing.IsHash(id) {
			return nil, fmt.Errorf("%s: %w: line %q", f.Name(), ErrRemoteDamaged, line)
		}
		refs[name] = plumbing.NewHash(id)
	}
	return refs, lines.Err()
}

// refLockTries and refLockPause: git holds a reference's lock for milliseconds.
const (
	refLockTries = 100
	refLockPause = 10 * time.Millisecond
)

// moveRef moves a reference under git's lock, <ref>.lock, which becomes the
// reference. The old value is looked at while the lock is held.
func moveRef(ctx context.Context, dir string, u update) error {
	file := filepath.Join(dir, filepath.FromSlash(u.ref))
	lock, err := lockRef(ctx, file+".lock")
	if err != nil {
		return err
	}
	defer os.Remove(lock.Name()) // gone already when all went well
	refs, err := readRefs(dir)
	if err == nil {
		err = u.check(refs[u.ref])
	}
	if err == nil {
		_, err = fmt.Fprintf(lock, "%s\n", u.new)
	}
	err = errors.Join(err, lock.Sync(), lock.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(lock.Name(), file); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(file))
}

func lockRef(ctx context.Context, name string) (*os.File, error) {
	for try := 0; ; try++ {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, fs.ErrNotExist): // the folder was removed as empty meanwhile
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		}
		if try == refLockTries {
			return nil, fmt.Errorf("%w: %s is held by another git; if none runs, a crash left it and it may be removed", ErrMoved, name)
		}
		select {
		case <-time.After(refLockPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// eachInPack hands over every object of a sealed pack of our own.
func eachInPack(base string, do func(hash, plumbing.ObjectType, []byte) error) error {
	p, err := openPack(base)
	if err != nil {
		return err
	}
	defer p.close()
	for _, i := range p.byOffset() {
		o, err := p.read(p.offset(i), maxTree)
		if err == nil {
			err = do(hash(p.id(i)), o.t, o.data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeLoose writes one object file as git does, unless it is there.
func writeLoose(dir string, id hash, t plumbing.ObjectType, data []byte) error {
	name := filepath.Join(dir, id.String()[2:])
	if _, err := os.Lstat(name); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var b bytes.Buffer
	z, err := zlib.NewWriterLevel(&b, zlib.BestSpeed)
	if err != nil {
		return err
	}
	_, err = z.Write(objectHeader(t, len(data)))
	if err == nil {
		_, err = z.Write(data)
	}
	if err := errors.Join(err, z.Close()); err != nil {
		return err
	}
	return durable.WriteFile(name, b.Bytes(), 0o444)
}
