package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"seedtree/internal/durable"
	"seedtree/manifests"
)

// mountsName is the file in the state folder that says in which folders of the
// sources drives were mounted at the last build: a quoted tree/path in each line.
const mountsName = "mounts"

// loadMounts reads what saveMounts wrote; nothing when nothing was.
func loadMounts(state string) ([]manifests.Key, error) {
	name := filepath.Join(state, mountsName)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []manifests.Key
	for line := range strings.Lines(string(data)) {
		text, err := strconv.Unquote(strings.TrimSuffix(line, "\n"))
		tree, path, _ := strings.Cut(text, "/")
		p, err2 := manifests.ParsePath(path)
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w (it says which drives belong inside the sources: see that they are mounted, then remove it)", name, len(all)+1, err)
		}
		all = append(all, manifests.Key{Tree: tree, Path: p})
	}
	return all, nil
}

// saveMounts remembers where drives are mounted. Most sites have none.
func saveMounts(state string, mounts []manifests.Key) error {
	var text bytes.Buffer
	for _, k := range mounts {
		fmt.Fprintln(&text, strconv.QuoteToASCII(k.String()))
	}
	name := filepath.Join(state, mountsName)
	switch before, err := os.ReadFile(name); {
	case err == nil && bytes.Equal(before, text.Bytes()), errors.Is(err, fs.ErrNotExist) && len(mounts) == 0:
		return nil
	}
	return durable.WriteFile(name, text.Bytes(), 0o644)
}
