package main

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// TestMain lets the processes that are measured be this binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == gitVerb {
		if err := catalogCommand(context.Background(), os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
