package backendtest

import (
	"fmt"

	"github.com/perdure/perdure"
)

// The methods here ask the backend and end the law where it does not answer as
// the contract says.

// apply carries out batches on the backend.
func (r *rig) apply(b perdure.Backend, batches ...perdure.Batch) []perdure.Result {
	r.t.Helper()
	results, err := b.Apply(r.ctx, batches)
	r.noError(err)
	if len(results) != len(batches) {
		r.t.Fatalf("%d batches have %d results", len(batches), len(results))
	}
	return results
}

// do carries out one batch.
func (r *rig) do(writes ...perdure.Write) perdure.Result {
	r.t.Helper()
	result := r.apply(r.a, writes)[0]
	r.noError(result.Err)
	return result
}

// applied carries out one batch that nothing stands in the way of.
func (r *rig) applied(writes ...perdure.Write) perdure.Result {
	r.t.Helper()
	result := r.do(writes...)
	if result.Outcome != perdure.Applied {
		r.t.Fatalf("%s: not applied: %s", showBatch(writes), showResult(result))
	}
	return result
}

// create puts a new record and returns it.
func (r *rig) create(record perdure.Record) perdure.Record {
	r.t.Helper()
	r.applied(put(record, perdure.Version{}))
	return record
}

// conflicts carries out a batch that record (or nothing) stands in the way of.
func (r *rig) conflicts(stored perdure.Record, writes ...perdure.Write) perdure.Result {
	r.t.Helper()
	return r.wantResult(r.do(writes...), perdure.Conflict, stored, writes)
}

// absent carries out a write that finds no session but stored, which is a
// tombstone or nothing.
func (r *rig) absent(stored perdure.Record, w perdure.Write) {
	r.t.Helper()
	r.wantResult(r.do(w), perdure.Absent, stored, perdure.Batch{w})
}

func (r *rig) wantResult(got perdure.Result, outcome perdure.Outcome, stored perdure.Record, writes perdure.Batch) perdure.Result {
	r.t.Helper()
	if got.Outcome != outcome {
		r.t.Fatalf("%s: %s, want %s", showBatch(writes), showResult(got), showOutcome(outcome))
	}
	if got.Stored != stored {
		r.t.Fatalf("%s: Stored differs:\n%s", showBatch(writes), diff(got.Stored, stored))
	}
	return got
}

// refused carries out a batch that fails with target.
func (r *rig) refused(target error, writes ...perdure.Write) {
	r.t.Helper()
	result := r.apply(r.a, writes)[0]
	r.wantError(showBatch(writes), result.Err, target)
	if result.Outcome != 0 {
		r.t.Fatalf("%s: failed, and has the outcome %s too", showBatch(writes), showOutcome(result.Outcome))
	}
}

// stored is what the first backend holds under the id.
func (r *rig) stored(id string) perdure.Record {
	r.t.Helper()
	record, err := r.a.Get(r.ctx, id)
	r.noError(err)
	return record
}

// holds fails unless both backends hold exactly this record.
func (r *rig) holds(want perdure.Record) {
	r.t.Helper()
	r.found(want.ID, want)
}

// holdsNothing fails unless nothing is stored under the id.
func (r *rig) holdsNothing(id string) {
	r.t.Helper()
	r.found(id, perdure.Record{})
}

func (r *rig) found(id string, want perdure.Record) {
	r.t.Helper()
	r.noError(finds(r, r.a, id, want))
	if r.cfg.Shared {
		r.shows(func() error { return finds(r, r.b, id, want) })
	}
}

// settles fails unless both backends come to hold this record, whichever wrote
// it.
func (r *rig) settles(want perdure.Record) {
	r.t.Helper()
	r.settlesOn(want.ID, func(got perdure.Record) error {
		if got != want {
			return fmt.Errorf("%s by Get:\n%s", want.ID, diff(got, want))
		}
		return nil
	})
}

// settlesOn fails unless both backends come to hold what check is content with:
// at once, but for a cache.
func (r *rig) settlesOn(id string, check func(perdure.Record) error) {
	r.t.Helper()
	r.shows(func() error {
		for i := range 2 {
			got, err := r.either(i).Get(r.ctx, id)
			if err != nil {
				return err
			}
			if err := check(got); err != nil {
				return err
			}
		}
		return nil
	})
}

// finds compares what Get and Load return with want.
func finds(r *rig, b perdure.Backend, id string, want perdure.Record) error {
	got, err := b.Get(r.ctx, id)
	if err != nil {
		return fmt.Errorf("%s by Get: %w", id, err)
	}
	if got != want {
		return fmt.Errorf("%s by Get:\n%s", id, diff(got, want))
	}
	many, err := b.Load(r.ctx, []string{id})
	if err != nil {
		return fmt.Errorf("%s by Load: %w", id, err)
	}
	if len(many) != 1 || many[0] != want {
		return fmt.Errorf("%s by Load, %d records: %v, want %s", id, len(many), many, show(want))
	}
	return nil
}

// maxPages bounds a listing, so that one whose cursor stands still ends.
const maxPages = 20000

// pages reads a listing to its end and hands each page to visit.
func (r *rig) pages(read func(after string) (perdure.Page, error), visit func(perdure.Page)) {
	r.t.Helper()
	after := ""
	for range maxPages {
		page, err := read(after)
		r.noError(err)
		visit(page)
		if after = page.Next; after == "" {
			return
		}
	}
	r.t.Fatalf("the listing does not end after %d pages", maxPages)
}

// listing is all of a user's sessions, read with a page limit.
func (r *rig) listing(b perdure.Backend, u perdure.UserKey, limit int) (all []perdure.Record) {
	r.t.Helper()
	r.pages(func(after string) (perdure.Page, error) {
		return b.ListUser(r.ctx, u, after, limit)
	}, func(page perdure.Page) {
		if len(page.Records) > limit {
			r.t.Fatalf("a page has %d sessions, the limit is %d", len(page.Records), limit)
		}
		all = append(all, page.Records...)
	})
	return all
}

// lists fails unless these are the user's sessions: at once, but for a cache.
func (r *rig) lists(what string, u perdure.UserKey, limit int, want []perdure.Record) {
	r.t.Helper()
	for i := range 2 {
		r.shows(func() error { return same(what, r.listing(r.either(i), u, limit), want) })
	}
}

// scan is all that a query finds.
func (r *rig) scan(b perdure.Backend, q perdure.ScanQuery) (all []perdure.Record) {
	r.t.Helper()
	r.pages(func(after string) (perdure.Page, error) {
		q.After = after
		return b.Scan(r.ctx, q)
	}, func(page perdure.Page) { all = append(all, page.Records...) })
	return all
}

// drain sweeps until nothing more is due and returns how many sessions expired.
func (r *rig) drain(b perdure.Backend, now perdure.Millis, limit int) (expired int) {
	r.t.Helper()
	for range maxPages {
		n, more, err := b.Sweep(r.ctx, now, limit)
		r.noError(err)
		expired += n
		if !more {
			return expired
		}
	}
	r.t.Fatalf("the sweep does not end after %d calls", maxPages)
	return 0
}

// wantSame compares sets of records, each of which may be there once.
func (r *rig) wantSame(what string, got, want []perdure.Record) {
	r.t.Helper()
	r.noError(same(what, got, want))
}

// same is wantSame as an error.
func same(what string, got, want []perdure.Record) error {
	seen := map[string]perdure.Record{}
	for _, record := range got {
		if _, twice := seen[record.ID]; twice {
			return fmt.Errorf("%s: %s is there twice", what, record.ID)
		}
		seen[record.ID] = record
	}
	for _, record := range want {
		found, ok := seen[record.ID]
		if !ok {
			return fmt.Errorf("%s: %s is missing from %d records", what, show(record), len(got))
		}
		if found != record {
			return fmt.Errorf("%s:\n%s", what, diff(found, record))
		}
		delete(seen, record.ID)
	}
	for _, record := range seen {
		return fmt.Errorf("%s: %s should not be there", what, show(record))
	}
	return nil
}
