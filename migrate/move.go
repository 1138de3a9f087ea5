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
// Before it says that it is done it compares the two stores, and moves once more what
// the target lacks. A target that loses what was moved into it while that goes on, or
// between two runs of a checkpoint, has all moved into it again.
//
// The error is an ErrIncomplete where some could not be moved and the rest were;
// a perdure.ErrInvalid for options that contradict each other; an ErrCheckpoint;
// the error of the first session that failed, unless Options.ContinueOnError
// says to go on; that of a store that was unavailable for too long; an ErrDataLoss
// for a target that loses data again and again; or an ErrDiffers where it does not
// hold what it has acknowledged, or the source has lost what was moved before. After
// any but the first two the same call with Options.Resume goes on.
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
	held  *history // of the target
	tell  *reporter
	tail  *tail // what a cut-over waits for; nil in a plain run

	rounds  int         // how often the stores were compared
	isBack  bool        // it is the way back of another
	leaving bool        // what the target holds is taken out of the source
	two     atomic.Bool // the source and the target are known to be two stores
}

func newMove(from Source, to perdure.Backend, o Options) (*move, error) {
	if err := o.check(from); err != nil {
		return nil, err
	}
	o.goBy(to)
	m := &move{Options: o, from: from, to: to, filter: o.Filter.matcher(), pace: newPace(o.Rate), tally: &tally{most: o.MaxErrors}, held: &history{store: to}}
	if s, ok := from.(store); ok {
		m.backs = s.Backend
	}
	m.merger = perdure.Merger{Backend: to, Clock: perdure.NewClock(o.Now), Codec: o.Codec}
	var err error
	m.at, err = o.openCheckpoint(m.tally, m.held)
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
	if err := m.confirm(ctx); err != nil {
		return err
	}
	if !m.DeleteMigrated {
		return m.look(ctx)
	}
	return m.leaveAll(ctx)
}

// leaveAll takes all that the target holds out of the source.
func (m *move) leaveAll(ctx context.Context) error {
	m.at.clear()
	m.leaving = true
	err := m.whole(ctx)
	if err == nil {
		err = m.look(ctx)
	}
	if errors.Is(err, ErrDataLoss) {
		return fmt.Errorf("%w; %d sessions had been taken out of the source by then: put a copy of the target back", err, m.tally.snapshot().Deleted)
	}
	if err != nil {
		return err
	}
	return m.sweep(ctx)
}

// maxRescans bounds how often in a row all is moved anew: because the feed of the source
// did not reach back to where the reading began, or the target lost what it held.
const maxRescans = 5

// whole moves what is there and catches up with what changed meanwhile.
func (m *move) whole(ctx context.Context) (err error) {
	for range maxRescans {
		if err = m.fill(ctx); !m.again(err) {
			return err
		}
	}
	if errors.Is(err, ErrDataLoss) {
		return fmt.Errorf("%w, %d times in a row; see that it keeps what it is given, and that nobody else empties it", err, maxRescans)
	}
	return fmt.Errorf("%w: the source changes faster than it can be read, %d times in a row; give it a longer feed", perdure.ErrFeedGap, maxRescans)
}

// again reports whether an error means that all has to be moved anew, and makes ready
// for that.
func (m *move) again(err error) bool {
	switch {
	case errors.Is(err, ErrDataLoss) && !m.leaving:
		m.Logger.Warn("what was moved is moved again", "why", err)
		m.at.forget()
	case errors.Is(err, perdure.ErrFeedTrimmed):
		m.at.clear()
	case errors.Is(err, perdure.ErrFeedGap):
		m.at.doubt()
		m.at.clear()
	case strange(err) && m.Resume: // the source was reached in another way
		m.at.clear()
	default:
		return false
	}
	return true
}

// fill moves what is left, and catches up.
func (m *move) fill(ctx context.Context) error {
	if err := m.look(ctx); err != nil {
		return err
	}
	if err := m.backfill(ctx); err != nil {
		return err
	}
	if m.backs != nil {
		m.tell.phase(PhaseCatchUp, 0)
		if err := m.drain(ctx); err != nil {
			return err
		}
	}
	return m.look(ctx)
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
		if err := m.look(ctx); err != nil { // before that is said to be done
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
