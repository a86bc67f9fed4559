// Package manifests holds what a catalog repository says: the manifest, the
// listing and its entries, metainfo, the status document, and the words every
// other package speaks in (InfoHash, Content, Path, Kind). It reads and writes
// bytes only; it opens no file and knows neither git nor BitTorrent clients.
package manifests
