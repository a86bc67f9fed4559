// Package containers tests the image and a fleet of containers made from it,
// as docs/operating.md shows them: the commands are taken from that page. Its
// tests need a Docker engine and the build tag docker; `make e2e` runs them.
package containers
