// Package redis keeps sessions in Redis 6.2 or Valkey 7.2, or later: in a single
// server, behind Sentinels, or in a Cluster.
//
//	b, err := redis.Open(ctx, redis.Options{URL: "redis://:password@localhost:6379"})
//
// Every write is one script and one round trip, and is applied as a whole: the
// record, the index of its user, the index by which it expires, and its entry in
// the change feed. Calls that wait at the same time travel together, as one
// command; in a Cluster they go to each node by themselves.
//
// # Near cache
//
// A record that was read is kept in this process, and so is, outside a Cluster,
// which sessions a user has. It is read again when the server says that it has
// changed (CLIENT TRACKING). No call sees a state older
// than what a call of this Backend has returned. What another process does is
// seen as soon as the server's word of it arrives, in about a millisecond. A
// connection that ends takes with it all that is cached.
//
// # What is stored
//
// docs/storage.md describes the keys. No key is without an end: records and the
// indexes of users have a TTL, which Sweep is earlier than; the other indexes
// empty as sessions end, and the change feed is bounded. KEYS, SCAN and FLUSHALL
// are never sent, and nothing outside the prefix is touched.
//
// # Caveats
//
// Redis acknowledges a write before its replicas have it. A failover, or a
// restart without an append-only file, can lose the last ones: Inspect says how
// the server is set up.
//
// A full server (maxmemory with noeviction) refuses new and changed sessions with
// perdure.ErrFull. Touching them, ending them and revoking a user still work.
//
// In a Cluster an id that lies in another partition than its user, as one brought
// along from elsewhere, costs one or two round trips more to write, and what ends
// it for good is its own record; the index of its user follows.
//
// While a Cluster moves a slot, writes to sessions in it wait for the end of the
// move, and fail with perdure.ErrUnavailable where that takes longer than they may.
//
// A redis user needs all commands that Inspect asks for, on the keys of the
// prefix. A script that lacks one stops in the middle.
package redis
