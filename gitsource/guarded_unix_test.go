//go:build unix

package gitsource

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who can write the list of signers can trust anybody; each fault is told once.
func TestSignersThatOthersCanWrite(t *testing.T) {
	t.Parallel()
	c := newCourt(t, SignedAll)
	c.begin()
	top := filepath.Join(c.dir, "top")
	dir := filepath.Join(top, "dir")
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.Chmod(c.dir, 0o755)) // whatever the umask
	name := filepath.Join(dir, "allowed")
	link := filepath.Join(c.dir, "link")
	must(t, os.Rename(c.allowed, name))
	must(t, os.Symlink(name, link))
	for _, p := range []struct {
		name      string
		file      os.FileMode
		dir, top  os.FileMode
		want      string
		configure string
	}{
		{"as it should be", 0o644, 0o755, 0o755, "", name},
		{"in a folder of everybody's, as /tmp is", 0o644, os.ModeSticky | 0o777, 0o755, "", name},
		{"the group's", 0o664, 0o755, 0o755, name + " can be written by others (mode 0664)", name},
		{"everybody's", 0o646, 0o755, 0o755, name + " can be written by others (mode 0646)", name},
		{"its folder", 0o644, 0o775, 0o755, "its folder " + dir + " can be written", name},
		{"the folder above", 0o644, 0o755, 0o757, "its folder " + top + " can be written", name},
		{"behind a link", 0o644, 0o755, 0o757, "its folder " + top + " can be written", link},
	} {
		must(t, os.Chmod(name, p.file))
		must(t, os.Chmod(dir, p.dir))
		must(t, os.Chmod(top, p.top))
		var log bytes.Buffer
		cfg := c.site.cfg
		cfg.Trust.AllowedSignersFile, cfg.Log = p.configure, slog.New(slog.NewTextHandler(&log, nil))
		s := with(t, cfg)
		for range 3 {
			fetched(t, s)
			_, err := s.allowedSigners()
			must(t, err)
		}
		said := strings.Count(log.String(), "others can change who is trusted")
		if p.want == "" && said != 0 || p.want != "" && (said != 1 || !strings.Contains(log.String(), p.want)) {
			t.Errorf("%s: said %d times, want %q: %s", p.name, said, p.want, log.String())
		}
	}
}
