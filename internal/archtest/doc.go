// Package archtest holds the house rules as a test: which room may import
// which, what may stand at the top of the repository, and how large files,
// functions and interfaces may grow. It has no code of its own to import.
package archtest
