package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// question is one thing `seedtree init` must know.
type question struct {
	key, text, usual string
}

// ask puts the questions whose answers neither a flag nor a variable gave. Off
// a terminal it names what is missing instead.
func (in *initializer) ask(settings []setting, values map[string]shaped) error {
	host, _ := os.Hostname()
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	questions := []question{
		{"site", "This site's name (letters, digits, dashes)", host},
		{"catalog.urls", "Catalog repository: a URL, or a path (a new path becomes a new repository)", ""},
		{"trees", "Trees, as NAME=DIR, several with commas", ""},
	}
	f, isFile := in.std.in.(*os.File)
	terminal := isFile && term.IsTerminal(int(f.Fd()))
	byKey := map[string]setting{}
	for _, s := range settings {
		byKey[s.key] = s
	}
	lines := bufio.NewScanner(in.std.in)
	var missing []string
	for _, q := range questions {
		if _, ok := values[q.key]; ok {
			continue
		}
		if !terminal {
			missing = append(missing, "--"+byKey[q.key].flagName())
			continue
		}
		v, err := in.answer(lines, q, byKey[q.key])
		if err != nil {
			return err
		}
		values[q.key] = v
	}
	if len(missing) > 0 {
		return withHint(fmt.Errorf("not given: %s", strings.Join(missing, ", ")), "seedtree init --help")
	}
	return nil
}

// answer repeats a question until the setting accepts what was typed.
func (in *initializer) answer(lines *bufio.Scanner, q question, s setting) (shaped, error) {
	for {
		fmt.Fprintf(in.std.err, "%s", q.text)
		if q.usual != "" {
			fmt.Fprintf(in.std.err, " [%s]", q.usual)
		}
		fmt.Fprint(in.std.err, ": ")
		if !lines.Scan() {
			in.say("")
			return shaped{}, errors.Join(fmt.Errorf("no answer for %s", q.key), lines.Err())
		}
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			text = q.usual
		}
		v, err := s.parse(text)
		if err == nil && text == "" {
			err = errors.New("an answer is needed")
		}
		if err == nil {
			err = s.set(v)
		}
		if err == nil {
			return v, nil
		}
		in.say("  %s", err)
	}
}
