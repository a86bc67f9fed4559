package manifests

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

const (
	// maxManifest bounds manifest.yaml, in bytes. It is generous for people
	// and keeps the YAML library's worst case (a flow sequence of hundreds of
	// thousands of items takes it seconds) below a fifth of a second.
	maxManifest = 256 << 10
	maxDepth    = 16
	maxProblems = 100
)

// nodeReader walks YAML nodes and collects what is wrong with them.
type nodeReader struct{ problems Problems }

// at notes a problem with a node.
func (r *nodeReader) at(n *yaml.Node, format string, args ...any) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, Problem{n.Line, n.Column, fmt.Sprintf(format, args...)})
	}
}

// err returns what was collected, ordered by place, or nil.
func (r *nodeReader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.problems
}

// loadNode parses one YAML document. What makes YAML explosive (anchors and
// aliases, merge keys, tags, deep nesting) or puts its lines elsewhere than an
// editor does (rare line breaks, UTF-16) is refused here.
func loadNode(data []byte) (*yaml.Node, error) {
	if len(data) > maxManifest {
		return nil, Problems{{Message: fmt.Sprintf("%d bytes, at most %d are read", len(data), maxManifest)}}
	}
	if p, bad := strangeText(data); bad {
		return nil, Problems{p}
	}
	var doc yaml.Node
	if err := yaml.Load(data, &doc, yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth)))); err != nil {
		return nil, yamlProblems(err)
	}
	if len(doc.Content) != 1 {
		return nil, Problems{{Message: "is empty"}}
	}
	r := &nodeReader{}
	r.refuseReferences(doc.Content[0])
	return doc.Content[0], r.err()
}

// strangeText finds the first byte or character that is no honest text.
func strangeText(data []byte) (Problem, bool) {
	line, column := 1, 1
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	for i := 0; i < len(data); {
		c, n := utf8.DecodeRune(data[i:])
		switch {
		case c == utf8.RuneError && n == 1:
			return Problem{line, column, "is not valid UTF-8"}, true
		case c == '\r' && (i+1 == len(data) || data[i+1] != '\n'), c == 0x85, c == 0x2028, c == 0x2029:
			return Problem{line, column, fmt.Sprintf("%U ends a line for YAML but not for editors", c)}, true
		case c == '\n':
			line, column = line+1, 0
		case c < 0x20 && c != '\t' && c != '\r', c == 0x7f, c == 0xfeff:
			return Problem{line, column, fmt.Sprintf("has the control character %U", c)}, true
		}
		i += n
		column++
	}
	return Problem{}, false
}

// yamlProblems translates the library's errors.
func yamlProblems(err error) Problems {
	var one *yaml.LoadError
	var many *yaml.LoadErrors
	var found Problems
	switch {
	case errors.As(err, &many):
		for _, e := range many.Errors {
			found = append(found, yamlProblem(e))
		}
	case errors.As(err, &one):
		found = Problems{yamlProblem(one)}
	default:
		found = Problems{{Message: err.Error()}}
	}
	return found
}

func yamlProblem(e *yaml.LoadError) Problem {
	p := Problem{e.Mark.Line, e.Mark.Column, strings.TrimPrefix(e.Message, "yaml: ")}
	if e.ContextMsg != "" {
		p.Message = e.ContextMsg + ": " + p.Message
	}
	return p
}

// refuseReferences reports everything by which a node stands for other text
// than is written there. It does not follow aliases, so it ends.
func (r *nodeReader) refuseReferences(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		r.at(n, "alias *%s: write the value out", clip(n.Value))
	case n.Anchor != "":
		r.at(n, "anchor &%s: write values out where they are used", clip(n.Anchor))
	case n.Style&yaml.TaggedStyle != 0:
		r.at(n, "tag %s: values need none", clip(n.Tag))
	case n.Tag == "!!merge":
		r.at(n, "merge key <<: write the values out")
	}
	for _, c := range n.Content {
		r.refuseReferences(c)
	}
}

// each walks a mapping in the order of the file; null is an empty mapping.
func (r *nodeReader) each(n *yaml.Node, what string, f func(key string, k, v *yaml.Node)) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.at(n, "%s: want a mapping, have %s", what, describe(n))
		return
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || isNull(k) {
			r.at(k, "%s: a key has to be a word, this is %s", what, describe(k))
			continue
		}
		if line, twice := seen[k.Value]; twice {
			r.at(k, "%s: key %q stands already in line %d", what, clip(k.Value), line)
			continue
		}
		seen[k.Value] = k.Line
		f(k.Value, k, v)
	}
}

// fields walks a mapping whose keys are all known.
func (r *nodeReader) fields(n *yaml.Node, what string, known map[string]func(*yaml.Node)) {
	r.each(n, what, func(key string, k, v *yaml.Node) {
		read, ok := known[key]
		if !ok {
			r.at(k, "%s: unknown key %q; known are %s", what, clip(key), strings.Join(sortedKeys(known), ", "))
			return
		}
		read(v)
	})
}

// items walks a sequence; null is an empty sequence.
func (r *nodeReader) items(n *yaml.Node, what string, f func(*yaml.Node)) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		r.at(n, "%s: want a list [...], have %s", what, describe(n))
		return
	}
	for _, c := range n.Content {
		f(c)
	}
}

// text reads a scalar as it is written, whatever YAML would resolve it to: a
// site may be named 7 or no without quotes. Only null is no text.
func (r *nodeReader) text(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		r.at(n, "%s: want text, have %s", what, describe(n))
		return "", false
	}
	return n.Value, true
}

// checked reads text that has to pass a check.
func (r *nodeReader) checked(n *yaml.Node, what string, check func(string) error) string {
	s, ok := r.text(n, what)
	if !ok {
		return ""
	}
	if err := check(s); err != nil {
		r.at(n, "%s: %v", what, err)
		return ""
	}
	return s
}

// texts reads a sequence of checked texts.
func (r *nodeReader) texts(n *yaml.Node, what string, check func(string) error) []string {
	var list []string
	r.items(n, what, func(item *yaml.Node) { list = append(list, r.checked(item, what, check)) })
	return list
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func describe(n *yaml.Node) string {
	switch {
	case isNull(n):
		return "nothing"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q", clip(n.Value))
}
