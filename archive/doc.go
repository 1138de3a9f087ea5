// Package archive backs up the sessions of any perdure.Backend into a file, and
// restores them from it.
//
// A backup is consistent while users write: it takes its place in the change
// feed, scans, and then follows the feed until it has caught up, so that who logs
// out while it runs is logged out in it. Tombstones and the epochs of revoked
// users are in it too.
//
// A restore verifies the whole file before it writes anything, and then merges:
// it gives back what is missing, keeps what is newer, and cannot undo a logout,
// whenever that was. It can be repeated, and after an interruption it is.
//
// Three kinds of file are read: the archive (see docs/archive.md, which gives its
// format byte by byte), JSON lines, and the backups of puppeteer-mcp. Each may be
// encrypted with age. Memory stays flat whatever the size of the file.
package archive
