// Command torrent_tree makes one .torrent for every file below a folder and
// retains the directory structure. It keeps the command line of the tool of
// that name; it needs no catalog, no git and no configuration.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes. The first four are the original tool's.
const (
	exitDone        = 0
	exitFailed      = 1 // also: usage
	exitNoSource    = 2
	exitBadOut      = 3
	exitPartial     = 7 // some files failed, each is named
	exitInterrupted = 130
)

const usage = `Usage: torrent_tree [-vquf] [--ignore P]... <source directory> <save directory> <announce URI>
Makes one .torrent for every file in the source directory and all below it,
named after the file (a.jpg becomes a.jpg.torrent), in the same structure in
the save directory, with the announce URI as tracker.

  -v           verbose: say what is done to each file (a fourth argument means the same)
  -q           quiet: say nothing but errors
  -u           update: replace a .torrent if its source file is newer
  -f           force: replace every .torrent
               without -u and -f a .torrent that exists is left alone
  --ignore P   leave out the file or directory P; if there is none of that name,
               P is a pattern as in .gitignore, such as '*.tmp'

Example: torrent_tree -vu --ignore photos/raw photos torrents https://tracker.example/announce
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "torrent_tree: %v\n%s", err, usage)
		return exitFailed
	}
	if o.help {
		fmt.Fprint(stdout, usage)
		return exitDone
	}
	t := &tree{options: o, stdout: stdout, stderr: stderr}
	return t.make(ctx)
}
