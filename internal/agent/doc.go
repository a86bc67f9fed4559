// Package agent keeps one site in step with the catalog. Its whole life is one
// loop, level-triggered: every pass begins with looking.
//
//	trigger   a cron line, a signal, a verb that committed here, a webhook: all of
//	          them into one mailbox of one slot, emptied by one worker; a newer
//	          revision supersedes a pass in flight
//	fetch     the newest trusted revision; when git cannot be reached, or has
//	          something that cannot be trusted or read, the last good one
//	revision  its manifest and its listing; whoever depends on them is told
//	observe   what the client holds and what lies on the disk
//	plan      a pure function from the two to actions; removals over the limit
//	          are held
//	execute   the actions
//	settle    between passes, as long as transfers wait: what has arrived is put
//	          in place
//	build     when its own schedule says so and this site is main: a pass, the
//	          builder, and a pass again
//	status    told to the disk, and to the fleet through the catalog
//
// A pass that was interrupted anywhere is finished by the next one. The agent
// keeps a small state file, so that it knows what it put here, and beside it at
// main what its source last was, so that a build knows what others committed.
package agent
