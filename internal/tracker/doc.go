// Package tracker is a closed BitTorrent tracker over HTTP: it introduces the
// sites of one catalog to each other, and it answers only for info hashes that
// the catalog lists. Everybody else's torrents get "not listed".
//
// It speaks BEP 3 (announce), BEP 7 (peers6), BEP 23 (compact peers), BEP 31
// (retry in) and BEP 48 (scrape). Peers live in memory alone: after a restart
// the next round of announces fills it again.
package tracker
