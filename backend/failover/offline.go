package failover

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/perdure/perdure"
)

// unknownHorizon is how long the tombstone of a session stands that nobody here
// knows: as long as any session can live.
const unknownHorizon = 400 * 24 * time.Hour

// offlineGet is what this process can say of an id without the front store.
func (b *Backend) offlineGet(ctx context.Context, st *status, id string) (perdure.Record, error) {
	held, err := b.held(ctx, st, id)
	switch {
	case err != nil:
		return perdure.Record{}, err
	case !held.Exists():
		return perdure.Record{}, b.unavailable(st, "this process does not hold the session")
	}
	if err := b.vouch(st, &held, b.now()); err != nil {
		return perdure.Record{}, err
	}
	return held.Record, nil
}

// held reads from the journal, then, if it answers reads, from the front store, then
// from the mirror.
func (b *Backend) held(ctx context.Context, st *status, id string) (holding, error) {
	r, err := b.journal.Get(ctx, id)
	switch {
	case err != nil:
		return holding{}, err
	case r.Kind == perdure.KindSession:
		return b.heldInJournal(ctx, st, r)
	case r.Exists():
		return holding{Record: r}, nil
	}
	if st.readable {
		if r, err := st.front.Get(ctx, id); err == nil && r.Exists() {
			joined, _ := b.mirror.learn(&r, perdure.Version{}) // it may be a replica that is behind
			if rotated(&r, &joined) {
				b.mirror.learn(&r, joined.Version)
				return holding{Record: r, fresh: true}, nil
			}
			held, err := b.afterEnds(ctx, st, joined)
			held.fresh = true
			return held, err
		}
	}
	if r, err = b.mirror.Get(ctx, id); err != nil || !r.Exists() {
		return holding{}, err
	}
	return b.afterEnds(ctx, st, r)
}

// heldInJournal is what is known of a session that the journal holds. One that the
// mirror knows to have ended, in a recovery that another outage cut short, ends in the
// journal too; and so does one that has ended in a front store that answers reads.
func (b *Backend) heldInJournal(ctx context.Context, st *status, r perdure.Record) (holding, error) {
	if tomb, err := b.mirror.Get(ctx, r.ID); err == nil && tomb.Ended() {
		merged, err := b.merger(b.journal).Merge(ctx, tomb)
		return holding{Record: merged.Record}, err
	}
	held := b.journalled(r)
	if ended, err := b.endsWithAncestor(ctx, st, &held.Record); err != nil {
		return holding{}, err
	} else if ended {
		held.orphan = &r
		return *held, nil
	}
	if !st.readable {
		return *held, nil
	}
	if stored, err := st.front.Get(ctx, r.ID); err == nil && stored.Exists() {
		held.fresh, held.stale = true, false
		if isCut(&stored) {
			stored = entombed(stored, perdure.ReasonRevoked, b.clock.Tick(stored.Version))
		}
		if stored.Ended() {
			held.Record, held.orphan = stored, &r
		}
	}
	return *held, nil
}

// afterEnds is the record as foresee has it.
func (b *Backend) afterEnds(ctx context.Context, st *status, r perdure.Record) (holding, error) {
	held := holding{Record: r}
	if r.Kind != perdure.KindSession || b.journal.ends.len() == 0 {
		return held, nil
	}
	foreseen, err := b.foresee(ctx, st, []perdure.Record{r})
	if err == nil {
		err = foreseen[0].Err
	}
	if err != nil {
		return holding{}, err
	}
	if held.Record = foreseen[0].Record; held.Reason == perdure.ReasonParentEnded {
		held.orphan = &r
	}
	return held, nil
}

// offlineApply carries out batches in the journal.
func (b *Backend) offlineApply(ctx context.Context, st *status, batches []perdure.Batch) ([]perdure.Result, error) {
	if err := b.endable(st); err != nil {
		return nil, err
	}
	full := b.writable(st)
	results := make([]perdure.Result, len(batches))
	var all []perdure.Batch // each preceded by what it is based on
	var plans []plan
	for i, batch := range batches {
		if mustMint(&batch[0]) {
			if results[i] = b.minted(ctx, st, batch[0].Record.ID); !results[i].Stored.Exists() && batch[0].Record.Parent == "" {
				p := b.abandon(batch[0].Record)
				p.first = len(all)
				all = append(all, p.batch)
				plans = append(plans, p)
			}
			continue
		}
		if results[i].Err = b.timely(st, batch); results[i].Err != nil {
			continue
		}
		if !isEnd(batch) {
			if results[i].Err = cmp.Or(full, b.decidable(st, batch)); results[i].Err != nil {
				continue
			}
		}
		p, err := b.plan(ctx, st, batch)
		if errors.Is(err, perdure.ErrFormat) {
			results[i].Err = err
			continue
		}
		if err != nil {
			return nil, err
		}
		if p.refused != nil {
			results[i].Err = p.refused
			continue
		}
		p.result, p.first = &results[i], len(all)
		all = append(append(all, p.seeds...), p.batch)
		plans = append(plans, p)
	}
	if len(all) == 0 {
		return results, nil
	}
	for _, p := range plans {
		b.stamped(p.batch)
	}
	applied, err := b.journal.Apply(ctx, all)
	for _, p := range plans {
		for _, batch := range append(p.seeds, p.batch) {
			b.noteEnds(batch) // applied or not: an error may come after the write
		}
	}
	if err != nil {
		return nil, b.journalFailed(err)
	}
	b.noteFirst()
	if slices.ContainsFunc(plans, func(p plan) bool { return !isEnd(p.batch) }) { // for ends there is room on a full disk, too
		b.journalFails.Store(false)
	}
	for _, p := range plans {
		*p.result = p.outcome(applied)
		if p.overtaken(applied) {
			*p.result = perdure.Result{Err: b.unavailable(st, "what is written to is being merged; try again")}
		}
		if isEnd(p.batch) {
			p.result.Err = b.noRoom(st, p.result.Err)
		}
		b.vouchFor(ctx, st, p.batch, p.result)
		if p.result.Outcome == perdure.Applied {
			b.noteOwn(p.batch)
		}
	}
	return results, nil
}

// minted is the result of a put under an id that was minted before the outage:
// another is wanted, unless the put has reached the front store, as recognise
// then finds out.
func (b *Backend) minted(ctx context.Context, st *status, id string) perdure.Result {
	result := perdure.Result{Outcome: perdure.Conflict}
	if !st.readable {
		return result
	}
	if r, err := st.front.Get(ctx, id); err == nil && r.Exists() {
		b.mirror.learn(&r, perdure.Version{})
		result.Stored = r
	}
	return result
}

// abandon ends the session that was to be created under an id for which another is
// minted now: the front store may have got the write, and carry it out when it is back,
// without anybody knowing of the session. A rotation is not abandoned: if it was carried
// out, its id is the one that the session has.
func (b *Backend) abandon(r perdure.Record) plan {
	tomb := entombed(r, perdure.ReasonRevoked, b.clock.Tick(r.Version))
	return plan{batch: perdure.Batch{{Op: perdure.OpRemove, Plant: true, Record: tomb}}, plants: true, result: &perdure.Result{}}
}

// noteEnds has what ends sessions merged first after the outage.
func (b *Backend) noteEnds(batch perdure.Batch) {
	for i := range batch {
		if w := &batch[i]; w.Op == perdure.OpRemove || w.Op == perdure.OpPut && w.Record.Kind != perdure.KindSession {
			b.journal.ends.add(w.Record.ID)
		}
	}
}

// plan is how a batch is carried out in the journal.
type plan struct {
	// seeds are puts of what is known of the ids that the batch is about, in the
	// journal too: what that holds now may be merged, and forgotten, before the batch
	// comes. Where it is still there they change nothing.
	seeds   []perdure.Batch
	batch   perdure.Batch
	refused error           // it needs a session of which too little is known here
	ends    *perdure.Record // the session that a removal ends, if it is known
	plants  bool            // a removal that may meet nothing in the journal
	result  *perdure.Result
	first   int // where its seeds are in what is applied
}

// plan finds out what the journal has to be given for a batch.
func (b *Backend) plan(ctx context.Context, st *status, batch perdure.Batch) (p plan, err error) {
	p.batch = batch
	if batch[0].Op == perdure.OpRemove {
		return b.planRemoval(ctx, st, batch)
	}
	for _, w := range batch {
		known, err := b.seed(ctx, st, &p.seeds, w.Record.ID)
		if err != nil {
			return p, err
		}
		if needed := w.Op != perdure.OpPut || !w.Base.IsZero(); needed && !known.Exists() {
			p.refused = b.unavailable(st, "this process does not hold the session")
		} else if needsLife(&w) {
			p.refused = b.vouch(st, &known, max(b.now(), w.Record.LastAccess))
		}
		if p.refused != nil {
			return p, nil
		}
		for _, id := range []string{w.Record.Parent, perdure.EpochID(w.Record.User)} {
			if w.Op == perdure.OpPut && id != "" {
				if _, err := b.seed(ctx, st, &p.seeds, id); err != nil {
					return p, err
				}
			}
		}
	}
	return p, nil
}

// planRemoval plants a tombstone: that of a session which is known here, or one that
// ends a session which nobody here knows, wherever it is. Either takes less room than
// the session would, so that a logout fits into a journal that is full.
func (b *Backend) planRemoval(ctx context.Context, st *status, batch perdure.Batch) (plan, error) {
	w := batch[0]
	p := plan{batch: batch}
	r, err := b.known(ctx, st, w.Record.ID)
	switch {
	case err != nil:
		return p, err
	case r.orphan != nil: // the logout that ended its ancestor comes to it in its turn
		p.ends = r.orphan
		w.Record = entombed(*r.orphan, w.Record.Reason, w.Record.Version)
	case r.Kind == perdure.KindTombstone:
		p.seeds = append(p.seeds, perdure.Batch{{Op: perdure.OpPut, Record: r.Record}})
		return p, nil
	case r.Kind == perdure.KindSession:
		p.ends = &r.Record
		w.Record = entombed(r.Record, w.Record.Reason, w.Record.Version)
	default:
		w.Record = b.unknown(w.Record)
	}
	p.plants, w.Plant = true, true
	p.batch = perdure.Batch{w}
	return p, nil
}

// unknown is the tombstone of a session that nobody here knows.
func (b *Backend) unknown(tomb perdure.Record) perdure.Record {
	tomb.Kind = perdure.KindTombstone
	tomb.Horizon = max(tomb.Horizon, perdure.MillisOf(b.opts.Now().Add(unknownHorizon)))
	return tomb
}

// outcome is what became of the batch. Where there was no room for what it is based
// on, that is why it failed.
func (p *plan) outcome(applied []perdure.Result) perdure.Result {
	last := p.first + len(p.seeds)
	for _, seeded := range applied[p.first:last] {
		if seeded.Err != nil {
			return perdure.Result{Err: seeded.Err}
		}
	}
	r := applied[last]
	if p.plants && r.Err == nil && r.Outcome == perdure.Absent && !r.Stored.Exists() {
		r.Outcome = perdure.Applied
		if p.ends != nil {
			r.Stored = *p.ends
		}
	}
	return r
}

// overtaken reports whether the batch met nothing although its seeds were there a
// moment before: they were merged, and have left a journal in memory, in between. To
// answer that there is nothing would lose a logout.
func (p *plan) overtaken(applied []perdure.Result) bool {
	if p.result.Err != nil || p.result.Outcome == perdure.Applied || p.result.Stored.Exists() {
		return false
	}
	for i, seed := range p.seeds {
		if met := applied[p.first+i].Stored; met.Exists() && met.ID != seed[0].Record.ID {
			return false // it was not let in: the epoch of its user, or the end of its parent
		}
	}
	w := &p.batch[p.result.Write]
	return w.Op == perdure.OpRemove || w.Op == perdure.OpPut && !w.Base.IsZero()
}

// mustMint reports whether the write is of a session whose id was minted just
// before the outage was noticed: without the mark of one, other processes would
// take it for unknown.
func mustMint(w *perdure.Write) bool {
	_, marked := perdure.OutageTime(w.Record.ID)
	return w.Op == perdure.OpPut && w.Base.IsZero() && w.Record.Kind == perdure.KindSession &&
		w.Reason != perdure.ReasonMerged && !w.Chosen && !marked && len(w.Record.ID) == len(perdure.NewID(0))
}

// known is held for who can do without: none where nobody here knows the id. The error
// is that of the journal, or of a context that has ended.
func (b *Backend) known(ctx context.Context, st *status, id string) (holding, error) {
	held, err := b.held(ctx, st, id)
	if err == nil || ctx.Err() != nil {
		return held, err
	}
	if _, err := b.journal.Get(ctx, id); err != nil {
		return holding{}, err
	}
	return holding{}, nil
}

// seed adds a put of what is known of the id, and returns that.
func (b *Backend) seed(ctx context.Context, st *status, seeds *[]perdure.Batch, id string) (holding, error) {
	held, err := b.known(ctx, st, id)
	if err != nil || !held.Exists() {
		return holding{}, err
	}
	w := perdure.Write{Op: perdure.OpPut, Record: held.Record}
	if held.orphan != nil {
		w.Op, w.Plant = perdure.OpRemove, true // the journal may hold it as a session
	}
	if held.Kind == perdure.KindSession && held.User != "" {
		// What is known of it has the epoch taken into account.
		epoch, err := b.journal.Get(ctx, perdure.EpochID(held.User))
		if err == nil && !epoch.Exists() {
			epoch, err = b.mirror.Get(ctx, perdure.EpochID(held.User))
		}
		if err == nil {
			w.Epoch = epoch.Version
		}
	}
	*seeds = append(*seeds, perdure.Batch{w})
	return held, nil
}

// journalFailed handles a journal that does not take a write.
func (b *Backend) journalFailed(err error) error {
	if errors.Is(err, perdure.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		b.journalFailures.Add(1)
		b.journalTook(err)
		b.wake()
	}
	return err
}
