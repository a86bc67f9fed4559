package manifests

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// ParseManifest reads manifest.yaml. Whatever is not exactly understood is an
// error; the error is Problems and names everything that is wrong at once.
func ParseManifest(data []byte) (*Manifest, error) {
	root, err := loadNode(data)
	if err != nil {
		return nil, err
	}
	m, r := readManifest(root)
	if err := r.err(); err != nil {
		return nil, err
	}
	return m, nil
}

func readManifest(root *yaml.Node) (*Manifest, *nodeReader) {
	m := &Manifest{Trees: map[string]TreeSpec{}, Sites: map[string]SiteSpec{}, Prune: defaultPrune()}
	r := &nodeReader{}
	var version, main *yaml.Node
	r.fields(root, "manifest", map[string]func(*yaml.Node){
		"apiVersion": func(n *yaml.Node) {
			version = n
			if s, ok := r.text(n, "apiVersion"); ok && s != APIVersion {
				r.at(n, "apiVersion: %q is not known here, only %s is", clip(s), APIVersion)
			}
		},
		"main":     func(n *yaml.Node) { main = n; m.Main = r.checked(n, "main", ValidSiteName) },
		"trackers": func(n *yaml.Node) { m.Trackers = r.trackers(n) },
		"trees":    func(n *yaml.Node) { r.trees(n, m.Trees) },
		"sites":    func(n *yaml.Node) { r.sites(n, m.Sites) },
		"prune":    func(n *yaml.Node) { r.prune(n, &m.Prune) },
		"revoked":  func(n *yaml.Node) { m.Revoked = r.revoked(n) },
	})
	if version == nil {
		r.at(root, "apiVersion: %s is missing", APIVersion)
	}
	if main == nil {
		r.at(root, "main is missing: it names the site whose files are the truth")
	} else if _, ok := m.Sites[m.Main]; !ok && m.Main != "" && len(m.Sites) > 0 {
		r.at(main, "main: %q is no site; sites are %s", m.Main, strings.Join(sortedKeys(m.Sites), ", "))
	}
	return m, r
}

func (r *nodeReader) trackers(n *yaml.Node) [][]string {
	var tiers [][]string
	r.items(n, "trackers", func(tier *yaml.Node) {
		if tier.Kind == yaml.ScalarNode && !isNull(tier) {
			r.at(tier, "trackers: want a list of tiers: [[%s]]", clip(tier.Value))
			return
		}
		if urls := r.texts(tier, "trackers", checkTracker); len(urls) > 0 {
			tiers = append(tiers, urls)
		}
	})
	return tiers
}

func (r *nodeReader) trees(n *yaml.Node, trees map[string]TreeSpec) {
	folded := make(map[string]string)
	r.each(n, "trees", func(name string, k, v *yaml.Node) {
		if err := ValidTreeName(name); err != nil {
			r.at(k, "trees: %v", err)
		}
		if other, ok := folded[strings.ToLower(name)]; ok {
			r.at(k, "trees: %q and %q differ by case only: some file systems cannot tell them apart", clip(name), clip(other))
		}
		folded[strings.ToLower(name)] = name
		var t TreeSpec
		r.fields(v, "tree "+clip(name), map[string]func(*yaml.Node){
			"ignore": func(n *yaml.Node) { t.Ignore = r.texts(n, "ignore", checkIgnore) },
			"seeding": func(n *yaml.Node) {
				r.items(n, "seeding", func(n *yaml.Node) { t.Seeding = append(t.Seeding, r.rule(n)) })
			},
		})
		trees[name] = t
	})
}

func (r *nodeReader) rule(n *yaml.Node) SeedingRule {
	rule := SeedingRule{Ratio: math.NaN()}
	before := len(r.problems)
	r.fields(n, "seeding", map[string]func(*yaml.Node){
		"match": func(n *yaml.Node) { rule.Match = r.checked(n, "match", checkGlob) },
		"ratio": func(n *yaml.Node) {
			s, ok := r.text(n, "ratio")
			f, err := strconv.ParseFloat(s, 64)
			if ok && (err != nil || !(f > 0) || f > 1e6) {
				r.at(n, "ratio: want a number over 0, at most 1000000, have %q", clip(s))
			}
			rule.Ratio = f
		},
	})
	if len(r.problems) == before && (rule.Match == "" || math.IsNaN(rule.Ratio)) {
		r.at(n, "seeding: a rule has a match and a ratio")
	}
	return rule
}

func (r *nodeReader) sites(n *yaml.Node, sites map[string]SiteSpec) {
	r.each(n, "sites", func(name string, k, v *yaml.Node) {
		if err := ValidSiteName(name); err != nil {
			r.at(k, "sites: %v", err)
		}
		var s SiteSpec
		r.fields(v, "site "+clip(name), map[string]func(*yaml.Node){
			"peer":    func(n *yaml.Node) { s.Peer = r.checked(n, "peer", checkPeer) },
			"include": func(n *yaml.Node) { s.Include = r.texts(n, "include", checkGlob) },
			"exclude": func(n *yaml.Node) { s.Exclude = r.texts(n, "exclude", checkGlob) },
		})
		sites[name] = s
	})
}

func (r *nodeReader) prune(n *yaml.Node, p *PruneSpec) {
	r.fields(n, "prune", map[string]func(*yaml.Node){
		"limit": func(n *yaml.Node) {
			r.fields(n, "limit", map[string]func(*yaml.Node){
				"percent": func(n *yaml.Node) { p.Limit.Percent = r.number(n, "percent", 100) },
				"files":   func(n *yaml.Node) { p.Limit.Files = r.number(n, "files", math.MaxInt32) },
			})
		},
		"trash": func(n *yaml.Node) {
			s, ok := r.text(n, "trash")
			if !ok {
				return
			}
			d, err := parseDuration(s)
			if err != nil {
				r.at(n, "trash: %v", err)
			}
			p.Trash = d
		},
		"approved": func(n *yaml.Node) {
			if !isNull(n) {
				p.Approved = r.checked(n, "approved", checkRevision)
			}
		},
	})
}

func (r *nodeReader) revoked(n *yaml.Node) []string {
	serials := r.texts(n, "revoked", func(s string) error {
		if digits := plainSerial(s); digits == "" || len(digits) > 40 || strings.Trim(digits, hexDigits) != "" {
			return fmt.Errorf("%q is no serial number of up to 40 hexadecimal digits", clip(s))
		}
		return nil
	})
	for i := range serials {
		serials[i] = plainSerial(serials[i])
	}
	return serials
}

const hexDigits = "0123456789abcdef"

// plainSerial writes a certificate's serial number without the colons and
// capitals that some tools print.
func plainSerial(s string) string { return strings.ToLower(strings.ReplaceAll(s, ":", "")) }

// number reads an integer from 0 to most.
func (r *nodeReader) number(n *yaml.Node, what string, most int) int {
	s, ok := r.text(n, what)
	if !ok {
		return 0
	}
	i, err := strconv.Atoi(s)
	if err != nil || i < 0 || i > most {
		r.at(n, "%s: want a whole number from 0 to %d, have %q", what, most, clip(s))
	}
	return i
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
