package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// snapshot describes everything below some folders. Directories are in it with
// their times: they tell of files that came and went.
func snapshot(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			text := info.Mode().String() + " " + info.ModTime().String()
			if info.Mode().IsRegular() {
				data, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				text += " " + string(data)
			}
			all[path] = text
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// On most nights nothing changed. Then a build writes nothing, nowhere: not
// even a file that is gone afterwards, which would wake a sleeping disk.
func TestUnchangedBuildWritesNothing(t *testing.T) {
	s := newLoneSite(t)
	s.run(t, "build", "--config", s.config) // fetches what the first one pushed
	before := snapshot(t, s.dir)
	s.run(t, "build", "--config", s.config)
	s.run(t, "build", "--config", s.config, "--dry-run")
	after := snapshot(t, s.dir)
	for path := range after {
		if after[path] != before[path] {
			t.Errorf("%s:\n%.200q, before:\n%.200q", path, after[path], before[path])
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files and folders, before %d", len(after), len(before))
	}
}
