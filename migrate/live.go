package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
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

// maxRounds bounds how often the stores are compared.
const maxRounds = 5

// Live moves sessions while they are in use: it moves what is there, follows the
// change feed, compares the stores until only what has just changed differs, and
// then cuts over at the gate. A session that is ended meanwhile is ended in the
// target too.
//
// A nil gate cuts over at once: for writers that have been stopped otherwise.
// Errors are those of Run, ErrDiffers where the stores do not come into step, and
// perdure.ErrFeedGap where the source's feed has lost something at the moment of the
// cut-over: the writers then stay with the source, and Live can be called again.
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
	m.tail = newTail()
	var result LiveResult
	err = m.under(ctx, func(ctx context.Context) error {
		if err := m.whole(ctx); err != nil {
			return err
		}
		return m.live(ctx, gate, &result)
	})
	result.Result, err = m.finish(err)
	return result, err
}

// open is the gate of nobody.
type open struct{}

func (open) Ready(context.Context) error { return nil }
func (open) Hold(context.Context) error  { return nil }
func (open) Release(bool)                {}

// live follows the feed until the cut-over.
func (m *move) live(ctx context.Context, gate Gate, result *LiveResult) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	following, stop := context.WithCancel(ctx)
	var follower sync.WaitGroup
	var unfinished error
	follower.Go(func() {
		switch err := m.follow(following); {
		case err == nil:
		case following.Err() == nil:
			cancel(err)
		case errors.Is(err, perdure.ErrFeedGap):
			unfinished = err
		}
	})
	defer follower.Wait()
	defer stop()
	if err := m.rounds(ctx, result); err != nil {
		return cause(ctx, err)
	}
	m.tell.phase(PhaseInStep, 0)
	if err := gate.Ready(ctx); err != nil {
		return cause(ctx, err)
	}
	if err := m.tail.await(ctx); err != nil { // writes are not held for a source that is being read anew
		return cause(ctx, err)
	}
	back, err := m.now(ctx, m.to)
	if err != nil {
		return cause(ctx, err)
	}
	result.Back = back
	m.tail.round()
	began := time.Now()
	moved := false
	defer func() {
		gate.Release(moved)
		result.Pause = time.Since(began)
	}()
	if err := gate.Hold(ctx); err != nil {
		return cause(ctx, err)
	}
	stop()
	follower.Wait()
	if unfinished != nil {
		return unfinished
	}
	if err := m.last(ctx); err != nil {
		return cause(ctx, err)
	}
	moved = true
	return nil
}

// cause is why the context ended, if it has, else err.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

// rounds compares the stores until only what has changed since the comparison
// began differs.
func (m *move) rounds(ctx context.Context, result *LiveResult) error {
	if err := m.tail.await(ctx); err != nil {
		return err
	}
	defer m.tail.rest()
	for result.Rounds < maxRounds {
		result.Rounds++
		m.tail.round()
		unlike, err := m.compare(ctx)
		if err != nil {
			return err
		}
		if len(unlike) == 0 {
			return nil
		}
		if err := m.tail.await(ctx); err != nil {
			return err
		}
		settled := m.tail.settled(slices.Collect(maps.Keys(unlike)))
		changed, err := m.repair(ctx, settled)
		if err != nil {
			return err
		}
		listed := !slices.ContainsFunc(settled, func(id string) bool { return unlike[id] == Index })
		if changed == 0 && listed {
			return nil // what differs is what the target knows besides
		}
	}
	return fmt.Errorf("%w: after %d rounds; compare them with Verify", ErrDiffers, maxRounds)
}

// maxUnlike bounds the sessions that may differ for the stores to count as about
// to be in step.
const maxUnlike = 100_000

// compare is what differs in a comparison of all.
func (m *move) compare(ctx context.Context) (map[string]Kind, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	v := newComparison(m.from, m.to, VerifyOptions{Reading: m.Reading, OneWay: true})
	v.tell = m.tell
	var mu sync.Mutex
	unlike := map[string]Kind{}
	v.differs = func(d Difference) {
		mu.Lock()
		defer mu.Unlock()
		if unlike[d.ID] = d.Kind; len(unlike) > maxUnlike {
			cancel(fmt.Errorf("%w: more than %d sessions do", ErrDiffers, maxUnlike))
		}
	}
	if err := v.run(ctx); err != nil {
		return nil, cause(ctx, err)
	}
	return unlike, nil
}

// repair merges what the source holds under the ids once more, and returns how
// much of it the target did not hold yet.
func (m *move) repair(ctx context.Context, ids []string) (changed int, err error) {
	for some := range slices.Chunk(ids, m.BatchSize) {
		records, err := m.load(ctx, m.backs, some)
		if err != nil {
			return 0, err
		}
		records, _ = m.choose(records)
		merged := m.merge(ctx, records)
		if err := m.halt(records, merged); err != nil {
			return 0, err
		}
		for i := range merged {
			if merged[i].Changed {
				changed++
			}
		}
	}
	return changed, nil
}

// last carries what was written before the writers were held, and makes sure of
// what has changed of late.
func (m *move) last(ctx context.Context) error {
	if err := m.empty(ctx); err != nil {
		return err
	}
	changed, err := m.repair(ctx, m.tail.all())
	if err == nil && changed > 0 {
		err = fmt.Errorf("%w: the feed of the source did not tell of %d sessions", ErrDiffers, changed)
	}
	return err
}
