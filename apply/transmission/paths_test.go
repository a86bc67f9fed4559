package transmission

import (
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPathMap(t *testing.T) {
	pm, err := newPathMap(map[string]string{"/mnt/disk1": "/data", "/mnt/disk1/photos": "/pictures/", "/srv/": "/"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ local, client string }{
		{"/mnt/disk1", "/data"},
		{"/mnt/disk1/music", "/data/music"},
		{"/mnt/disk1/photos", "/pictures"},
		{"/mnt/disk1/photos/2019", "/pictures/2019"},
		{"/mnt/disk1/photos2", "/data/photos2"},
		{"/srv/x", "/x"},
	} {
		if got, err := pm.toClient(c.local); err != nil || got != c.client {
			t.Errorf("toClient(%q) = %q, %v; want %q", c.local, got, err, c.client)
		}
		if got := pm.toLocal(c.client); got != c.local {
			t.Errorf("toLocal(%q) = %q, want %q", c.client, got, c.local)
		}
	}
	for _, outside := range []string{"/mnt/disk10", "/mnt", "/", "relative", "/mnt/disk1/\xff"} {
		if got, err := pm.toClient(outside); err == nil {
			t.Errorf("toClient(%q) = %q, want an error", outside, got)
		}
	}
	// What the client sees there, this machine sees as /pictures.
	if got := pm.toLocal("/data/photos/2019"); got != "/srv/data/photos/2019" && got != "" {
		t.Errorf("toLocal of a hidden place gives %q", got)
	}
	for _, bad := range []map[string]string{{"a": "/b"}, {"/a": "b"}, {"/a": "/c", "/b": "/c/"}} {
		if _, err := newPathMap(bad); err == nil {
			t.Errorf("accepted %v", bad)
		}
	}
}

// Whatever the map: a place that a local directory maps to leads back to it, or
// nowhere, and never to another.
func TestPathMapIsInvertible(t *testing.T) {
	dir := rapid.Custom(func(t *rapid.T) string {
		return "/" + path.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab"}), 0, 4).Draw(t, "components")...)
	})
	rapid.Check(t, func(t *rapid.T) {
		pm, err := newPathMap(rapid.MapOfN(dir, dir, 0, 4).Draw(t, "map"))
		if err != nil {
			t.Skip(err)
		}
		client := dir.Draw(t, "client")
		local := pm.toLocal(client)
		if local == "" {
			return
		}
		back, err := pm.toClient(local)
		if err != nil || back != client || strings.Contains(local, "//") {
			t.Fatalf("client %q is local %q, which is client %q (%v)", client, local, back, err)
		}
	})
}
