// Package migrate moves sessions from one store to another: between any two
// backends, or from what another product has stored (see package foreign).
//
//	result, err := migrate.Run(ctx, migrate.FromBackend(old), new, migrate.Options{})
//
// Ids, times and versions come out as they went in. Every record is merged, so
// whatever the other side knows already is honoured, a logout above all; moving
// twice, or going on after a crash, does no harm. Tombstones and epochs travel
// too. What is past its deadline stays behind.
//
//   - NewPlan looks at the source and changes nothing.
//   - Run moves what is there, and what changes while it runs.
//   - Live moves sessions while they are in use, and cuts over.
//   - Follow carries changes on from one store to another, for a way back.
//   - Verify compares two stores, in both directions.
package migrate
