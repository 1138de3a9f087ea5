package failover

import (
	"context"

	"github.com/perdure/perdure"
)

// maxLineage bounds how many rotations are followed back: more than a session can have
// that is rotated every minute of its life.
const maxLineage = 1 << 14

// foresee is what the records are, once what waits in the journal is merged: a
// revocation ends sessions which were not known here when it was made, and so does a
// logout of an id that one of them had, however many rotations ago. Nothing is written.
func (b *Backend) foresee(ctx context.Context, st *status, records []perdure.Record) ([]perdure.Merged, error) {
	foreseen, err := b.merger(b.journal).Preview(ctx, records)
	if err != nil {
		return nil, err
	}
	for i := range foreseen {
		if m := &foreseen[i]; m.Err == nil && m.Record.Kind == perdure.KindSession {
			if m.Killed, err = b.endsWithAncestor(ctx, st, &m.Record); err != nil {
				return nil, err
			}
		}
	}
	return foreseen, nil
}

// endsWithAncestor makes the session a tombstone if an id that it had before has ended,
// as far as this process knows, and reports whether it did. If not all of those ids are
// known here, the first one is, from the session itself.
func (b *Backend) endsWithAncestor(ctx context.Context, st *status, session *perdure.Record) (bool, error) {
	if session.Parent == "" || b.journal.ends.len() == 0 {
		return false, nil
	}
	ended, whole, err := b.ancestorEnded(ctx, st, session.Parent)
	if err != nil {
		return false, err
	}
	if !ended && !whole {
		root, err := b.merger(b.journal).Root(session)
		if err != nil {
			return false, nil // it can be read elsewhere, and is looked at again there
		}
		if ended, _, err = b.ancestorEnded(ctx, st, root); err != nil {
			return false, err
		}
	}
	if ended {
		*session = b.orphan(*session)
	}
	return ended, nil
}

// orphan is the tombstone of what came from a rotation of a session that was ended.
func (b *Backend) orphan(r perdure.Record) perdure.Record {
	return entombed(r, perdure.ReasonParentEnded, b.clock.Tick(r.Version))
}

// ancestorEnded reports whether the id, or one before it, has ended, and whether all of
// them are known here.
func (b *Backend) ancestorEnded(ctx context.Context, st *status, id string) (ended, whole bool, err error) {
	for range maxLineage {
		if perdure.CheckID(id) != nil {
			return false, id == "", nil
		}
		ancestor, err := b.ancestor(ctx, st, id)
		if err != nil || ancestor.Ended() {
			return err == nil, true, err
		}
		if !ancestor.Exists() {
			return false, false, nil
		}
		id = ancestor.Parent
	}
	return false, false, nil
}

// ancestor is what is known of an id that a session had. What the front store answers
// is kept: the next session to be looked at may have had it too.
func (b *Backend) ancestor(ctx context.Context, st *status, id string) (perdure.Record, error) {
	if b.journal.ends.has(id) {
		return b.journal.Get(ctx, id)
	}
	r, err := b.mirror.Get(ctx, id)
	if err != nil || r.Exists() || !st.readable {
		return r, err
	}
	if r, err = st.front.Get(ctx, id); err != nil {
		return perdure.Record{}, nil // it answers now and then
	}
	b.mirror.learn(&r, perdure.Version{})
	return r, nil
}
