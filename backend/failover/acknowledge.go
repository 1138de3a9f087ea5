package failover

import (
	"context"
	"errors"

	"github.com/perdure/perdure"
)

// acknowledge takes in what the front store has answered to batches, and puts
// right what it answered because it has lost something.
func (b *Backend) acknowledge(ctx context.Context, st *status, batches []perdure.Batch, results []perdure.Result) {
	for i, batch := range batches {
		r := &results[i]
		var err error
		switch {
		case r.Err != nil:
			continue
		case r.Outcome == perdure.Applied:
			err = b.applied(ctx, st, batch, r)
		case r.Stored.Exists():
			err = b.met(ctx, st, r)
		default:
			err = b.missed(ctx, st, batch, r)
		}
		if err != nil {
			*r = perdure.Result{Err: err}
		}
	}
}

// applied keeps in the mirror what was written. A write to a session that is
// known to be dead met one that the front store has brought back: it is ended
// again, and so is what was written.
func (b *Backend) applied(ctx context.Context, st *status, batch perdure.Batch, r *perdure.Result) error {
	for i := range batch {
		w := &batch[i]
		wrote, held, behind := w.Record, perdure.Record{}, false
		switch w.Op {
		case perdure.OpTouch:
			held = b.mirror.touched(w.Record.ID, w.Record.LastAccess)
			behind = held.Exists()
		case perdure.OpRemove:
			if !r.Stored.Exists() {
				continue
			}
			wrote = entombed(r.Stored, w.Record.Reason, w.Record.Version)
			held, behind = b.mirror.learn(&wrote, r.Stored.Version)
		default:
			held, behind = b.mirror.learn(&wrote, w.Base)
		}
		if !behind {
			continue
		}
		truth, err := b.giveBack(ctx, st.front, wrote, held)
		if err != nil {
			return err
		}
		if truth.Kind == perdure.KindTombstone && w.Op != perdure.OpRemove && wrote.Kind != perdure.KindTombstone {
			*r = perdure.Result{Outcome: perdure.Absent, Write: i, Stored: truth}
			if w.Op == perdure.OpPut {
				r.Outcome = perdure.Conflict
			}
		}
	}
	return nil
}

// met keeps in the mirror the record that a write has met.
func (b *Backend) met(ctx context.Context, st *status, r *perdure.Result) (err error) {
	r.Stored, err = b.agree(ctx, st, r.Stored.ID, r.Stored)
	return err
}

// missed looks again at a write to a session that the front store does not hold.
// One that it has lost it gets back first; of one that may be in the journal of
// another process, a removal leaves a tombstone.
func (b *Backend) missed(ctx context.Context, st *status, batch perdure.Batch, r *perdure.Result) error {
	w := &batch[r.Write]
	if w.Record.Kind == perdure.KindEpoch || w.Op == perdure.OpPut && w.Base.IsZero() {
		return nil
	}
	held, err := b.absent(ctx, st, w.Record.ID)
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
	again, err := st.front.Apply(ctx, []perdure.Batch{batch})
	if err != nil {
		return err
	}
	if *r = again[0]; planted && r.Err == nil && !r.Stored.Exists() {
		r.Outcome = perdure.Applied
		b.mirror.learn(&batch[0].Record, perdure.Version{})
	}
	return nil
}

// entombed is the tombstone that a removal leaves of a session.
func entombed(session perdure.Record, reason perdure.Reason, version perdure.Version) perdure.Record {
	session.Kind, session.Reason, session.Version, session.Body = perdure.KindTombstone, reason, version, ""
	return session
}
