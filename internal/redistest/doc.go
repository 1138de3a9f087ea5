// Package redistest runs real redis-server processes for tests and benchmarks:
// a single server, a master with replicas watched by sentinels, or a cluster.
//
//	server := redistest.Start(t, redistest.Options{Persist: true})
//	store := open(t, server.URL())
//	server.Kill()
//	// ... what the store does without Redis ...
//	server.Restart(t.Context())
//
// Every server listens on a loopback port of its own, in a temporary directory
// of its own, so that any number of tests run side by side. Its port stays
// reserved while it is down: nobody else turns up there before Restart. It ends
// with the test, and on Linux also when the test process is killed.
//
// Start, StartSentinel and StartCluster are for tests and fail them. Launch,
// LaunchSentinel and LaunchCluster do the same outside of tests: they return
// an error, and their results have to be closed.
//
// Nothing here skips a test: where redis-server is not installed, it fails.
package redistest
