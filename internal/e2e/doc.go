// Package e2e tests the whole product from outside: the real program on hosts
// with addresses of their own, real BitTorrent clients, real git.
package e2e
