package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// versionInfo is what `seedtree version` prints.
type versionInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// thisVersion asks the binary itself: the go command recorded it while building.
func thisVersion() versionInfo {
	v := versionInfo{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Example: "  seedtree version -o json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := thisVersion()
			return a.emit(v, func(w io.Writer) {
				fmt.Fprintf(w, "seedtree %s %s %s\n", v.Version, v.Go, v.Platform)
			})
		},
	}
}

// configExample ends the topic: how the dotted keys look in the file.
const configExample = `
For example, with the built-in client:

site: lima
trees:
  photos: /srv/photos
state: /var/lib/seedtree
schedule:
  sync: "@every 1m"
catalog:
  urls:
    - ssh://git@git.example/srv/catalog.git
  ssh:
    keyFile: /etc/seedtree/key
    knownHostsFile: /etc/seedtree/known_hosts
engine:
  embedded:
    listen: ":42069"
    upload: 2MB
`

// configTopic is `seedtree help config`: every setting with its flag and variable.
func (a *app) configTopic() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "The configuration file, its keys, flags and variables",
	}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		w := cmd.OutOrStdout()
		fmt.Fprint(w, "A setting is taken from its flag, else its variable, else the configuration file, else its default.\n"+
			"The file is --config, else the first that exists of $XDG_CONFIG_HOME/seedtree/config.yaml\n"+
			"and /etc/seedtree/config.yaml. Unknown keys and variables are errors. Secrets are given\n"+
			"as files, which are read again at each use.\n\n")
		t := table{head: []string{"KEY", "FLAG", "VARIABLE"}}
		for _, s := range new(Config).settings() {
			if !s.refused() {
				t.add(s.key, "--"+s.flagName(), s.variable())
			}
		}
		t.write(w)
		fmt.Fprint(w, "\nA flag that takes a list or a map, of NAME=VALUE, is given once for each item. In a\nvariable commas separate the items, and \\, is a comma in one.\n\n")
		m := table{head: []string{"KEY", "MEANING"}}
		for _, s := range new(Config).settings() {
			if !s.refused() {
				m.add(s.key, strings.ReplaceAll(s.help, "`", ""))
			}
		}
		m.write(w)
		fmt.Fprint(w, configExample)
	})
	return cmd
}
