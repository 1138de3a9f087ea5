// Package perdure keeps user sessions: on Redis or Valkey, on an embedded store, and
// on both at once while Redis is away.
//
//	backend, err := redis.Open(ctx, redis.Options{URL: "redis://localhost:6379"})
//	if err != nil {
//		return err
//	}
//	store, err := perdure.New(backend, perdure.Options{})
//	if err != nil {
//		return err
//	}
//	session, err := store.Create(ctx, perdure.Data{UserID: "ann"})
//
// An application needs [Store], [New], [Data], [Patch], [Session], [Metadata] and the
// errors. The rest is for authors of backends ([Backend], which package backendtest
// checks) and of tools that move records ([Merger], [Record]).
//
// # What holds
//
// A session that was ended is never there again: no late write, replay, restore or
// second process brings its id back. Writers that change different fields of a session
// both succeed, and of one field the later wins, or [ErrConflict] if [Patch.Expected]
// is given. [ErrNotFound] is said only of what is known not to be there: a store that
// cannot answer returns [ErrUnavailable], which is no reason to log anybody out.
//
// # Caveats
//
// An id is a public handle, fit for lists and logs: it is no bearer secret.
//
// Expiring is judged by the clock of the store, not by the caller's: see [Timekeeper].
//
// An expiry can be put off no further than [Options.Horizon] after the creation.
//
// For a time after a write, a copy in another process's near cache may be behind it:
// milliseconds, as long as an invalidation takes.
package perdure
