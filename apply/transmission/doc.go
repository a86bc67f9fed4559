// Package transmission is an apply.Engine over the RPC of a Transmission
// daemon that the user may share with torrents of their own. It needs
// Transmission 3.00 or newer (RPC version 16).
//
// # What belongs to seedtree
//
// A torrent is ours when it carries the label "seedtree", or the comment that
// this package writes into every .torrent it hands over. The comment is there
// because a label alone can be lost: Transmission 3.00 takes labels only after
// the add, and forgets them (and the directory) when it is killed before its
// next save. A torrent with neither is the user's, whatever its info hash: it
// is not listed, not removed, and adding it again is refused. To hand one over
// the user gives it the label; to take one back they remove it and add an
// exported .torrent, which has no such comment.
//
// # Who may write where
//
// The daemon downloads in staging only. A torrent in a tree is read-only: its
// file is not wanted, so that even a torrent that the user starts by hand, or a
// daemon that believes a file to be incomplete, fetches nothing and writes
// nothing. It is started only after the client has found every byte itself;
// one that it finds incomplete is left stopped and reported.
//
// # Level-triggered
//
// Add brings a torrent to the wanted state from any other: stopped by the user
// or by a restart (started again: pausing one of ours does not last), held at
// another directory, failed with a local error, without its label, with other
// trackers. Introduce gives all torrents that are ours other trackers. List
// only reads. All of them wait for a daemon that has just started: it
// answers with an empty list before it has loaded its torrents, and an empty
// list must never be taken for absence.
package transmission
