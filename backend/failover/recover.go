package failover

import (
	"context"
	"errors"
	"time"

	"github.com/perdure/perdure"
)

const recoveryPage = 500

// merger merges into the front store.
func (b *Backend) merger(front perdure.Backend) *perdure.Merger {
	return &perdure.Merger{Backend: front, Clock: b.clock, Codec: b.opts.Codec}
}

// claim merges what the journal holds of the ids, so that the front store can be
// asked about them while the rest still waits.
func (b *Backend) claim(ctx context.Context, ids ...string) error {
	records, err := b.journal.Load(ctx, ids)
	if err != nil {
		return err
	}
	front := b.status.Load().front
	for i := range records {
		if records[i].Exists() && !b.refused.has(ids[i]) {
			if err := b.settle(ctx, front, records[i:i+1]); err != nil {
				return err
			}
		}
	}
	return b.claimEpochs(ctx, front, ids)
}

// claimEpochs merges the revocations that wait in the journal for the users of
// the sessions: they end sessions that the journal does not name.
func (b *Backend) claimEpochs(ctx context.Context, front perdure.Backend, ids []string) error {
	if n, _ := b.journal.depth(); n == 0 {
		return nil
	}
	sessions, err := front.Load(ctx, ids)
	if err != nil {
		return err
	}
	for i := range sessions {
		if sessions[i].Kind != perdure.KindSession {
			continue
		}
		epoch, err := b.journal.Get(ctx, perdure.EpochID(sessions[i].User))
		if err == nil && epoch.Exists() && !b.refused.has(epoch.ID) {
			err = b.settle(ctx, front, []perdure.Record{epoch})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// claimUser merges what the journal holds of the user.
func (b *Backend) claimUser(ctx context.Context, user perdure.UserKey) error {
	if err := b.claim(ctx, perdure.EpochID(user)); err != nil {
		return err
	}
	for after := ""; ; {
		page, err := b.journal.ListUser(ctx, user, after, recoveryPage)
		if err != nil {
			return err
		}
		if err := b.settle(ctx, b.status.Load().front, page.Records); err != nil {
			return err
		}
		if after = page.Next; after == "" {
			return nil
		}
	}
}

// settle merges records of the journal into the front store and forgets them. A
// record that the front store will never take is kept out of the way: it is
// counted, logged and left in the journal.
func (b *Backend) settle(ctx context.Context, front perdure.Backend, records []perdure.Record) error {
	var settled []perdure.Record
	var failed error
	for i, merged := range b.merger(front).MergeAll(ctx, records) {
		switch err := merged.Err; {
		case err == nil:
			b.metrics.replayed.Add(1)
			b.mirror.learn(&merged.Record)
			settled = append(settled, records[i])
		case errors.Is(err, perdure.ErrInvalid), errors.Is(err, perdure.ErrFormat), errors.Is(err, perdure.ErrSkew):
			if b.refused.add(records[i].ID) {
				b.opts.Logger.Error("a journalled record is refused by the session store and stays in the journal until the next outage or start", "id", records[i].ID, "error", err)
			}
		default:
			failed = err
		}
	}
	return errors.Join(failed, b.forget(ctx, settled))
}

// mergeOne merges one record.
func (b *Backend) mergeOne(ctx context.Context, front perdure.Backend, r perdure.Record) (perdure.Record, error) {
	merged, err := b.merger(front).Merge(ctx, r)
	return merged.Record, err
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
	return nil
}

// drain merges all that the journal holds, at the rate that the options allow.
func (b *Backend) drain(ctx context.Context, front perdure.Backend) error {
	b.refused.clear()
	pace := newPace(b.opts.RecoveryRate)
	for records, err := range b.journal.pages(ctx) {
		if err != nil {
			return err
		}
		if err := b.settle(ctx, front, records); err != nil {
			return err
		}
		if err := pace.wait(ctx, len(records)); err != nil {
			return err
		}
	}
	return nil
}

// reconcile compares what the mirror holds with the front store, ends first, and
// merges what is missing there or older: all of it, or, where the policy after a
// loss is to log in again, what was acknowledged within the window. It returns
// how many records were missing.
func (b *Backend) reconcile(ctx context.Context, front perdure.Backend) (missing int, err error) {
	pace := newPace(b.opts.RecoveryRate)
	for records, err := range (&journal{Backend: b.mirror.Backend}).pages(ctx) {
		if err != nil {
			return missing, err
		}
		n, err := b.reconcilePage(ctx, front, records)
		missing += n
		if err != nil {
			return missing, err
		}
		if err := pace.wait(ctx, len(records)); err != nil {
			return missing, err
		}
	}
	return missing, nil
}

func (b *Backend) reconcilePage(ctx context.Context, front perdure.Backend, records []perdure.Record) (missing int, err error) {
	ids := make([]string, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	stored, err := front.Load(ctx, ids)
	if err != nil {
		return 0, err
	}
	now := perdure.MillisOf(b.opts.Now())
	var gone []perdure.Record
	for i, r := range records {
		there := stored[i]
		switch {
		case there.Kind == perdure.KindTombstone && r.Kind == perdure.KindSession:
			b.mirror.learn(&there)
			continue
		case r.Kind == perdure.KindSession && !r.Live(now), there.Exists() && there.Version == r.Version:
			continue
		case r.Kind != perdure.KindSession && there.Kind == r.Kind && !there.Version.Before(r.Version):
			continue
		}
		// A later version of a session may have grown from an older one than this.
		missing++
		if b.opts.DataLoss != DataLossRelogin || b.recent(&r, now) {
			gone = append(gone, r)
		}
	}
	for _, merged := range b.merger(front).MergeAll(ctx, gone) {
		if merged.Err != nil {
			return missing, merged.Err
		}
	}
	return missing, nil
}

// recent reports whether the record was written or read within the window.
func (b *Backend) recent(r *perdure.Record, now perdure.Millis) bool {
	return max(r.Version.Millis(), r.LastAccess) >= now-perdure.Millis(b.opts.LossWindow.Milliseconds())
}

// pace spreads work over time.
type pace struct {
	perSecond int
	start     time.Time
	done      int
}

func newPace(perSecond int) *pace { return &pace{perSecond: perSecond, start: time.Now()} }

// wait returns when n more may have been done.
func (p *pace) wait(ctx context.Context, n int) error {
	p.done += n
	ahead := time.Duration(p.done)*time.Second/time.Duration(p.perSecond) - time.Since(p.start)
	if ahead <= 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(ahead):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
