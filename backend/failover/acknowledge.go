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
		if b.mirror.takes(batch[i : i+1]) {
			continue // as nearly all do
		}
		if err := b.took(ctx, st, batch, i, r); err != nil {
			return err
		}
	}
	return nil
}

// took handles a write that does not go on from what the mirror holds.
func (b *Backend) took(ctx context.Context, st *status, batch perdure.Batch, i int, r *perdure.Result) error {
	w := &batch[i]
	wrote, held, behind := w.Record, perdure.Record{}, false
	switch w.Op {
	case perdure.OpTouch:
		if held, _ = b.mirror.Get(ctx, wrote.ID); held.Kind != perdure.KindTombstone {
			b.meet(ctx, st, wrote.ID)
			return nil
		}
		behind = true
	case perdure.OpRemove:
		if !r.Stored.Exists() {
			return nil
		}
		wrote = entombed(r.Stored, w.Record.Reason, w.Record.Version)
		held, behind = b.mirror.learn(&wrote, r.Stored.Version)
	default:
		held, behind = b.mirror.learn(&wrote, w.Base)
	}
	if !behind {
		return nil
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
	return nil
}

// meet reads, for the mirror, a session that was touched and never read here. In
// an outage it is missed where that fails; now the touch is what was asked for.
func (b *Backend) meet(ctx context.Context, st *status, id string) {
	if r, err := st.front.Get(ctx, id); err == nil && r.Exists() {
		b.mirror.learn(&r, perdure.Version{})
	}
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
	switch {
	case w.Op == perdure.OpRemove && errors.Is(err, perdure.ErrUnavailable):
		return b.plant(ctx, st, *w, r)
	case err != nil:
		return err
	case !held.Exists() && w.Op == perdure.OpRemove && !w.Plant:
		return b.plantWhileYoung(ctx, st, *w, r)
	case !held.Exists():
		return nil
	case w.Op == perdure.OpPut:
		r.Stored = held
		return nil
	case held.Kind == perdure.KindTombstone && held.Version == w.Record.Version: // what it has planted, as the feed has told already
		if _, minted := perdure.OutageTime(held.ID); minted {
			r.Outcome = perdure.Applied // of a session that is on its way
		}
		return nil
	}
	again, err := st.front.Apply(ctx, []perdure.Batch{batch})
	if err != nil {
		return err
	}
	switch *r = again[0]; {
	case r.Err != nil:
		return nil
	case r.Outcome == perdure.Applied:
		return b.applied(ctx, st, batch, r)
	case r.Stored.Exists():
		return b.met(ctx, st, r)
	}
	return nil
}

// plantWhileYoung leaves the tombstone of a session that nobody knows while a process that
// is away may still bring what the front store has lost. For all that can be told there is
// none: the result stays Absent. absent has just asked how old the contents are.
func (b *Backend) plantWhileYoung(ctx context.Context, st *status, w perdure.Write, r *perdure.Result) error {
	until, young := b.young()
	if !young {
		return nil
	}
	w.Plant = true
	w.Record.Kind, w.Record.Horizon = perdure.KindTombstone, max(w.Record.Horizon, until)
	planted, err := st.front.Apply(ctx, []perdure.Batch{{w}})
	if err != nil {
		return err
	}
	switch *r = planted[0]; {
	case r.Err != nil:
	case r.Outcome == perdure.Applied: // it has come meanwhile
		return b.applied(ctx, st, perdure.Batch{w}, r)
	case r.Stored.Exists() && r.Stored.Version != w.Record.Version:
		return b.met(ctx, st, r)
	default:
		r.Stored = perdure.Record{} // of the tombstone that it has planted nobody need know
		b.mirror.learn(&w.Record, perdure.Version{})
		return b.endChildren(ctx, st.front, &w.Record, r)
	}
	return nil
}

// endChildren ends what the session of a tombstone was rotated to, as far as the mirror
// knows that: the front store has lost it. Ids of one chain are of one partition.
func (b *Backend) endChildren(ctx context.Context, front perdure.Backend, tomb *perdure.Record, r *perdure.Result) error {
	from := perdure.PartitionOf(tomb.ID)
	for q := (perdure.ScanQuery{Limit: recoveryPage, From: from, To: from + 1, Dead: true}); ; {
		page, err := b.mirror.Scan(ctx, q)
		if err != nil {
			return nil // it is closed
		}
		for _, child := range page.Records {
			if child.Parent != tomb.ID || child.Ended() {
				continue
			}
			if _, err := b.endOrphan(ctx, front, child); err != nil {
				return err
			}
			if child.Kind == perdure.KindSession {
				*r = perdure.Result{Outcome: perdure.Applied, Stored: child}
			}
		}
		if q.After = page.Next; q.After == "" {
			return nil
		}
	}
}

// plant leaves the tombstone of a session that may be on its way to the front
// store.
func (b *Backend) plant(ctx context.Context, st *status, w perdure.Write, r *perdure.Result) error {
	w.Plant, w.Record = true, b.unknown(w.Record)
	planted, err := st.front.Apply(ctx, []perdure.Batch{{w}})
	if err != nil {
		return err
	}
	switch *r = planted[0]; {
	case r.Err != nil:
	case r.Stored.Kind == perdure.KindTombstone && r.Stored.Version == w.Record.Version: // it was planted already
		*r = perdure.Result{Outcome: perdure.Applied}
		b.mirror.learn(&w.Record, perdure.Version{})
	case r.Outcome == perdure.Applied: // it has come meanwhile
		return b.applied(ctx, st, perdure.Batch{w}, r)
	case r.Stored.Exists():
		return b.met(ctx, st, r)
	default:
		r.Outcome = perdure.Applied
		b.mirror.learn(&w.Record, perdure.Version{})
	}
	return nil
}

// entombed is the tombstone that a removal leaves of a session.
func entombed(session perdure.Record, reason perdure.Reason, version perdure.Version) perdure.Record {
	session.Kind, session.Reason, session.Version, session.Body = perdure.KindTombstone, reason, version, ""
	return session
}
