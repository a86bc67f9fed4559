package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// plainScalar matches what YAML reads back as the same text without quotes.
var plainScalar = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9/._+-]*$`)

// configText writes a configuration file that holds these values, in the order
// of the settings.
func configText(settings []setting, values map[string]shaped) string {
	var b strings.Builder
	b.WriteString("# seedtree: what this site knows about itself.\n# Every key, flag and variable: seedtree help config\n")
	var open []string
	for _, s := range settings {
		v, ok := values[s.key]
		if !ok {
			continue
		}
		parts := strings.Split(s.key, ".")
		sections, leaf := parts[:len(parts)-1], parts[len(parts)-1]
		common := 0
		for common < len(sections) && common < len(open) && sections[common] == open[common] {
			common++
		}
		for i := common; i < len(sections); i++ {
			fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", i), sections[i])
		}
		open = sections
		fmt.Fprintf(&b, "%s%s:%s\n", strings.Repeat("  ", len(sections)), leaf, v.yaml(s, len(sections)+1))
	}
	return b.String()
}

// yaml renders the value behind its key, with its leading space or line breaks.
func (v shaped) yaml(s setting, depth int) string {
	indent := "\n" + strings.Repeat("  ", depth)
	var b strings.Builder
	switch {
	case s.one != nil:
		return " " + scalarYAML(v.one)
	case s.many != nil:
		for _, item := range v.many {
			b.WriteString(indent + "- " + scalarYAML(item))
		}
	default:
		for _, name := range slices.Sorted(maps.Keys(v.pairs)) {
			b.WriteString(indent + scalarYAML(name) + ": " + scalarYAML(v.pairs[name]))
		}
	}
	return b.String()
}

func scalarYAML(text string) string {
	switch strings.ToLower(text) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
	default:
		if plainScalar.MatchString(text) {
			return text
		}
	}
	quoted, err := json.Marshal(text) // JSON strings are YAML
	if err != nil {
		return fmt.Sprintf("%q", text)
	}
	return string(quoted)
}

// writeNew writes a file that must not exist yet, readable by its owner only.
func writeNew(name, content string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(name) // half a configuration is worse than none
	}
	return err
}
