package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/perdure/perdure"
)

// Gate stands between those who write and the store that they write to. Live
// calls its methods in this order, each at most once, and Release always after
// Hold.
type Gate interface {
	// Ready is called when the target is in step with the source, and returns
	// when it is time to cut over. Until then the target stays in step.
	Ready(ctx context.Context) error
	// Hold lets no write begin any more, and returns when none is under way.
	Hold(ctx context.Context) error
	// Release lets writes go on: to the target where moved, else to the source.
	Release(moved bool)
}

// LiveResult is what became of a live migration.
type LiveResult struct {
	Result
	// Rounds is how often the stores were compared.
	Rounds int `json:"rounds"`
	// Pause is how long writes were held.
	Pause time.Duration `json:"-"`
	// Back is the cursor of the target's feed from before the first write that it
	// took: give it to Follow to keep the source in step, as a way back.
	Back string `json:"back"`
}

// Live moves sessions while they are in use: it moves what is there, follows the
// change feed, compares the stores until only what has just changed differs, and
// then cuts over at the gate. A session that is ended meanwhile is ended in the
// target too. Where Options.Reverse is set the source is kept in step with the target
// in the same way: until the cut-over both may be written to.
//
// A nil gate cuts over at once: for writers that have been stopped otherwise.
// Errors are those of Run, ErrDiffers where the stores do not come into step, and, at
// the moment of the cut-over, perdure.ErrFeedGap where the source's feed has lost
// something, and ErrDataLoss where the target has: the writers then stay with the
// source, and Live can be called again.
func Live(ctx context.Context, from, to perdure.Backend, gate Gate, o Options) (LiveResult, error) {
	if o.SkipExisting {
		return LiveResult{}, invalid("SkipExisting", "is set: a live migration merges what changes, whoever holds it; leave it out, or use Run")
	}
	if o.DeleteMigrated {
		return LiveResult{}, invalid("DeleteMigrated", "is set: in a live migration the source is in use until the cut-over; use Run afterwards")
	}
	m, err := newMove(FromBackend(from), to, o)
	if err != nil {
		return LiveResult{}, err
	}
	if gate == nil {
		gate = open{}
	}
	l := &live{ways: []*move{m}, gate: gate}
	m.tail = newTail()
	if o.Reverse {
		l.ways = append(l.ways, m.reversed())
	}
	err = m.under(ctx, l.run)
	l.result.Rounds = m.rounds
	l.result.Result, err = m.finish(err)
	return l.result, err
}

// open is the gate of nobody.
type open struct{}

func (open) Ready(context.Context) error { return nil }
func (open) Hold(context.Context) error  { return nil }
func (open) Release(bool)                {}

// reversed is the way back, which shares the checkpoint.
func (m *move) reversed() *move {
	back := &move{
		Options: m.Options, from: FromBackend(m.to), backs: m.to, to: m.backs, filter: m.filter, pace: m.pace,
		tally: &tally{most: m.MaxErrors}, held: &history{store: m.backs}, tail: newTail(), isBack: true,
	}
	back.Progress = nil // that of the way there is told
	back.merger = m.merger
	back.merger.Backend = m.backs
	back.at = newCheckpoint(back.tally, back.held)
	if found := m.at.state.Back; found != nil {
		back.at.restore(*found)
	}
	m.at.back = back.at
	return back
}

// live is a live migration under way.
type live struct {
	ways   []*move // the way there, and that back if there is one
	gate   Gate
	result LiveResult
}

// run moves, follows and cuts over.
func (l *live) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var followers []*follower
	stop := func() (err error) {
		for _, f := range followers {
			f.stop()
			err = errors.Join(err, f.unfinished)
		}
		return err
	}
	defer stop()
	for _, m := range l.ways {
		if m.tell == nil {
			m.tell = m.report(m.at.result)
			defer m.tell.end()
		}
		if err := m.whole(ctx); err != nil {
			return cause(ctx, err)
		}
		followers = append(followers, m.startFollower(ctx, cancel))
	}
	if err := l.inStep(ctx); err != nil {
		return cause(ctx, err)
	}
	l.there().tell.phase(PhaseInStep, 0)
	looks := l.there().tail.looks()
	if err := l.gate.Ready(ctx); err != nil {
		return cause(ctx, err)
	}
	if l.there().tail.looks() > looks+1 { // much may have become of the target since
		if err := l.inStep(ctx); err != nil {
			return cause(ctx, err)
		}
	}
	return cause(ctx, l.cutOver(ctx, stop))
}

func (l *live) there() *move { return l.ways[0] }

// inStep returns when the stores are in step, in both directions if it goes both ways.
func (l *live) inStep(ctx context.Context) error {
	for range maxRounds {
		restarts := l.restarts()
		for _, m := range l.ways {
			if err := m.settle(ctx); err != nil {
				return err
			}
		}
		if err := l.there().accuse(ctx); err != nil {
			return err
		}
		if err := l.await(ctx); err != nil { // what was lost meanwhile is being moved again until then
			return err
		}
		if l.restarts() == restarts {
			return nil
		}
	}
	return fmt.Errorf("%w: a store lost data each time that they were about to be in step", ErrDataLoss)
}

// await returns when all that had changed has been carried, and no source is being read
// anew.
func (l *live) await(ctx context.Context) error {
	for _, m := range l.ways {
		if err := m.tail.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// restarts is how often all had to be moved anew.
func (l *live) restarts() (n uint64) {
	for _, m := range l.ways {
		n += m.tail.restarts()
	}
	return n
}

// cutOver has writes held, carries the last of them, and lets them go on.
func (l *live) cutOver(ctx context.Context, stop func() error) error {
	m := l.there()
	if err := l.await(ctx); err != nil { // writes are not held for a source that is being read anew
		return err
	}
	back, err := m.now(ctx, m.to)
	if err != nil {
		return err
	}
	l.result.Back = back
	for _, m := range l.ways {
		m.tail.round()
	}
	began := time.Now()
	moved := false
	defer func() {
		l.gate.Release(moved)
		l.result.Pause = time.Since(began)
	}()
	if err := l.gate.Hold(ctx); err != nil {
		return err
	}
	if err := stop(); err != nil {
		return err
	}
	if err := l.last(ctx); err != nil {
		return err
	}
	moved = true
	return nil
}

// last carries what is left. What the way back brings the way there takes along, and
// what comes of that the way back.
func (l *live) last(ctx context.Context) error {
	for _, back := range l.ways[1:] {
		if err := back.drain(ctx); err != nil {
			return err
		}
	}
	if err := l.there().last(ctx); err != nil {
		return err
	}
	for _, back := range l.ways[1:] {
		if err := back.drain(ctx); err != nil {
			return err
		}
	}
	for _, m := range l.ways {
		if err := m.look(ctx); err != nil {
			return err
		}
	}
	return nil
}

// cause is why the context ended, if it has, else err.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

// settle compares the stores until only what has changed since the comparison began
// differs.
func (m *move) settle(ctx context.Context) error {
	if err := m.tail.await(ctx); err != nil {
		return err
	}
	defer m.tail.rest()
	for range maxRounds {
		restarts := m.tail.restarts()
		m.tail.round()
		unlike, differs := m.compare(ctx)
		if differs != nil && !errors.Is(differs, ErrDiffers) {
			return differs
		}
		if differs == nil && len(unlike) == 0 {
			return nil
		}
		if err := m.tail.await(ctx); err != nil {
			return err
		}
		if m.tail.restarts() > restarts {
			continue // what differs has been moved again
		}
		if differs != nil {
			return differs
		}
		settled := m.tail.settled(slices.Collect(maps.Keys(unlike)))
		changed, failed, err := m.repair(ctx, settled)
		if err != nil {
			return err
		}
		listed := !slices.ContainsFunc(settled, func(id string) bool { return unlike[id] == Index })
		if changed == 0 && listed || len(failed) == len(settled) && len(failed) > 0 {
			return nil // what differs is what the target knows besides
		}
	}
	return fmt.Errorf("%w: after %d rounds; compare them with Verify", ErrDiffers, maxRounds)
}

// last carries what was written before the writers were held, and makes sure of
// what has changed of late.
func (m *move) last(ctx context.Context) error {
	if err := m.empty(ctx); err != nil {
		return err
	}
	changed, _, err := m.repair(ctx, m.tail.all())
	if err == nil && changed > 0 && !m.Reverse {
		err = fmt.Errorf("%w: the feed of the source did not tell of %d sessions", ErrDiffers, changed)
	}
	return err
}
