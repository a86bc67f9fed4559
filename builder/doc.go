// Package builder turns source folders and the previous listing into the next
// listing, and into what has to be written to and deleted from a catalog to
// get there. It knows no git: whether the result is committed or only shown is
// its caller's affair.
//
// The previous listing is the cache of hashes: a file whose path, length and
// modification time are as listed is not read. A file written twice within
// the resolution of its time stamps would be taken for unchanged forever, so
// files that young are left alone until their stamp is history.
package builder
