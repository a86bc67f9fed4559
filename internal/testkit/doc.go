// Package testkit starts the real programs that tests talk to: hosts with
// addresses of their own (network namespaces), git servers, BitTorrent
// clients. A missing program fails the test with the line that installs it.
package testkit
