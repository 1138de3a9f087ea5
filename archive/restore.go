package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/perdure/perdure"
)

// RestoreOptions say what Restore does. The zero value works.
type RestoreOptions struct {
	// Overwrite makes sessions that are stored read as they do in the file, also
	// where the store's are newer. It undoes no logout. Defaults to keeping the
	// later of each field.
	Overwrite bool
	// SkipExpired leaves out sessions that have expired. Defaults to restoring
	// them too: nobody can read them, and the next sweep announces their end.
	SkipExpired bool
	// DryRun writes nothing, and counts what would be done. It does not see what
	// the records of the file do to each other, nor what Overwrite changes.
	DryRun bool
	// Workers is how many batches are merged at the same time. Defaults to 4; with
	// Overwrite it is one, because there the order decides.
	Workers int
	// Progress is called after every batch, by one goroutine at a time. Defaults
	// to none.
	Progress func(Progress)
	// Now is the clock. Defaults to that of the store, or, if it has none, to time.Now.
	Now func() time.Time
}

// Restored is what a restore has done. A session that changed while the backup
// was made can be in the file, and in these figures, twice.
type Restored struct {
	// Report is about the file.
	Report Report `json:"file"`
	// DryRun says that nothing was written.
	DryRun bool `json:"dryRun"`
	// Restored sessions are new in the store, or changed it.
	Restored int64 `json:"restored"`
	// Unchanged sessions were there already, as they are or newer.
	Unchanged int64 `json:"unchanged"`
	// LeftDead sessions were logged out, or revoked with their user, and stay so.
	LeftDead int64 `json:"leftDead"`
	// Expired sessions were past their deadline. They are among the others too,
	// unless they were skipped.
	Expired int64 `json:"expired"`
	// Tombstones and epochs that were new to the store.
	Tombstones int64 `json:"tombstones"`
	// Failed records could not be read or were refused by the store, and Failures
	// has the first hundred.
	Failed   int64     `json:"failed"`
	Failures []Refused `json:"failures,omitempty"`
	Took     Duration  `json:"tookSeconds"`
}

// Duration is a length of time that is seconds in JSON.
type Duration time.Duration

// MarshalJSON writes seconds, to the millisecond.
func (d Duration) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", time.Duration(d).Seconds()), nil
}

const (
	defaultWorkers = 4
	// mergeBatch is how many records are merged by one call.
	mergeBatch = 500
)

// Restore verifies the file, unless Verify has, and then merges it into the
// store: tombstones and epochs first, so that nothing that has ended is there in
// between. Sessions come back with their ids, times and versions.
//
// It returns a *DamageError, with nothing written, for a file that Verify
// refuses; and where the store stops answering, an ErrUnavailable. What was
// merged by then stays, and restoring again is safe. Records that the store
// refuses are no error: they are counted.
func (f *File) Restore(ctx context.Context, into *perdure.Merger, o RestoreOptions) (Restored, error) {
	if o.Workers < 0 {
		return Restored{}, invalid("Workers", "is %d; it must not be negative", o.Workers)
	}
	if o.Workers == 0 {
		o.Workers = defaultWorkers
	}
	if o.Overwrite {
		o.Workers = 1
	}
	if o.Now == nil {
		o.Now = perdure.TimeOf(into.Backend, nil)
	}
	start := o.Now()
	r := restore{RestoreOptions: o, into: into, done: Restored{DryRun: o.DryRun}}
	if f.verified == nil {
		if report, err := f.Verify(ctx, o.Progress); err != nil {
			r.done.Report = report
			return r.done, err
		}
	}
	r.done.Report = *f.verified
	r.failures.add(r.done.Report.Refusals...)
	r.failures.count = r.done.Report.Refused
	found := r.done.Report.Found
	var err error
	for _, p := range []struct {
		part  part
		stage string
		total int64
	}{{partDead, "tombstones", found.Tombstones + found.Epochs}, {partSessions, "sessions", found.Sessions}} {
		r.progress = Progress{Stage: p.stage, Total: p.total}
		if err = r.pass(ctx, f, p.part); err != nil {
			break
		}
	}
	r.done.Failed, r.done.Failures = r.failures.count, r.failures.first
	r.done.Took = Duration(o.Now().Sub(start))
	return r.done, err
}

// restore is one under way.
type restore struct {
	RestoreOptions
	into *perdure.Merger

	mu       sync.Mutex
	progress Progress
	done     Restored
	failures refusals
}

// pass applies a part of the file, several batches at a time.
func (r *restore) pass(ctx context.Context, f *File, p part) error {
	in, err := f.reader()
	if err != nil {
		return err
	}
	defer in.close()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	batches := make(chan batch)
	var workers sync.WaitGroup
	for range r.Workers {
		workers.Go(func() {
			for b := range batches {
				if err := r.apply(ctx, b); err != nil {
					stop(err)
				}
			}
		})
	}
	err = r.feed(ctx, in, p, batches)
	close(batches)
	workers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// feed gives the batches of a part to the workers.
func (r *restore) feed(ctx context.Context, in reader, p part, batches chan<- batch) error {
	for {
		b, err := in.next(p)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		records := b.records[:0]
		for _, record := range b.records {
			if (record.Kind == perdure.KindSession) == (p == partSessions) {
				records = append(records, record)
			}
		}
		for ; len(records) > 0; records = records[min(len(records), mergeBatch):] {
			select {
			case batches <- batch{records: records[:min(len(records), mergeBatch)], end: b.end}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// apply merges a batch. It returns an error where it is no use to go on.
func (r *restore) apply(ctx context.Context, b batch) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	records, expired := r.choose(b.records)
	var merged []perdure.Merged
	err := call(ctx, func(ctx context.Context) (err error) {
		switch {
		case r.DryRun:
			merged, err = r.into.Preview(ctx, records)
		case r.Overwrite:
			merged, err = r.overwrite(ctx, records)
		default:
			merged = r.into.MergeAll(ctx, records)
		}
		return err
	})
	if err == nil {
		err = stopper(merged)
	}
	if err != nil {
		return fmt.Errorf("the restore stopped: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done.Expired += expired
	for i := range merged {
		r.count(&records[i], &merged[i])
	}
	r.progress.Records += int64(len(b.records))
	r.progress.Bytes = max(r.progress.Bytes, b.end)
	r.progress.Failed = r.failures.count
	if r.Progress != nil {
		r.Progress(r.progress)
	}
	return nil
}

// stopper is an error that the next batch would meet too.
func stopper(merged []perdure.Merged) error {
	for _, m := range merged {
		if errors.Is(m.Err, perdure.ErrUnavailable) || errors.Is(m.Err, context.Canceled) {
			return m.Err
		}
	}
	return nil
}

// choose counts the expired sessions, and leaves them out if it should.
func (r *restore) choose(all []perdure.Record) (chosen []perdure.Record, expired int64) {
	now := perdure.MillisOf(r.Now())
	chosen = make([]perdure.Record, 0, len(all))
	for _, record := range all {
		if record.Kind == perdure.KindSession && !record.Live(now) {
			if expired++; r.SkipExpired {
				continue
			}
		}
		chosen = append(chosen, record)
	}
	return chosen, expired
}

func (r *restore) count(record *perdure.Record, m *perdure.Merged) {
	switch {
	case m.Err != nil:
		r.failures.add(Refused{ID: record.ID, Reason: m.Err.Error()})
	case record.Kind != perdure.KindSession:
		if m.Changed {
			r.done.Tombstones++
		}
	case m.Killed:
		r.done.LeftDead++
	case m.Changed:
		r.done.Restored++
	default:
		r.done.Unchanged++
	}
}

// overwrite makes what is stored read as it does in the file, in its order, and
// merges the rest.
func (r *restore) overwrite(ctx context.Context, records []perdure.Record) ([]perdure.Merged, error) {
	ids := make([]string, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	stored, err := r.into.Backend.Load(ctx, ids)
	if _, err = perdure.AsUnreadable(err); err != nil {
		return nil, err
	}
	now := r.into.Clock.Now()
	merged := make([]perdure.Merged, len(records))
	var rest []perdure.Record
	var places []int
	for i, record := range records {
		if stored[i].Kind != perdure.KindSession || !record.Live(now) {
			rest, places = append(rest, record), append(places, i)
			continue
		}
		if merged[i], err = r.into.Overwrite(ctx, record); err != nil {
			merged[i].Err = err
		}
	}
	for n, m := range r.into.MergeAll(ctx, rest) {
		merged[places[n]] = m
	}
	return merged, nil
}
