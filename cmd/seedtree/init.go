package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	"seedtree/apply"
	"seedtree/gitsource"
	"seedtree/manifests"
)

// initializer is one run of `seedtree init`.
type initializer struct {
	*app
	trackers []string
	peer     string
	path     string // the configuration file
	cfg      *Config
	files    *apply.Site
	done     initResult
}

// initResult is what `seedtree init` prints.
type initResult struct {
	Config   string            `json:"config"`
	Catalog  string            `json:"catalog"`
	Site     string            `json:"site"`
	Main     string            `json:"main"`
	Revision string            `json:"revision"`
	Created  []string          `json:"created"` // config, repository, catalog, site, markers
	Trees    map[string]string `json:"trees"`   // tree to its marker's role
}

func (a *app) initCommand() *cobra.Command {
	in := &initializer{app: a}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a catalog or join one, and write this site's configuration",
		Long: `Makes a new catalog (a path that does not exist yet becomes a bare repository; an
empty remote gets its first commit) with this site as main, or joins the catalog that
is there. Then writes this site's configuration and marks its tree roots, so that an
unmounted drive is never mistaken for an empty one. Asks for what is missing when run
on a terminal. Never overwrites anything: run again, it only adds missing markers.`,
		Example: `  seedtree init --site oslo --catalog /srv/catalog.git --tree photos=/mnt/photos \
      --tracker http://oslo.example:6969/announce --peer oslo.example:42069
  seedtree init --site lima --catalog ssh://git@git.example/catalog.git --tree photos=/mnt/disk1/photos`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.run(cmd.Context()) },
	}
	cmd.Flags().StringArrayVar(&in.trackers, "tracker", nil, "announce `URL` for a new catalog's manifest; repeatable")
	cmd.Flags().StringVar(&in.peer, "peer", "", "`HOST:PORT` at which other sites reach this one's client, for the manifest")
	return cmd
}

func (in *initializer) run(ctx context.Context) error {
	fresh, err := in.configure()
	if err != nil {
		return err
	}
	in.files, err = openSite(in.cfg, noEngine{}, in.logger(slog.LevelWarn))
	if err != nil {
		return err
	}
	defer in.files.Close()
	if err := in.checkRoots(); err != nil {
		return err
	}
	src, err := in.catalog()
	if err != nil {
		return err
	}
	defer src.Close()
	head, err := in.join(ctx, src)
	if err != nil {
		return err
	}
	if fresh != "" {
		if err := writeNew(in.path, fresh); err != nil {
			return fmt.Errorf("configuration: %w", err)
		}
		in.created("config")
	}
	if err := in.mark(ctx, head); err != nil {
		return err
	}
	in.done.Config, in.done.Site, in.done.Catalog, in.done.Revision = in.path, in.cfg.Site, in.cfg.Catalog.URLs[0], head.ID()
	return in.emit(in.done, in.summary)
}

func (in *initializer) created(what string) { in.done.Created = append(in.done.Created, what) }

// configure loads the configuration that exists, or puts a new one together
// and returns its text.
func (in *initializer) configure() (fresh string, err error) {
	in.path, err = in.findConfig()
	if err != nil {
		return "", err
	}
	if in.path == "" {
		paths := configPaths(in.getenv)
		in.path = paths[0]
		if os.Geteuid() == 0 && in.getenv("XDG_CONFIG_HOME") == "" {
			in.path = paths[1]
		}
	}
	if _, err := os.Stat(in.path); err == nil {
		return "", in.existing()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("configuration: %w", err)
	}
	c := defaults(in.getenv)
	settings := c.settings()
	values, err := in.values(settings)
	if err != nil {
		return "", err
	}
	if err := in.ask(settings, values); err != nil {
		return "", err
	}
	if _, ok := values["state"]; !ok {
		values["state"] = shaped{one: c.State}
	}
	for _, s := range settings {
		if v, ok := values[s.key]; ok {
			if err := s.set(v); err != nil {
				return "", fmt.Errorf("--%s: %w", s.flagName(), err)
			}
		}
	}
	in.cfg = c
	return configText(settings, values), c.check()
}

// existing takes over the configuration that is there, and refuses flags that
// say something else: they would hold for this run only.
func (in *initializer) existing() error {
	with, err := in.site(needSite, needCatalog, needTrees)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(in.path)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	alone := defaults(in.getenv)
	if err := readConfigFile(in.path, data, alone.settings()); err != nil {
		return err
	}
	alone.Path = with.Path
	if !reflect.DeepEqual(alone, with) {
		return withHint(fmt.Errorf("%s exists and says something else than the flags and variables given; init never overwrites", in.path), "edit %s", in.path)
	}
	in.cfg = with
	return nil
}

// values collects what flags and variables say, flags first.
func (in *initializer) values(settings []setting) (map[string]shaped, error) {
	values := map[string]shaped{}
	for _, s := range settings {
		if s.refused() {
			continue
		}
		text, flag := in.getenv(s.variable()), in.given[s.key]
		if in.flags.Changed(s.flagName()) {
			text = flag.String()
		}
		if text == "" {
			continue
		}
		v, err := s.parse(text)
		if in.flags.Changed(s.flagName()) {
			v, err = s.shape(flag.items)
		}
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", s.flagName(), err)
		}
		values[s.key] = v
	}
	return values, nil
}

// checkRoots wants every tree root to be there, for making it would hide that
// a drive is not mounted, and to be nobody else's.
func (in *initializer) checkRoots() error {
	for _, tree := range sortedKeys(in.cfg.Trees) {
		root := in.cfg.Trees[tree]
		info, err := os.Stat(root)
		if err == nil && !info.IsDir() {
			err = errors.New("not a directory")
		}
		if err != nil {
			return withHint(fmt.Errorf("tree %s: %s: %w", tree, root, err), "mkdir -p %s   (or mount its drive first)", root)
		}
		if _, err := in.files.Marker(tree); err != nil && !errors.Is(err, apply.ErrNoMarker) {
			return err
		}
	}
	return nil
}

// catalog opens the repository, making it first if it is to be a new local one.
func (in *initializer) catalog() (*gitsource.Source, error) {
	path := strings.TrimPrefix(in.cfg.Catalog.URLs[0], "file://")
	if filepath.IsAbs(path) {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if err := gitsource.InitBare(path); err != nil {
				return nil, fmt.Errorf("catalog %s: %w", path, err)
			}
			in.created("repository")
		}
	}
	return in.openSource(in.cfg)
}

// join makes the first commit of an empty catalog, or checks that this site
// fits into the one that is there.
func (in *initializer) join(ctx context.Context, src *gitsource.Source) (*gitsource.Revision, error) {
	head, err := src.Fetch(ctx)
	if errors.Is(err, gitsource.ErrEmpty) {
		head, err = in.first(ctx, src)
	}
	if errors.Is(err, gitsource.ErrNotFound) && !errors.Is(err, gitsource.ErrUnreachable) {
		err = withHint(err, "name a bare repository (git init --bare DIR), or a path that does not exist yet: init makes one there")
	}
	if err != nil {
		return nil, err
	}
	m, err := head.Manifest(ctx)
	if err != nil {
		return nil, err
	}
	for tree := range in.cfg.Trees {
		if _, ok := m.Trees[tree]; !ok {
			return nil, withHint(fmt.Errorf("the catalog has no tree %q; its trees are %s", tree,
				strings.Join(sortedKeys(m.Trees), ", ")), "add it under trees: in the catalog's manifest.yaml")
		}
	}
	in.done.Main = m.Main
	if in.peer == "" || m.Sites[in.cfg.Site].Peer == in.peer {
		return head, nil
	}
	next, err := commitOnto(ctx, src, in.addSite)
	if err != nil || next == nil {
		return head, err
	}
	in.created("site")
	return next, nil
}

// first commits a starter manifest that names this site as main.
func (in *initializer) first(ctx context.Context, src *gitsource.Source) (*gitsource.Revision, error) {
	var tiers [][]string
	for _, t := range in.trackers {
		tiers = append(tiers, []string{t})
	}
	data := manifests.NewManifest(in.cfg.Site, sortedKeys(in.cfg.Trees), tiers,
		map[string]manifests.SiteSpec{in.cfg.Site: {Peer: in.peer}})
	if _, err := manifests.ParseManifest(data); err != nil {
		return nil, fmt.Errorf("the new manifest: %w", err)
	}
	head, err := src.Commit(ctx, nil, gitsource.Commit{
		Message: "Begin the catalog with " + in.cfg.Site + " as main",
		Put:     []gitsource.File{{Name: manifestName, Data: data}},
	})
	if err != nil {
		return nil, err
	}
	if err := src.Push(ctx, head); err != nil {
		return nil, err
	}
	in.created("catalog")
	return head, nil
}

// addSite enters this site's peer address, unless the manifest knows another.
func (in *initializer) addSite(ctx context.Context, head *gitsource.Revision) (*gitsource.Commit, error) {
	data, err := head.ManifestBytes(ctx)
	if err != nil {
		return nil, err
	}
	m, err := manifests.ParseManifest(data)
	if err != nil {
		return nil, err
	}
	if spec, ok := m.Sites[in.cfg.Site]; ok {
		if spec.Peer == in.peer {
			return nil, nil
		}
		return nil, withHint(fmt.Errorf("the catalog already knows site %s, at %q", in.cfg.Site, spec.Peer), "edit sites: in the catalog's manifest.yaml")
	}
	data, err = manifests.AddSite(data, in.cfg.Site, manifests.SiteSpec{Peer: in.peer})
	if err != nil {
		return nil, err
	}
	return manifestCommit("Add site "+in.cfg.Site, data), nil
}

// mark writes the markers that are missing. Only a new catalog's main starts
// with the role of a source: everywhere else the listing comes first.
func (in *initializer) mark(ctx context.Context, head *gitsource.Revision) error {
	listing, err := head.Listing(ctx)
	if err != nil {
		return err
	}
	role := manifests.RoleCopy
	if in.done.Main == in.cfg.Site && listing.Len() == 0 {
		role = manifests.RoleSource
	}
	in.done.Trees = map[string]string{}
	for _, tree := range sortedKeys(in.cfg.Trees) {
		m, err := in.files.Marker(tree)
		switch {
		case errors.Is(err, apply.ErrNoMarker):
			if err := in.files.InitTree(tree, role); err != nil {
				return err
			}
			in.created("marker of " + tree)
			m.Role = role
		case err != nil:
			return err
		}
		in.done.Trees[tree] = m.Role
	}
	return nil
}

func (in *initializer) summary(w io.Writer) {
	d := in.done
	if len(d.Created) == 0 {
		fmt.Fprintln(w, "nothing was missing")
	} else {
		fmt.Fprintf(w, "made: %s\n", strings.Join(d.Created, ", "))
	}
	fmt.Fprintf(w, "site %s, main is %s, catalog %s at %.12s\nconfiguration %s\n", d.Site, d.Main, d.Catalog, d.Revision, d.Config)
	config := ""
	if in.config != "" {
		config = " --config " + in.config
	}
	if d.Main == d.Site {
		in.say("next: seedtree build%s      what is in the trees becomes the catalog", config)
	}
	in.say("next: seedtree agent%s      keeps this site in step", config)
}
