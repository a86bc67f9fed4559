// Package gitsource takes revisions of the catalog out of git and puts them in.
// It is the only package that knows git, and it needs no git program.
//
// A Source keeps a bare mirror of one branch in a directory that may be thrown
// away at any time: only packs that arrived whole, were indexed here and have
// every object they refer to are moved into it, and the revision reached so far
// stands in a small file of its own, replaced atomically. History moves forward
// only; what would take it back waits for the operator (Source.Accept).
//
// Remotes are local paths, ssh and https. git's formats (pkt-lines, reports,
// packs, indexes, deltas) are go-git's; the pipes that carry them are our own,
// because a push has to be streamed, a silent server must run into a deadline,
// and nobody's ~/.ssh/config may have a say.
package gitsource
