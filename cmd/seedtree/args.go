package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// noArgs is for verbs that take flags alone.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(cmd, "%s takes no arguments, given: %s", cmd.CommandPath(), quoted(args))
}

// theArg is for verbs that take the one argument their usage names.
func theArg(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 1:
		return nil
	case len(args) == 0:
		return usage(cmd, "not given: %s", argNames(cmd))
	}
	return usage(cmd, "want one %s, given: %s", argNames(cmd), quoted(args))
}

// someArgs is for verbs that take one or more.
func someArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return nil
	}
	return usage(cmd, "not given: %s", argNames(cmd))
}

// group makes a command that only holds others show its help when called
// alone, and refuse what is none of them: a typo must not look like success.
func group(cmd *cobra.Command, verbs ...*cobra.Command) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return usage(cmd, "unknown command %q for %q", args[0], cmd.CommandPath())
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(verbs...)
	return cmd
}

func usage(cmd *cobra.Command, format string, args ...any) error {
	return withHint(fmt.Errorf(format, args...), "%s --help", cmd.CommandPath())
}

func argNames(cmd *cobra.Command) string {
	_, names, _ := strings.Cut(cmd.Use, " ")
	return names
}

func quoted(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = strconv.Quote(a)
	}
	return strings.Join(words, " ")
}

// suggestion words the library's guess at a mistyped command as advice.
func suggestion(err error) error {
	if err == nil {
		return nil
	}
	said, guesses, ok := strings.Cut(err.Error(), "\n\nDid you mean this?\n")
	if !ok {
		return err
	}
	return withHint(errors.New(said), "did you mean %s?", strings.Join(strings.Fields(guesses), " or "))
}

// daysFlag is a duration that may be given in days, as the manifest gives it.
type daysFlag struct{ into *time.Duration }

// Set reads 30d, or what Go reads.
func (d daysFlag) Set(text string) error {
	if number, ok := strings.CutSuffix(text, "d"); ok {
		days, err := strconv.ParseUint(number, 10, 15)
		if err == nil {
			*d.into = time.Duration(days) * 24 * time.Hour
			return nil
		}
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("want a duration such as 30d or 36h")
	}
	*d.into = v
	return nil
}

// String returns the duration, "" for none.
func (d daysFlag) String() string {
	if d.into == nil || *d.into == 0 {
		return ""
	}
	return d.into.String()
}

// Type names the value in help texts.
func (d daysFlag) Type() string { return "duration" }
