package manifests

import (
	"fmt"
	"strings"
)

// NewManifest writes a commented starter manifest.yaml. ParseManifest says
// whether the names given to it make a manifest.
func NewManifest(main string, trees []string, trackers [][]string, sites map[string]SiteSpec) []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# What every site shall hold. Agents follow this file: a commit here is a wish")
	line("# that comes true at every site. Edit it by hand or with seedtree's commands.")
	line("apiVersion: %s", APIVersion)
	line("")
	line("# The site whose files are the truth.")
	line("main: %s", yamlWord(main))
	line("")
	line("# Announce URLs, in tiers (BEP 12): the next tier is asked when one fails.")
	if len(trackers) == 0 {
		line("trackers: []")
	} else {
		line("trackers:")
	}
	for _, tier := range trackers {
		line("  - %s", yamlList(tier))
	}
	line("")
	line("# Folders to replicate. For a tree:")
	line(`#   ignore: ["*.tmp", "/cache/**"]          gitignore rules, beside .seedtreeignore files`)
	line(`#   seeding: [{match: "raw/**", ratio: 2}]  stop seeding at a share ratio; else never`)
	if len(trees) == 0 {
		line("trees: {}")
	} else {
		line("trees:")
	}
	for _, name := range trees {
		line("  %s: {}", yamlWord(name))
	}
	line("")
	line("# Who takes part, and where to dial them. A partial site names what it holds:")
	line(`#   attic: {include: ["photos/2019/**"], exclude: ["**/*.raw"]}`)
	if len(sites) == 0 {
		line("sites: {}")
	} else {
		line("sites:")
	}
	for _, name := range sortedKeys(sites) {
		line("  %s: %s", yamlWord(name), sites[name].yaml())
	}
	line("")
	line("prune:")
	line("  # More removals than this in one step are held until somebody has looked.")
	line("  limit: {percent: 10, files: 1000}")
	line("  # Removed files stay in each site's trash for this long.")
	line("  trash: 30d")
	line("  # A revision whose removals were looked at (seedtree approve writes it).")
	line(`  approved: ""`)
	return []byte(b.String())
}
