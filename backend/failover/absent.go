package failover

import (
	"context"
	"errors"
	"fmt"

	"github.com/perdure/perdure"
)

// checkAbsent looks again at what the front store does not hold. A session that
// this process knows to be alive cannot be gone without a tombstone: the front
// store has lost it, and gets it back. One minted by another process in an
// outage may still be in that one's journal.
func (b *Backend) checkAbsent(ctx context.Context, id string, r perdure.Record) (perdure.Record, error) {
	if r.Exists() {
		b.mirror.learn(&r)
		return r, nil
	}
	st := b.status.Load()
	held, err := b.mirror.Get(ctx, id)
	if err != nil {
		return r, err
	}
	now := perdure.MillisOf(b.opts.Now())
	if held.Live(now) || held.Kind == perdure.KindTombstone {
		b.wake()
		if b.opts.DataLoss == DataLossRelogin && !b.recent(&held, now) {
			return r, nil
		}
		return b.mergeOne(ctx, st.front, held)
	}
	if minted, ok := perdure.OutageTime(id); ok && b.opts.Now().Sub(minted) < b.opts.OutageIDAge {
		return r, b.elsewhere(st, "a session minted in an outage is not merged yet")
	}
	if b.opts.Now().Before(st.graceUntil) {
		return r, b.elsewhere(st, "after a loss of data the session may be on its way back")
	}
	if !b.sameHistory(ctx, st) {
		b.wake()
		return r, b.elsewhere(st, "it may have another history than before")
	}
	return r, nil
}

// sameHistory reports whether the front store is known to be the one that it was
// when it was last well: else what it does not hold may be what it has lost.
func (b *Backend) sameHistory(ctx context.Context, st *status) bool {
	front, ok := st.front.(Incarnated)
	if !ok || st.incarnation == "" {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, b.opts.ProbeTimeout)
	defer cancel()
	incarnation, err := front.Incarnation(ctx)
	return err == nil && incarnation == st.incarnation
}

// errElsewhere marks an ErrUnavailable that says nothing about the front store.
var errElsewhere = errors.New("another process may hold it")

func (b *Backend) elsewhere(st *status, why string) error {
	return fmt.Errorf("%w: %w", b.unavailable(st, why), errElsewhere)
}

// lookAgain does for writes what checkAbsent does for reads: it has another look
// at results that say that nothing is stored.
func (b *Backend) lookAgain(ctx context.Context, front perdure.Backend, batches []perdure.Batch, results []perdure.Result) {
	for i := range results {
		r := &results[i]
		w := &batches[i][r.Write]
		creates := w.Op == perdure.OpPut && w.Base.IsZero()
		if r.Err != nil || r.Outcome == perdure.Applied || r.Stored.Exists() || creates || w.Record.Kind == perdure.KindEpoch {
			continue
		}
		if err := b.writeAbsent(ctx, front, batches[i], r); err != nil {
			*r = perdure.Result{Err: err}
		}
	}
}

// writeAbsent writes to a session that the front store does not hold. One that
// it has lost it gets back first; of one that may be in the journal of another
// process, a removal leaves a tombstone.
func (b *Backend) writeAbsent(ctx context.Context, front perdure.Backend, batch perdure.Batch, r *perdure.Result) error {
	w := &batch[r.Write]
	held, err := b.checkAbsent(ctx, w.Record.ID, perdure.Record{})
	planted := w.Op == perdure.OpRemove && errors.Is(err, perdure.ErrUnavailable)
	switch {
	case planted:
		batch = b.withoutKnowing(batch)
	case err != nil:
		return err
	case !held.Exists():
		return nil
	case w.Op == perdure.OpPut:
		r.Stored = held
		return nil
	}
	again, err := front.Apply(ctx, []perdure.Batch{batch})
	if err != nil {
		return err
	}
	if *r = again[0]; planted && r.Err == nil && !r.Stored.Exists() {
		r.Outcome = perdure.Applied
		b.mirror.learn(&batch[0].Record)
	}
	return nil
}

// MintID returns a new id, marked where it is minted in an outage.
func (b *Backend) MintID(partition int) string {
	switch b.status.Load().state {
	case Degraded, ReadOnly:
		return perdure.NewOutageID(partition, b.opts.Now())
	}
	return perdure.NewID(partition)
}
