package transmission

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// pathMap translates directories of this machine into those that the client
// sees, which may run in a container with other mounts, and back. Without
// entries both see the same.
type pathMap []struct{ local, client string }

func newPathMap(m map[string]string) (pathMap, error) {
	var pm pathMap
	taken := map[string]string{}
	for local, client := range m {
		if !path.IsAbs(local) || !path.IsAbs(client) {
			return nil, fmt.Errorf("path map %q: %q: both sides must be absolute", local, client)
		}
		local, client = path.Clean(local), path.Clean(client)
		if other, twice := taken[client]; twice {
			return nil, fmt.Errorf("path map: %q and %q are both %q for the client", other, local, client)
		}
		taken[client] = local
		pm = append(pm, struct{ local, client string }{local, client})
	}
	// The longest local prefix wins, as with mounts.
	slices.SortFunc(pm, func(a, b struct{ local, client string }) int { return len(b.local) - len(a.local) })
	return pm, nil
}

// toClient returns where the client sees a local directory.
func (pm pathMap) toClient(local string) (string, error) {
	if !path.IsAbs(local) {
		return "", fmt.Errorf("%q is not absolute", local)
	}
	if !utf8.ValidString(local) {
		return "", fmt.Errorf("%q is not valid UTF-8, which Transmission's RPC cannot carry", local)
	}
	local = path.Clean(local)
	for _, e := range pm {
		if rest, ok := below(local, e.local); ok {
			return path.Join(e.client, rest), nil
		}
	}
	if len(pm) > 0 {
		return "", fmt.Errorf("the path map has no entry for %s", local)
	}
	return local, nil
}

// toLocal is the inverse; "" when no local directory maps there.
func (pm pathMap) toLocal(client string) string {
	client = path.Clean(client)
	if len(pm) == 0 {
		return client
	}
	for _, e := range pm {
		rest, ok := below(client, e.client)
		if !ok {
			continue
		}
		local := path.Join(e.local, rest)
		// Nested entries can claim the same place; only the one that
		// leads back is the inverse.
		if back, err := pm.toClient(local); err == nil && back == client {
			return local
		}
	}
	return ""
}

// below cuts a directory prefix, at a slash.
func below(p, prefix string) (rest string, ok bool) {
	if prefix == "/" {
		return strings.CutPrefix(p, "/")
	}
	rest, ok = strings.CutPrefix(p, prefix)
	return rest, ok && (rest == "" || rest[0] == '/')
}
