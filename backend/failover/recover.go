package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perdure/perdure"
)

const (
	// recoveryPage is how many records are read at a time.
	recoveryPage = 500
	// syncEvery bounds how long the journal's file is behind a recovery, about: what
	// is merged by then is not merged again after a crash. To write it for each page
	// would cost more than all the rest.
	syncEvery = 250 * time.Millisecond
)

// merger merges into the front store.
func (b *Backend) merger(front perdure.Backend) *perdure.Merger {
	return &perdure.Merger{Backend: front, Clock: b.clock, Codec: b.opts.Codec}
}

// claim merges what the journal holds of the ids, so that the front store can be
// asked about them while the rest still waits. What the journal holds and cannot
// be read was counted when it was opened, and holds nobody up.
func (b *Backend) claim(ctx context.Context, ids ...string) error {
	records, err := b.journal.Load(ctx, ids)
	if _, err := perdure.AsUnreadable(err); err != nil {
		return err
	}
	front := b.status.Load().front
	waiting := slices.DeleteFunc(records, func(r perdure.Record) bool { return !r.Exists() || b.refused.has(r.ID) })
	if away := b.status.Load().away; !away.empty() && len(among(slices.Clone(waiting), away.others())) < len(waiting) {
		return errWaits
	}
	return b.settle(ctx, front, waiting, nil)
}

// claimToWrite is claim for a call that writes: once the front store has more than
// the journal had, no crash may bring the journal's record back.
func (b *Backend) claimToWrite(ctx context.Context, ids ...string) error {
	if err := b.claim(ctx, ids...); err != nil {
		return err
	}
	return b.synced(ctx, ids...)
}

// synced returns once the journal's file has nothing more of the ids that was
// merged, or of any where none is given.
func (b *Backend) synced(ctx context.Context, ids ...string) error {
	if err := b.journal.Sync(ctx, ids...); err != nil {
		return fmt.Errorf("%w: the journal does not take that it is merged: %w", errElsewhere, err)
	}
	return nil
}

// drainEnds merges the tombstones and revocations that wait in the journal: they
// end sessions that the journal does not name, and so come before anybody is
// served by the front store. Those wait on that go to partitions which are away.
func (b *Backend) drainEnds(ctx context.Context, front perdure.Backend, away partitions, pace *pace) error {
	ends := slices.DeleteFunc(b.journal.ends.list(), func(id string) bool { return away.has(perdure.PartitionOf(id)) })
	for ids := range slices.Chunk(ends, recoveryPage) {
		for _, id := range ids {
			b.journal.ends.remove(id) // before it is read: one that comes now is noted again
		}
		if err := b.settleIDs(ctx, front, ids, away, pace); err != nil {
			for _, id := range ids {
				b.journal.ends.add(id)
			}
			return err
		}
	}
	return nil
}

// settleIDs settles what the journal holds of the ids.
func (b *Backend) settleIDs(ctx context.Context, front perdure.Backend, ids []string, away partitions, pace *pace) error {
	records, err := b.journal.Load(ctx, ids)
	if err != nil {
		return err
	}
	records = slices.DeleteFunc(records, func(r perdure.Record) bool { return !r.Exists() })
	return b.settle(ctx, front, among(records, away.others()), pace)
}

// claimUser merges what the journal holds of the user, and, where the front store
// may have lost some of it, the mirror.
func (b *Backend) claimUser(ctx context.Context, user perdure.UserKey) error {
	if err := b.claim(ctx, perdure.EpochID(user)); err != nil {
		return err
	}
	for after := ""; ; {
		page, err := b.journal.ListUser(ctx, user, after, recoveryPage)
		if err != nil {
			return err
		}
		st := b.status.Load()
		if err := b.settle(ctx, st.front, among(page.Records, st.away.others()), nil); err != nil {
			return err
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if st := b.status.Load(); st.doubt != "" {
		return b.bringBack(ctx, st.front, user)
	}
	return nil
}

// bringBack gives the front store what it lacks of the user's sessions that are held
// here.
func (b *Backend) bringBack(ctx context.Context, front perdure.Backend, user perdure.UserKey) error {
	for after := ""; ; {
		page, err := b.mirror.ListUser(ctx, user, after, recoveryPage)
		if err != nil {
			return err
		}
		if err := b.reconcilePage(ctx, front, page.Records, nil, func() {}); err != nil {
			return err
		}
		if after = page.Next; after == "" {
			return nil
		}
	}
}

// settle merges records of the journal into the front store, at a pace if there is
// one, and forgets them. A record that the front store does not take is kept out
// of the way: it is counted, logged, and tried again later.
func (b *Backend) settle(ctx context.Context, front perdure.Backend, records []perdure.Record, pace *pace) error {
	for i := range records {
		b.own.remove(records[i].ID) // a merge whose answer is lost counts
	}
	return b.mergeAll(ctx, front, records, pace, func(records []perdure.Record, merged []perdure.Merged) error {
		settled, taken := make([]perdure.Record, 0, len(records)), make([]perdure.Record, 0, len(records))
		for i := range merged {
			switch err := merged[i].Err; {
			case err == nil:
				b.metrics.replayed.Add(1)
				b.refused.remove(records[i].ID)
				b.merged.add(records[i].ID)
				settled, taken = append(settled, records[i]), append(taken, merged[i].Record)
			case refusal(err):
				if b.refused.add(records[i].ID) {
					b.opts.Logger.Error("a journalled record is refused by the session store; it stays in the journal and is tried again", "id", records[i].ID, "error", err)
				}
			}
		}
		if err := b.takeAll(ctx, front, taken); err != nil {
			return err
		}
		return b.forget(ctx, settled)
	})
}

// forgetRefusals takes note of refused records that are in the journal no more.
// Two who settle a record at the same time may have fared differently.
func (b *Backend) forgetRefusals() {
	for _, id := range b.refused.list() {
		if r, err := b.journal.Get(context.Background(), id); err == nil && !r.Exists() {
			b.refused.remove(id)
		}
	}
}

// refusal reports whether the error says that the record will never do, rather
// than that the front store cannot take it now.
func refusal(err error) bool {
	return errors.Is(err, perdure.ErrInvalid) || errors.Is(err, perdure.ErrFormat) || errors.Is(err, perdure.ErrSkew)
}

func (b *Backend) forget(ctx context.Context, records []perdure.Record) error {
	if len(records) == 0 {
		return nil
	}
	if err := b.journal.Forget(ctx, records); err != nil {
		return err
	}
	if n, _ := b.journal.depth(); n == 0 {
		b.journal.oldest.Store(0)
	}
	for i := range records {
		b.journal.stale.remove(records[i].ID)
	}
	return nil
}

// drain merges all that the journal holds, but for what goes to partitions that are
// away, at the rate that the options allow. A
// file of it that takes no writes holds up nobody but the end of the recovery.
func (b *Backend) drain(ctx context.Context, front perdure.Backend, away partitions) error {
	pace, synced := newPace(b.opts.RecoveryRate), time.Now()
	for page, err := range pages(ctx, b.journal.Backend) {
		if err != nil {
			return err
		}
		if err := b.settle(ctx, front, among(page.Records, away.others()), pace); err != nil {
			return err
		}
		if time.Since(synced) > syncEvery {
			_ = b.journal.Sync(ctx) // tried again at the end
			synced = time.Now()
		}
	}
	return nil
}

// reconcile compares what the mirror holds with the front store, ends first, and
// merges what is missing there or older: all of it, or, where the policy after a
// loss is to log in again, the ends and what was acknowledged within the window.
// It calls found once the first record of a page has turned out to be missing: a write
// that came between looks like one until it is merged. What this recovery has merged
// itself is there.
func (b *Backend) reconcile(ctx context.Context, front perdure.Backend, found func()) error {
	pace := newPace(b.opts.RecoveryRate)
	for page, err := range pages(ctx, b.mirror.Backend) {
		if err != nil {
			return err
		}
		if err := b.reconcilePage(ctx, front, page.Records, pace, found); err != nil {
			return err
		}
	}
	return nil
}

func (b *Backend) reconcilePage(ctx context.Context, front perdure.Backend, records []perdure.Record, pace *pace, found func()) error {
	records = slices.DeleteFunc(records, func(r perdure.Record) bool { return b.merged.has(r.ID) })
	if len(records) == 0 {
		return ctx.Err()
	}
	ids := make([]string, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	began := time.Now()
	stored, err := front.Load(ctx, ids)
	ended := time.Now()
	bad, err := perdure.AsUnreadable(err)
	if err != nil {
		return err
	}
	unreadable := b.passOver(bad)
	now := perdure.MillisOf(b.opts.Now())
	var gone []perdure.Record
	var there []bool
	for i, r := range records {
		if unreadable[r.ID] {
			continue
		}
		held, behind := r, !stored[i].Exists()
		if !behind {
			held, behind = b.mirror.learn(&stored[i], perdure.Version{})
		}
		switch {
		case !behind:
		case b.counts(&held, now) && !b.forsaken(&held):
			gone, there = append(gone, held), append(there, stored[i].Exists())
		case rotated(&stored[i], &held):
			b.mirror.learn(&stored[i], held.Version)
		}
	}
	// To compare a record costs the server little beside a merge.
	if err := pace.rest(ctx, began, ended, len(records)/20); err != nil || len(gone) == 0 {
		return err
	}
	implied, err := b.implied(ctx, front, gone, there)
	if err != nil {
		return err
	}
	return b.mergeAll(ctx, front, gone, pace, func(records []perdure.Record, merged []perdure.Merged) error {
		before := b.metrics.lost.Load()
		err := b.gaveBack(records, merged, implied)
		if b.metrics.lost.Load() > before {
			found()
		}
		return err
	})
}

// gaveBack takes in what became of records that the front store had lost, or whose
// end it knew otherwise.
func (b *Backend) gaveBack(records []perdure.Record, merged []perdure.Merged, implied map[string]bool) error {
	for i := range merged {
		m, id := &merged[i], records[i].ID
		switch {
		case refusal(m.Err):
			if b.barred.add(id) {
				b.opts.Logger.Error("a record that the session store has lost cannot be given back", "id", id, "error", m.Err)
			}
		case m.Err == nil:
			b.barred.remove(id)
			if m.Changed && !implied[id] && !b.mirror.outlived.has(id) {
				b.metrics.lost.Add(1)
			}
			b.mirror.outlived.remove(id)
			b.mirror.learn(&m.Record, records[i].Version)
		}
	}
	return nil
}

// counts reports whether a record that is held here says anything yet: a session
// until its deadline, what ends sessions until it is due to be dropped.
func (b *Backend) counts(held *perdure.Record, now perdure.Millis) bool {
	if held.ID == b.marker {
		return false
	}
	if held.Kind == perdure.KindSession {
		return held.Live(now)
	}
	return held.Exists() && now <= held.Horizon+perdure.Millis(b.opts.MaxClockSkew.Milliseconds())
}

// recent reports whether the record was written or read within the window.
func (b *Backend) recent(r *perdure.Record, now perdure.Millis) bool {
	return max(r.Version.Millis(), r.LastAccess) >= now-perdure.Millis(b.opts.LossWindow.Milliseconds())
}
