package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// app is one run of the program: its streams and what the global flags said.
type app struct {
	std      streams
	lookup   func() []string // the environment, as os.Environ
	config   string          // --config
	output   string          // --output: text or json
	logLevel string          // --log-level
	given    map[string]*settingFlag
	hangups  chan os.Signal // SIGHUP, for the agent
	flags    *pflag.FlagSet // the settings among the flags, to ask which were given
	bar      atomic.Pointer[progress]
}

func newApp(std streams) *app {
	return &app{std: std, lookup: os.Environ, given: map[string]*settingFlag{}, hangups: make(chan os.Signal, 1)}
}

// root builds the command tree.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "seedtree",
		Short: "Keep the same files at every site, with git and BitTorrent",
		Long: `seedtree keeps a tree of files the same at many sites. One site is main; its
files are the truth. Git holds one small .torrent per file and names main;
BitTorrent moves the bytes. Adding files, rolling back and moving main are commits.`,
		Example: `  seedtree demo                                  see a whole fleet work on this machine
  seedtree init --site oslo --catalog /srv/catalog.git --tree photos=/mnt/photos
  seedtree build                                 at main: source files to commit
  seedtree agent                                 everywhere: keep this site in step`,
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		PersistentPreRunE:          func(cmd *cobra.Command, _ []string) error { return a.prepare(cmd) },
	}
	root.SetIn(a.std.in)
	root.SetOut(a.std.out)
	root.SetErr(a.std.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return withHint(err, "%s --help", cmd.CommandPath())
	})
	a.globalFlags(root)
	root.AddCommand(a.verbs()...)
	root.AddCommand(a.configTopic())
	return root
}

// verbs lists every command of the program, in the order of a site's life.
func (a *app) verbs() []*cobra.Command {
	return []*cobra.Command{
		a.initCommand(), a.buildCommand(), a.planCommand(), a.syncCommand(), a.agentCommand(), a.promoteCommand(), a.rollbackCommand(), a.approveCommand(), a.statusCommand(), a.trashCommand(), a.trackerCommand(), a.healthcheckCommand(), a.demoCommand(),
		a.versionCommand(),
	}
}

func (a *app) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&a.config, "config", "", "configuration `file` (default: the first of "+
		"$XDG_CONFIG_HOME/seedtree/config.yaml, /etc/seedtree/config.yaml)")
	f.StringVarP(&a.output, "output", "o", "text", "`format` of what goes to standard output: text or json")
	f.StringVar(&a.logLevel, "log-level", "", "debug, info, warn or error (default: info for agent and tracker, else warn)")
	for _, s := range new(Config).settings() {
		if s.refused() {
			continue // the file may name it and is told; no flag does
		}
		v := &settingFlag{repeats: s.one == nil}
		a.given[s.key] = v
		f.Var(v, s.flagName(), s.help)
		f.Lookup(s.flagName()).Hidden = !s.common
	}
	a.flags = f
}

// settingFlag holds what a flag said of one setting until the configuration is
// put together. A list or a map is given item by item, each as it stands: the
// name of a folder may well have a comma in it.
type settingFlag struct {
	items   []string
	repeats bool
}

// Set keeps the text.
func (s *settingFlag) Set(text string) error {
	if !s.repeats {
		s.items = nil
	}
	s.items = append(s.items, text)
	return nil
}

// String returns the text given so far.
func (s *settingFlag) String() string { return strings.Join(s.items, ",") }

// Type names the value in help texts.
func (s *settingFlag) Type() string { return "value" }

// prepare runs before every verb: the variables that stand for global flags
// are taken over, and the flags every verb shares are checked.
func (a *app) prepare(cmd *cobra.Command) error {
	if cmd.Name() != agentVerb {
		signal.Stop(a.hangups)
	}
	if err := a.checkEnvironment(); err != nil {
		return err
	}
	for name, env := range map[string]string{"config": "SEEDTREE_CONFIG", "output": "SEEDTREE_OUTPUT", "log-level": "SEEDTREE_LOG_LEVEL"} {
		if v := a.getenv(env); v != "" && !cmd.Flags().Changed(name) {
			if err := cmd.Flags().Lookup(name).Value.Set(v); err != nil {
				return fmt.Errorf("%s: %w", env, err)
			}
		}
	}
	if a.output != "text" && a.output != "json" {
		return fmt.Errorf("--output %q: want text or json", a.output)
	}
	if _, err := parseLevel(a.logLevel); err != nil {
		return err
	}
	return nil
}
