package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxConfig bounds what is parsed, in bytes.
const maxConfig = 1 << 20

// fileReader walks a YAML document along the settings and collects every
// mistake with its place.
type fileReader struct {
	name     string
	settings map[string]setting
	sections map[string]bool // dotted prefixes of settings
	errs     []error
}

// readConfigFile applies a configuration file to the settings. Unknown and
// duplicate keys, wrong shapes and bad values are errors, all of them at once.
func readConfigFile(name string, data []byte, settings []setting) error {
	if len(data) > maxConfig {
		return fmt.Errorf("%s: %d bytes; a configuration is smaller than %d", name, len(data), maxConfig)
	}
	r := &fileReader{name: name, settings: map[string]setting{}, sections: map[string]bool{}}
	for _, s := range settings {
		r.settings[s.key] = s
		for i, c := range s.key {
			if c == '.' {
				r.sections[s.key[:i]] = true
			}
		}
	}
	var doc yaml.Node
	if err := yaml.Load(data, &doc); err != nil {
		if strings.Contains(err.Error(), "no documents") {
			return nil // nothing but comments
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(doc.Content) == 1 {
		r.section("", doc.Content[0])
	}
	return errors.Join(r.errs...)
}

func (r *fileReader) fail(n *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s:%d:%d: %s", r.name, n.Line, n.Column, fmt.Sprintf(format, args...)))
}

// section reads a mapping whose keys are settings or further sections.
func (r *fileReader) section(prefix string, n *yaml.Node) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%swant keys and values", label(prefix))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		key := strings.TrimPrefix(prefix+"."+k.Value, ".")
		s, known := r.settings[key]
		switch {
		case k.Kind != yaml.ScalarNode:
			r.fail(k, "%sa key must be text", label(prefix))
		case seen[key]:
			r.fail(k, "%s is given twice", key)
		case known && s.refused():
			r.fail(k, "%s is not supported by this version", key)
		case known:
			r.setting(s, v)
		case r.sections[key]:
			r.section(key, v)
		default:
			r.fail(k, "unknown key %q%s", key, r.nearest(prefix, k.Value))
		}
		seen[key] = true
	}
}

// setting reads one value in the shape its setting asks for.
func (r *fileReader) setting(s setting, n *yaml.Node) {
	before := len(r.errs)
	v := r.shaped(s, n)
	if len(r.errs) > before {
		return
	}
	if err := s.set(v); err != nil {
		r.fail(n, "%s: %s", s.key, err)
	}
}

func (r *fileReader) shaped(s setting, n *yaml.Node) shaped {
	switch {
	case s.one != nil:
		return shaped{one: r.scalar(s.key, n)}
	case s.many != nil:
		if n.Kind != yaml.SequenceNode {
			r.fail(n, "%s: want a list, [one, two]", s.key)
			return shaped{}
		}
		var v shaped
		for _, item := range n.Content {
			v.many = append(v.many, r.scalar(s.key, item))
		}
		return v
	default:
		if n.Kind != yaml.MappingNode {
			r.fail(n, "%s: want a map, {name: value}", s.key)
			return shaped{}
		}
		v := shaped{pairs: map[string]string{}}
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := r.scalar(s.key, n.Content[i])
			if _, twice := v.pairs[name]; twice {
				r.fail(n.Content[i], "%s: %s is given twice", s.key, name)
			}
			v.pairs[name] = r.scalar(s.key, n.Content[i+1])
		}
		return v
	}
}

func (r *fileReader) scalar(key string, n *yaml.Node) string {
	switch {
	case n.Kind == yaml.AliasNode:
		r.fail(n, "%s: aliases are not supported", key)
	case n.Kind != yaml.ScalarNode:
		r.fail(n, "%s: want a single value", key)
	case isNull(n):
		r.fail(n, "%s: the value is missing", key)
	}
	return n.Value
}

// nearest suggests the key that was probably meant.
func (r *fileReader) nearest(prefix, word string) string {
	var names []string
	for key := range r.settings {
		names = append(names, key)
	}
	for key := range r.sections {
		names = append(names, key)
	}
	slices.Sort(names)
	best, cost := "", 3
	for _, key := range names {
		rest, ok := strings.CutPrefix("."+key, strings.TrimSuffix("."+prefix, ".")+".")
		if !ok || strings.Contains(rest, ".") {
			continue
		}
		if d := distance(rest, word); d < cost {
			best, cost = rest, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// distance counts the single-character edits between two words (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func label(prefix string) string {
	if prefix == "" {
		return ""
	}
	return prefix + ": "
}
