package migrate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/perdure/perdure"
)

// Run moves sessions from the source into the target, and then what changed in
// the source meanwhile. It returns what became of them, with an error too.
//
// The error is an ErrIncomplete where some could not be moved and the rest were;
// a perdure.ErrInvalid for options that contradict each other; an ErrCheckpoint;
// the error of the first session that failed, unless Options.ContinueOnError
// says to go on; or that of a store that was unavailable for too long. After any
// but the first two the same call with Options.Resume goes on.
func Run(ctx context.Context, from Source, to perdure.Backend, o Options) (Result, error) {
	m, err := newMove(from, to, o)
	if err != nil {
		return Result{}, err
	}
	err = m.under(ctx, m.run)
	return m.finish(err)
}

// move is a run under way.
type move struct {
	Options
	from   Source
	backs  perdure.Backend // the source, where that is a backend
	to     perdure.Backend
	merger perdure.Merger
	filter matcher

	pace  *pace
	tally *tally
	at    *checkpoint
	tell  *reporter
	tail  *tail // what a cut-over waits for; nil in a plain run

	two atomic.Bool // the source and the target are known to be two stores
}

func newMove(from Source, to perdure.Backend, o Options) (*move, error) {
	if err := o.check(from); err != nil {
		return nil, err
	}
	o.goBy(to)
	m := &move{Options: o, from: from, to: to, filter: o.Filter.matcher(), pace: newPace(o.Rate), tally: &tally{most: o.MaxErrors}}
	if s, ok := from.(store); ok {
		m.backs = s.Backend
	}
	m.merger = perdure.Merger{Backend: to, Clock: perdure.NewClock(o.Now), Codec: o.Codec}
	var err error
	m.at, err = o.openCheckpoint(m.tally)
	return m, err
}

// under does something with progress told and the checkpoint kept.
func (m *move) under(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	m.tell = m.report(m.at.result)
	var keeper sync.WaitGroup
	keeper.Go(func() {
		if err := m.at.keep(ctx); err != nil {
			cancel(err)
		}
	})
	err := do(ctx)
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	cancel(nil)
	keeper.Wait()
	m.tell.end()
	return err
}

// finish is the result of a run that ended with err.
func (m *move) finish(err error) (Result, error) {
	if err != nil {
		return m.at.result(), errors.Join(err, m.at.save())
	}
	result := m.at.result()
	if err := m.at.remove(); err != nil {
		return result, fmt.Errorf("checkpoint: %w", err)
	}
	if result.Failed > 0 {
		return result, fmt.Errorf("%w: %d of %d", ErrIncomplete, result.Failed, result.Total)
	}
	return result, nil
}

// run is Run.
func (m *move) run(ctx context.Context) error {
	if err := m.whole(ctx); err != nil {
		return err
	}
	if !m.DeleteMigrated {
		return nil
	}
	return m.sweep(ctx)
}

// maxRescans bounds how often the source is read anew because its feed did not
// reach back to where the reading began.
const maxRescans = 3

// whole moves what is there and catches up with what changed meanwhile.
func (m *move) whole(ctx context.Context) error {
	for n := range maxRescans {
		err, gap := m.backfill(ctx), false
		if err == nil && m.backs != nil {
			m.tell.phase(PhaseCatchUp, 0)
			err = m.drain(ctx)
			gap = errors.Is(err, perdure.ErrFeedGap)
		}
		// A checkpoint may have been made when the source was reached in another way.
		strange, ok := errors.AsType[*perdure.InvalidError](err)
		if !gap && !(ok && strange.Field == "cursor" && m.Resume && n == 0) {
			return err
		}
		m.at.clear()
	}
	return fmt.Errorf("%w: the source changes faster than it can be read, %d times in a row; give it a longer feed", perdure.ErrFeedGap, maxRescans)
}

// backfill moves what is there.
func (m *move) backfill(ctx context.Context) error {
	var parts int
	var count int64
	err := m.patiently(ctx, m.tell, func(ctx context.Context) (err error) {
		if parts, err = m.from.Parts(ctx); err == nil {
			count, err = m.from.Count(ctx)
		}
		return err
	})
	if err != nil {
		return err
	}
	m.at.parts(parts)
	if m.backs != nil && m.at.feed() == "" {
		cursor, err := m.now(ctx, m.backs)
		if err != nil {
			return err
		}
		m.at.setFeed(cursor)
	}
	m.tell.phase(PhaseBackfill, count)
	return forEach(ctx, m.Workers, parts, m.part)
}

// part moves what is left of a part of the source.
func (m *move) part(ctx context.Context, part int) error {
	cursor, done := m.at.at(part)
	for !done {
		var page Page
		err := m.patiently(ctx, m.tell, func(ctx context.Context) (err error) {
			page, err = m.from.Read(ctx, part, cursor, m.BatchSize)
			return err
		})
		if err != nil {
			return fmt.Errorf("reading part %d of the source: %w", part, err)
		}
		m.tally.fail(page.Refused...)
		if err := m.carry(ctx, page.Records, m.SkipExisting); err != nil {
			return err
		}
		cursor = page.Next
		m.at.advance(part, cursor)
		done = cursor == ""
	}
	return nil
}

// forEach calls do for 0 to n-1 from several goroutines. It returns the first
// error, which ends the rest.
func forEach(ctx context.Context, workers, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	next := make(chan int)
	for range min(workers, n) {
		group.Go(func() {
			for i := range next {
				if ctx.Err() != nil {
					continue
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
	return context.Cause(ctx)
}
