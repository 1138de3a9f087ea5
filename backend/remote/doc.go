// Package remote is the backend of a running daemon, for the tools of the same
// machine: an embedded store can be opened by its daemon alone, and what is in memory
// by nobody else. The daemon serves NewHandler on its admin port; Open is the other
// end of it.
//
// Records travel as the backend has them: bodies stay sealed, and ids, times and
// versions are what they are. Both ends are of one release.
//
// # Caveats
//
// Who reaches the port reads and writes all sessions. It does not authenticate its
// callers and belongs on loopback, or behind what does.
package remote
