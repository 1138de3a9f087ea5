package migrate

import (
	"context"
	"fmt"
	"slices"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/printable"
)

// carry moves records: the filter's choice of them, without what has expired.
func (m *move) carry(ctx context.Context, records []perdure.Record, skip bool) error {
	records, sessions := m.choose(records)
	if skip {
		var err error
		if records, err = m.skip(ctx, records); err != nil {
			return err
		}
	}
	if err := m.pace.wait(ctx, sessions); err != nil {
		return err
	}
	merged := m.merge(ctx, records)
	if ctx.Err() != nil {
		return ctx.Err() // none of these has failed
	}
	if err := m.halt(records, merged); err != nil {
		return err // the page counts when it is carried again
	}
	m.tell.add(sessions)
	m.noteTwo(merged)
	if m.leaving {
		return m.leave(ctx, records, merged)
	}
	m.tally.count(records, merged)
	return nil
}

// halt is the failure that ends the run, if there is one: the first, unless the
// run goes on after those, or that of a target that is unavailable.
func (m *move) halt(records []perdure.Record, merged []perdure.Merged) error {
	for i := range merged {
		if err := merged[i].Err; err != nil && (!m.ContinueOnError || passing(err)) {
			return fmt.Errorf("moving %s: %w", printable.Clip(records[i].ID, maxPrinted), err)
		}
	}
	return nil
}

// choose drops what the filter does not let through, and what has expired. The
// records are not to be used afterwards.
func (m *move) choose(records []perdure.Record) (chosen []perdure.Record, sessions int) {
	now := perdure.MillisOf(m.Now())
	expired := int64(0)
	chosen = slices.DeleteFunc(records, func(r perdure.Record) bool {
		switch {
		case !r.Exists() || !m.filter.takes(&r):
			return true
		case r.Kind != perdure.KindSession:
			return false
		case !r.Live(now):
			expired++
			return true
		}
		sessions++
		return false
	})
	m.tally.add(func(r *Result) { r.Expired += expired })
	return chosen, sessions
}

// skip drops the sessions that the target has a record of.
func (m *move) skip(ctx context.Context, records []perdure.Record) (rest []perdure.Record, err error) {
	var ids []string
	for i := range records {
		if records[i].Kind == perdure.KindSession {
			ids = append(ids, records[i].ID)
		}
	}
	var held []perdure.Record
	err = m.patiently(ctx, m.tell, func(ctx context.Context) (err error) {
		held, err = m.to.Load(ctx, ids)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the target: %w", err)
	}
	skipped, next := int64(0), 0
	for i := range records {
		if records[i].Kind == perdure.KindSession {
			next++
			if held[next-1].Exists() {
				skipped++
				continue
			}
		}
		rest = append(rest, records[i])
	}
	m.tally.add(func(r *Result) {
		r.Total += skipped
		r.Skipped += skipped
	})
	return rest, nil
}

// merge merges records into the target, those again that it could not take for
// the moment.
func (m *move) merge(ctx context.Context, records []perdure.Record) []perdure.Merged {
	merged := make([]perdure.Merged, len(records))
	open := make([]int, len(records))
	for i := range open {
		open[i] = i
	}
	// Its error is in merged.
	_ = m.patiently(ctx, m.tell, func(ctx context.Context) (err error) {
		some := records
		if len(open) < len(records) {
			some = make([]perdure.Record, len(open))
			for n, i := range open {
				some[n] = records[i]
			}
		}
		var again []int
		for n, one := range m.merger.MergeAll(ctx, some) {
			i := open[n]
			if merged[i] = one; one.Err != nil && passing(one.Err) {
				again, err = append(again, i), one.Err
			}
		}
		open = again
		return err
	})
	return merged
}

// leave ends the life of sessions at the source that the target holds now, unless
// they have changed since they were read: the feed has those. It is no delete: a
// tombstone would follow them, and end them there too.
func (m *move) leave(ctx context.Context, records []perdure.Record, merged []perdure.Merged) error {
	now := perdure.MillisOf(m.Now())
	var batches []perdure.Batch
	var left []perdure.Record
	for i := range records {
		if r := records[i]; r.Kind == perdure.KindSession && merged[i].Err == nil && !merged[i].Killed {
			left = append(left, r)
			base := r.Version
			// The body does not say that its expiry has changed: where the session
			// meets itself again, the later expiry wins.
			// Promised nothing, it leaves no tombstone when it is swept.
			r.Version, r.Expiry, r.Promised = m.merger.Clock.Tick(base), now, 0
			batches = append(batches, perdure.Batch{{Op: perdure.OpPut, Record: r, Base: base}})
		}
	}
	if len(batches) == 0 {
		return nil
	}
	if err := m.apart(ctx); err != nil {
		return err
	}
	if err := m.look(ctx); err != nil { // the last moment at which nothing is lost
		return err
	}
	gone := make([]bool, len(left))
	err := m.patiently(ctx, m.tell, func(ctx context.Context) error {
		results, err := m.backs.Apply(ctx, batches)
		for i := range results {
			gone[i] = gone[i] || results[i].Outcome == perdure.Applied
			if err == nil {
				err = results[i].Err
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("ending sessions at the source: %w", err)
	}
	return m.lastAccess(ctx, left, gone)
}

// lastAccess brings along what was touched after it was read and before it left.
func (m *move) lastAccess(ctx context.Context, left []perdure.Record, gone []bool) error {
	var ids []string
	for i := range left {
		ids = append(ids, left[i].ID)
	}
	var there []perdure.Record
	return m.patiently(ctx, m.tell, func(ctx context.Context) (err error) {
		if there, err = m.backs.Load(ctx, ids); err != nil {
			return err
		}
		var touches []perdure.Batch
		deleted := int64(0)
		for i, r := range there {
			if !gone[i] {
				continue
			}
			deleted++
			if r.LastAccess > left[i].LastAccess {
				touches = append(touches, perdure.Batch{{Op: perdure.OpTouch, Record: r}})
			}
		}
		if len(touches) > 0 {
			if _, err := m.to.Apply(ctx, touches); err != nil {
				return err
			}
		}
		m.tally.add(func(r *Result) { r.Deleted += deleted })
		return nil
	})
}

// sweep frees what the sessions that have left took at the source.
func (m *move) sweep(ctx context.Context) error {
	for more := true; more; {
		err := m.patiently(ctx, m.tell, func(ctx context.Context) (err error) {
			_, more, err = m.backs.Sweep(ctx, perdure.MillisOf(m.Now()), m.BatchSize)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
