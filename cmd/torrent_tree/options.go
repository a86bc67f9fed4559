package main

import (
	"errors"
	"fmt"
	"strings"
)

// replace says what becomes of a .torrent that exists.
type replace uint8

const (
	replaceNone replace = iota
	replaceOlder
	replaceAll
)

// options is a command line.
type options struct {
	src, out, announce string
	ignore             []string
	verbose, quiet     bool
	replace            replace
	help               bool
}

// parse reads a command line as GNU getopt_long does: flags may be bundled
// and may stand behind other arguments, -- ends them, the last of -v and -q
// and the last of -u and -f count.
func parse(args []string) (options, error) {
	var o options
	var free []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			free = append(free, args[i+1:]...)
			i = len(args)
		case strings.HasPrefix(a, "--"):
			name, value, given := strings.Cut(a[2:], "=")
			switch {
			case name == "help" && !given:
				o.help = true
				return o, nil
			case name == "" || !strings.HasPrefix("ignore", name): // getopt takes abbreviations
				return o, fmt.Errorf("unrecognized option %q", a)
			case !given && i+1 == len(args):
				return o, errors.New("option --ignore requires an argument")
			case !given:
				i++
				value = args[i]
			}
			o.ignore = append(o.ignore, value)
		case len(a) > 1 && a[0] == '-':
			if err := o.flags(a[1:]); err != nil {
				return o, err
			}
		default:
			free = append(free, a)
		}
	}
	switch len(free) {
	case 4:
		o.verbose, o.quiet = true, false
	case 3:
	default:
		return o, fmt.Errorf("want a source directory, a save directory and an announce URI, got %d arguments", len(free))
	}
	o.src, o.out, o.announce = free[0], free[1], free[2]
	if o.src == "" || o.out == "" || o.announce == "" {
		return o, errors.New("an argument is empty")
	}
	return o, nil
}

func (o *options) flags(bundle string) error {
	for _, c := range bundle {
		switch c {
		case 'v':
			o.verbose, o.quiet = true, false
		case 'q':
			o.verbose, o.quiet = false, true
		case 'u':
			o.replace = replaceOlder
		case 'f':
			o.replace = replaceAll
		default:
			return fmt.Errorf("invalid option -- %q", c)
		}
	}
	return nil
}
