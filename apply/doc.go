// Package apply makes one site match one revision of the catalog. It observes
// the BitTorrent client and the file trees, computes a plan as a pure function,
// and executes it so that a crash anywhere leaves too much, never too little.
// It owns the Engine seam, the tree roots, staging and trash.
package apply
