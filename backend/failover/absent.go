package failover

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/perdure/perdure"
)

// agree returns what is true of what the front store has answered with. What the
// mirror knows beyond that the front store has lost, and gets back. An id that
// both do not hold may still be in the journal of another process.
func (b *Backend) agree(ctx context.Context, st *status, id string, r perdure.Record) (perdure.Record, error) {
	if !r.Exists() {
		return b.absent(ctx, st, id)
	}
	if joined, behind := b.mirror.learn(&r, perdure.Version{}); behind {
		return b.giveBack(ctx, st.front, r, joined)
	}
	if r.Kind == perdure.KindSession && r.Parent != "" {
		return b.orphaned(ctx, st, r)
	}
	return r, nil
}

// orphaned is what is true of a session that has come from a rotation: if the front store
// has lost that, and the id before was logged out since, nobody has ended the session yet.
func (b *Backend) orphaned(ctx context.Context, st *status, r perdure.Record) (perdure.Record, error) {
	parent, err := b.mirror.Get(ctx, r.Parent)
	if err != nil || !parent.Ended() {
		return r, nil // an error: the mirror is closed
	}
	return b.endOrphan(ctx, st.front, r)
}

// endOrphan ends, in the front store and the mirror, what came from a rotation of a
// session that was ended, and returns its tombstone.
func (b *Backend) endOrphan(ctx context.Context, front perdure.Backend, r perdure.Record) (perdure.Record, error) {
	merged := b.merge(ctx, front, b.orphan(r))[0]
	if merged.Err != nil {
		return perdure.Record{}, merged.Err
	}
	b.mirror.learn(&merged.Record, r.Version)
	return merged.Record, nil
}

// passOver counts records of the front store that cannot be read: what the mirror
// holds of them stays as it is, and nothing waits for them. It returns their ids.
func (b *Backend) passOver(bad *perdure.UnreadableError) map[string]bool {
	met := bad.Set()
	for id := range met {
		if b.unreadable.len() < maxUnreadable && b.unreadable.add(id) {
			b.opts.Logger.Error("a stored record cannot be read; it is passed over and stays as it is", "id", id, "error", cmp.Or(bad.Err, perdure.ErrFormat))
		}
	}
	return met
}

// maxUnreadable bounds those that are named in the log and counted: during an
// upgrade to a newer format there may be as many as sessions.
const maxUnreadable = 1000

// giveBack merges what is held here into the front store, which stores less. An
// answer from a cache that was behind looks the same, and the merge then changes
// nothing.
func (b *Backend) giveBack(ctx context.Context, front perdure.Backend, stored, held perdure.Record) (perdure.Record, error) {
	if b.forsaken(&held) || held.ID == b.marker {
		if rotated(&stored, &held) {
			b.mirror.learn(&stored, held.Version)
		}
		return stored, nil
	}
	b.contested.add(held.ID)
	merged := b.merge(ctx, front, held)[0]
	switch err := merged.Err; {
	case refusal(err) && rotated(&stored, &held):
		return stored, nil
	case refusal(err):
		return held, nil
	case err != nil:
		b.doubt("what it lacks could not be given back")
		return perdure.Record{}, err
	}
	b.contested.remove(held.ID)
	if merged.Changed {
		implied, err := b.implied(ctx, front, []perdure.Record{held}, []bool{stored.Exists()})
		if err != nil || !implied[held.ID] && !b.mirror.outlived.has(held.ID) {
			b.metrics.lost.Add(1)
			b.doubt("it lacked a change that it had acknowledged")
		}
	}
	b.mirror.outlived.remove(held.ID)
	b.mirror.learn(&merged.Record, held.Version)
	return merged.Record, nil
}

// takeAll has the mirror learn what the front store holds. What that has swept, and got
// again without what was changed, it is given. Where it may have lost something, what the
// mirror alone holds of sessions that were rotated goes to their successors first.
func (b *Backend) takeAll(ctx context.Context, front perdure.Backend, records []perdure.Record) error {
	var more []perdure.Record
	for i := range records {
		r := &records[i]
		held, behind := b.mirror.learn(r, perdure.Version{})
		switch {
		case behind && b.mirror.outlived.has(r.ID):
			more = append(more, held)
		case !behind || !rotated(r, &held):
		case b.mayLack(&held):
			more = append(more, held)
		default:
			b.mirror.learn(r, held.Version)
		}
	}
	return b.mergeAll(ctx, front, more, nil, func(records []perdure.Record, merged []perdure.Merged) error {
		return b.gaveBack(records, merged, nil)
	})
}

// mayLack reports whether the front store may have lost what is held of a session,
// and is to get it back.
func (b *Backend) mayLack(held *perdure.Record) bool {
	if st := b.status.Load(); b.moved(st) {
		if _, err := b.history(b.life, st); err != nil {
			b.doubt("it did not say which history it has")
		}
	}
	return b.doubted() && b.counts(held, perdure.MillisOf(b.opts.Now())) && !b.forsaken(held)
}

// forsaken reports whether the policy after a loss of data is to leave the record
// lost. An end is never left.
func (b *Backend) forsaken(r *perdure.Record) bool {
	return b.opts.DataLoss == DataLossRelogin && r.Kind == perdure.KindSession && !b.recent(r, perdure.MillisOf(b.opts.Now()))
}

// absent looks again at what the front store does not hold. A session that this
// process knows to be alive cannot be gone without a tombstone.
func (b *Backend) absent(ctx context.Context, st *status, id string) (perdure.Record, error) {
	none := perdure.Record{}
	if b.refused.has(id) {
		if r, err := b.journal.Get(ctx, id); err != nil || r.Exists() {
			return r, err
		}
	}
	held, err := b.mirror.Get(ctx, id)
	if err != nil {
		return none, err
	}
	now := b.opts.Now()
	if b.counts(&held, perdure.MillisOf(now)) {
		return b.giveBack(ctx, st.front, none, held)
	}
	if minted, ok := perdure.OutageTime(id); ok && now.Sub(minted) < b.opts.OutageIDAge {
		return none, b.elsewhere(st, "a session minted in an outage is not merged yet")
	}
	if !b.intact(ctx, st) {
		return none, b.elsewhere(st, "it may have lost data: the session may be on its way back")
	}
	return none, nil
}

// errElsewhere marks an ErrUnavailable that says nothing about the front store.
var errElsewhere = errors.New("another process may hold it")

func (b *Backend) elsewhere(st *status, why string) error {
	return fmt.Errorf("%w: %w", b.unavailable(st, why), errElsewhere)
}

// MintID returns a new id, marked where it is minted in an outage.
func (b *Backend) MintID(partition int) string {
	if b.status.Load().away.has(partition) {
		return perdure.NewOutageID(partition, b.opts.Now())
	}
	return perdure.NewID(partition)
}
