package manifests

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// child returns the key and the value of a mapping's entry, nil if there is none.
func child(mapping *yaml.Node, key string) (k, v *yaml.Node) {
	if mapping.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

// offset returns the byte a node begins at. YAML counts characters.
func (e *editor) offset(n *yaml.Node) int {
	at := e.lineStart(n.Line)
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(e.data[at:])
		at += size
	}
	return at
}

// lineStart returns where a line begins, behind a byte order mark.
func (e *editor) lineStart(line int) int {
	at := 0
	if bytes.HasPrefix(e.data, []byte("\ufeff")) {
		at = len("\ufeff")
	}
	for range line - 1 {
		at += bytes.IndexByte(e.data[at:], '\n') + 1
	}
	return at
}

// lineEnd returns where the line that holds a byte ends, behind its newline.
func (e *editor) lineEnd(at int) int {
	if i := bytes.IndexByte(e.data[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(e.data)
}

// replaceScalar writes a value that needs no escaping inside quotes; quotes
// that are there stay.
func (e *editor) replaceScalar(n *yaml.Node, value string) splice {
	at := e.offset(n)
	rest := e.data[at:]
	quote := func(q string) splice {
		end := bytes.Index(rest[1:], []byte(q))
		return splice{at + 1, at + 1 + end, value, end >= 0}
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		return splice{}
	case isNull(n) && n.Value == "":
		return splice{at, at, " " + yamlWord(value), true}
	case n.Style == yaml.DoubleQuotedStyle:
		return quote(`"`)
	case n.Style == yaml.SingleQuotedStyle:
		return quote(`'`)
	case n.Style == 0 && bytes.HasPrefix(rest, []byte(n.Value)):
		return splice{at, at + len(n.Value), yamlWord(value), true}
	}
	return splice{}
}

// insert adds a pair to a mapping: as the last line of a block mapping, first
// in a flow mapping, and as a flow mapping where there is nothing yet.
func (e *editor) insert(mapping *yaml.Node, pair string) splice {
	at := e.offset(mapping)
	switch {
	case isNull(mapping) && mapping.Value == "":
		return splice{at, at, " {" + pair + "}", true}
	case isNull(mapping):
		return splice{at, at + len(mapping.Value), "{" + pair + "}", true}
	case mapping.Style&yaml.FlowStyle != 0:
		at++ // behind the brace
		switch {
		case len(mapping.Content) == 0:
		case bytes.IndexByte([]byte(" \r\n"), e.data[at]) >= 0:
			pair += ","
		default:
			pair += ", "
		}
		return splice{at, at, pair, true}
	}
	indent := mapping.Column - 1
	at = e.entryEnd(mapping.Content[len(mapping.Content)-2], indent)
	line := strings.Repeat(" ", indent) + pair
	if at > 0 && e.data[at-1] != '\n' {
		return splice{at, at, e.newline + line, true}
	}
	return splice{at, at, line + e.newline, true}
}

// entryEnd returns where the lines of a block mapping's entry end: behind the
// last line that is indented deeper than its key. Blank lines and comments
// after it belong to whatever follows.
func (e *editor) entryEnd(key *yaml.Node, indent int) int {
	end := e.lineEnd(e.offset(key))
	for at := end; at < len(e.data); at = e.lineEnd(at) {
		line := strings.TrimRight(string(e.data[at:e.lineEnd(at)]), " \t\r\n")
		text := strings.TrimLeft(line, " \t")
		depth := len(line) - len(text)
		switch {
		case text == "" || text[0] == '#':
			continue
		// YAML lets the items of a list stand below the first letter of its key.
		case depth > indent, depth == indent && (text == "-" || strings.HasPrefix(text, "- ")):
			end = e.lineEnd(at)
		default:
			return end
		}
	}
	return end
}

// remove takes an entry out of a mapping.
func (e *editor) remove(mapping *yaml.Node, name string) splice {
	key, _ := child(mapping, name)
	from := e.offset(key)
	if mapping.Style&yaml.FlowStyle == 0 {
		start := e.lineStart(key.Line)
		if len(bytes.TrimLeft(e.data[start:from], " ")) > 0 {
			return splice{}
		}
		return splice{start, e.entryEnd(key, mapping.Column-1), "", true}
	}
	end, stop := e.flowEntryEnd(from)
	if stop == len(e.data) {
		return splice{}
	}
	if key != mapping.Content[len(mapping.Content)-2] { // not the last: up to the next
		to := stop + 1
		for to < len(e.data) && e.data[to] == ' ' {
			to++
		}
		return e.wholeLine(splice{from, to, "", true})
	}
	if len(mapping.Content) > 2 { // the last: from the comma before it
		previous := mapping.Content[len(mapping.Content)-4]
		_, from = e.flowEntryEnd(e.offset(previous))
	}
	return splice{from, end, "", true}
}

// wholeLine widens a removal that would leave a line of blanks behind.
func (e *editor) wholeLine(s splice) splice {
	start := bytes.LastIndexByte(e.data[:s.from], '\n') + 1
	end := e.lineEnd(s.to)
	if start > 0 && len(bytes.TrimSpace(e.data[start:s.from])) == 0 && len(bytes.TrimSpace(e.data[s.to:end])) == 0 {
		s.from, s.to = start, end
	}
	return s
}

// flowEntryEnd scans an entry of a flow mapping. It returns where its last
// byte of text ends, and the comma or brace that follows.
func (e *editor) flowEntryEnd(at int) (end, stop int) {
	depth, before := 0, byte(',') // before: the last byte that is no blank
	for end = at; at < len(e.data); at++ {
		c := e.data[at]
		switch {
		case (c == '"' || c == '\'') && strings.IndexByte("{[,:", before) >= 0:
			at = e.quotedEnd(at)
		case c == '#' && (e.data[at-1] == ' ' || e.data[at-1] == '\t' || e.data[at-1] == '\n'):
			at = e.lineEnd(at) - 1
			continue
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			continue
		case depth == 0 && (c == ',' || c == '}'):
			return end, at
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		before = c
		end = at + 1
	}
	return end, len(e.data)
}

// quotedEnd returns the closing quote of the quoted scalar that opens at a byte.
func (e *editor) quotedEnd(at int) int {
	quote := e.data[at]
	for at++; at < len(e.data); at++ {
		switch {
		case e.data[at] == '\\' && quote == '"':
			at++
		case e.data[at] == quote && quote == '\'' && at+1 < len(e.data) && e.data[at+1] == quote:
			at++
		case e.data[at] == quote:
			return at
		}
	}
	return len(e.data) - 1
}
