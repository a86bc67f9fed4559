// Package embedded is an apply.Engine inside this process, over
// github.com/anacrolix/torrent. The library is used for the peer wire protocol
// alone (BEP 3, 6, 10): storage, session, trackers, rate limits, hashing and
// the choice of what is loaded are ours, because tens of thousands of small
// torrents and files that belong to the user are not what its defaults are for.
//
// A torrent that is held is a record, not an object of the library. It is
// loaded while it downloads, inside a window of a few hundred, and when a peer
// asks for it: the incoming handshake names the info hash, and that loads it.
package embedded
