package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure"
)

// unknownHorizon is how long the tombstone of a session stands that nobody here
// knows: as long as any session can live.
const unknownHorizon = 400 * 24 * time.Hour

// offlineGet reads from the journal, then, if it answers reads, from the front
// store, then from the mirror.
func (b *Backend) offlineGet(ctx context.Context, st *status, id string) (perdure.Record, error) {
	r, err := b.journal.Get(ctx, id)
	if err != nil || r.Exists() {
		return r, err
	}
	if st.readable {
		if r, err := st.front.Get(ctx, id); err == nil && r.Exists() {
			return b.afterRevocation(ctx, r)
		}
	}
	if r, err = b.mirror.Get(ctx, id); err != nil || !r.Exists() {
		return r, b.orUnavailable(st, err, "this process does not hold the session")
	}
	if age := b.mirror.age(); b.opts.MaxAge > 0 && age > b.opts.MaxAge && r.Kind == perdure.KindSession {
		return perdure.Record{}, b.unavailable(st, "what this process holds is older than the policy allows")
	}
	return b.afterRevocation(ctx, r)
}

// afterRevocation is the record as a revocation that waits in the journal leaves
// it: that ends sessions which were not known here when it was made.
func (b *Backend) afterRevocation(ctx context.Context, r perdure.Record) (perdure.Record, error) {
	if r.Kind != perdure.KindSession {
		return r, nil
	}
	epoch, err := b.journal.Get(ctx, perdure.EpochID(r.User))
	if err != nil || !epoch.Exists() {
		return r, err
	}
	merged, err := b.merger(b.journal).Merge(ctx, r)
	return merged.Record, err
}

func (b *Backend) orUnavailable(st *status, err error, why string) error {
	if err != nil {
		return err
	}
	return b.unavailable(st, why)
}

// offlineApply carries out batches in the journal.
func (b *Backend) offlineApply(ctx context.Context, st *status, batches []perdure.Batch) ([]perdure.Result, error) {
	if err := b.writable(st); err != nil {
		return nil, err
	}
	var all []perdure.Batch // each preceded by what it is based on
	results := make([]perdure.Result, len(batches))
	at := map[int]int{} // where in all a batch is
	for i, batch := range batches {
		if mustMint(&batch[0]) {
			results[i].Outcome = perdure.Conflict
			continue
		}
		if results[i].Err = b.mergeable(&batch[0]); results[i].Err != nil {
			continue
		}
		seeds, missing, err := b.seeds(ctx, st, batch)
		if errors.Is(err, perdure.ErrFormat) {
			results[i].Err = err
			continue
		}
		if err != nil {
			return nil, err
		}
		if missing {
			if batch = b.withoutKnowing(batch); batch == nil {
				results[i].Err = b.unavailable(st, "this process does not hold the session")
				continue
			}
			results[i].Outcome = perdure.Applied
		}
		all = append(append(all, seeds...), batch)
		at[i] = len(all) - 1
	}
	if len(all) == 0 {
		return results, nil
	}
	applied, err := b.journal.Apply(ctx, all)
	if err != nil {
		return nil, b.journalFailed(err)
	}
	b.journal.noted()
	b.journalFails.Store(false)
	for i, j := range at {
		if planted := results[i].Outcome == perdure.Applied; planted {
			results[i].Err = applied[j].Err
		} else {
			results[i] = applied[j]
		}
	}
	return results, nil
}

// mustMint reports whether the write is of a session whose id was minted just
// before the outage was noticed: without the mark of one, other processes would
// take it for unknown.
func mustMint(w *perdure.Write) bool {
	_, marked := perdure.OutageTime(w.Record.ID)
	return w.Op == perdure.OpPut && w.Base.IsZero() && w.Record.Kind == perdure.KindSession &&
		w.Reason != perdure.ReasonMerged && !marked && len(w.Record.ID) == len(perdure.NewID(0))
}

// seeds are puts into the journal of what a batch is about and the journal does
// not hold yet. Missing is true where a write needs a record that nobody here
// has.
func (b *Backend) seeds(ctx context.Context, st *status, batch perdure.Batch) (seeds []perdure.Batch, missing bool, err error) {
	for _, w := range batch {
		known, err := b.seed(ctx, st, &seeds, w.Record.ID)
		if err != nil {
			return nil, false, err
		}
		needed := w.Op != perdure.OpPut || !w.Base.IsZero()
		missing = missing || needed && !known
		for _, id := range []string{w.Record.Parent, perdure.EpochID(w.Record.User)} {
			if w.Op == perdure.OpPut && id != "" {
				if _, err := b.seed(ctx, st, &seeds, id); err != nil {
					return nil, false, err
				}
			}
		}
	}
	return seeds, missing, nil
}

// seed adds a put of what is known of the id, unless the journal holds it, and
// reports whether anything is known.
func (b *Backend) seed(ctx context.Context, st *status, seeds *[]perdure.Batch, id string) (bool, error) {
	r, err := b.journal.Get(ctx, id)
	if err != nil || r.Exists() {
		return err == nil, err
	}
	if r, err = b.offlineGet(ctx, st, id); err != nil || !r.Exists() {
		return false, nil
	}
	w := perdure.Write{Op: perdure.OpPut, Record: r}
	if r.Kind == perdure.KindSession && r.User != "" {
		if epoch, err := b.mirror.Get(ctx, perdure.EpochID(r.User)); err == nil {
			w.Epoch = epoch.Version
		}
	}
	*seeds = append(*seeds, perdure.Batch{w})
	return true, nil
}

// withoutKnowing is what can be done about a session that nobody here holds: a
// removal leaves a tombstone, which ends it wherever it is. All else is nil.
func (b *Backend) withoutKnowing(batch perdure.Batch) perdure.Batch {
	w := batch[0]
	if w.Op != perdure.OpRemove {
		return nil
	}
	w.Plant, w.Record.Kind = true, perdure.KindTombstone
	w.Record.Horizon = max(w.Record.Horizon, perdure.MillisOf(b.opts.Now().Add(unknownHorizon)))
	return perdure.Batch{w}
}

// mergeable says whether a write of this process's clock could be merged later.
func (b *Backend) mergeable(w *perdure.Write) error {
	ahead := time.Duration(b.ahead.Load())
	if w.Op != perdure.OpPut || ahead <= b.opts.MaxClockSkew {
		return nil
	}
	return fmt.Errorf("%w: the clock of this machine is %v ahead of the session store's; set it right", perdure.ErrSkew, ahead.Round(time.Second))
}

// writable says whether the journal may grow.
func (b *Backend) writable(st *status) error {
	switch {
	case b.opts.Outage == OutageReadOnly:
		return b.unavailable(st, "the policy is to refuse writes until it is back")
	case b.journal.age() > b.opts.MaxJournalAge:
		return b.unavailable(st, "the oldest entry of the journal is older than is allowed")
	}
	return nil
}

// journalFailed handles a journal that does not take a write.
func (b *Backend) journalFailed(err error) error {
	if errors.Is(err, perdure.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		b.journalFails.Store(true)
		b.wake()
	}
	return err
}
