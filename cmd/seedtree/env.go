package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"seedtree/internal/pieces"
)

// envPrefix begins every variable this program reads, and no other does.
const envPrefix = "SEEDTREE_"

// testPrefix begins variables of the project's own tests.
const testPrefix = "SEEDTREE_TEST_"

// getenv returns a variable. An empty one counts as not set, here and
// everywhere: that is how container files and unit files take one back.
func (a *app) getenv(name string) string {
	for _, kv := range a.lookup() {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			return v
		}
	}
	return ""
}

// checkEnvironment refuses variables that look like ours and are not: a typo
// in a variable would otherwise be a setting silently left at its default.
func (a *app) checkEnvironment() error {
	known := []string{"SEEDTREE_CONFIG", "SEEDTREE_OUTPUT", "SEEDTREE_LOG_LEVEL"}
	var later []string
	for _, s := range new(Config).settings() {
		if s.refused() {
			later = append(later, s.variable())
		} else {
			known = append(known, s.variable())
		}
	}
	var errs []error
	for _, kv := range a.lookup() {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case value == "", !strings.HasPrefix(name, envPrefix), strings.HasPrefix(name, testPrefix), slices.Contains(known, name):
		case name == pieces.Variable:
			if err := pieces.CheckVariable(value); err != nil {
				errs = append(errs, err)
			}
		case slices.ContainsFunc(later, func(l string) bool { return name == l || strings.HasPrefix(name, l+"_") }):
			errs = append(errs, fmt.Errorf("%s is not supported by this version", name))
		default:
			errs = append(errs, fmt.Errorf("unknown variable %s", name))
		}
	}
	err := errors.Join(errs...)
	if err != nil && strings.Contains(err.Error(), "_SERVICE_HOST") {
		return withHint(err, "Kubernetes makes these for a Service named seedtree: set enableServiceLinks: false")
	}
	if err != nil {
		return withHint(err, "seedtree help config   lists every variable")
	}
	return nil
}
