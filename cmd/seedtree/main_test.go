package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"seedtree": main})
}

// TestScripts runs every script of testdata/script over the real main, each in
// an empty directory of its own, with no configuration and no variables of ours.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			env.Setenv("HOME", home)
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
			env.Setenv("XDG_STATE_HOME", filepath.Join(home, ".state"))
			peers, err := freePorts(2)
			if err != nil {
				return err
			}
			env.Setenv("PEER_A", peers[0])
			env.Setenv("PEER_B", peers[1])
			return os.MkdirAll(home, 0o755)
		},
		Cmds: scriptCommands(),
	})
}
