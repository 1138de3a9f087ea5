package failover

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/perdure/perdure"
)

const recoveryPage = 500

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
	return b.settle(ctx, front, waiting)
}

// drainEpochs merges the revocations that wait in the journal: they end sessions
// that the journal does not name, and so come before anybody is served by the
// front store.
func (b *Backend) drainEpochs(ctx context.Context, front perdure.Backend) error {
	for ids := range slices.Chunk(b.journal.epochs.list(), recoveryPage) {
		records, err := b.journal.Load(ctx, ids)
		if err != nil {
			return err
		}
		records = slices.DeleteFunc(records, func(r perdure.Record) bool { return !r.Exists() })
		if err := b.settle(ctx, front, records); err != nil {
			return err
		}
		for _, id := range ids {
			b.journal.epochs.remove(id)
		}
	}
	return nil
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
		if err := b.settle(ctx, b.status.Load().front, page.Records); err != nil {
			return err
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if b.status.Load().doubt == "" {
		return nil
	}
	for after := ""; ; {
		page, err := b.mirror.ListUser(ctx, user, after, recoveryPage)
		if err != nil {
			return err
		}
		if _, err := b.reconcilePage(ctx, b.status.Load().front, page.Records, func() {}); err != nil {
			return err
		}
		if after = page.Next; after == "" {
			return nil
		}
	}
}

// settle merges records of the journal into the front store and forgets them. A record that the front store does not take is kept out of the
// way: it is counted, logged, and tried again later.
func (b *Backend) settle(ctx context.Context, front perdure.Backend, records []perdure.Record) error {
	if len(records) == 0 {
		return nil
	}
	var settled []perdure.Record
	var failed error
	for i, merged := range b.merger(front).MergeAll(ctx, records) {
		switch err := merged.Err; {
		case err == nil:
			b.metrics.replayed.Add(1)
			b.mirror.learn(&merged.Record, perdure.Version{})
			b.refused.remove(records[i].ID)
			settled = append(settled, records[i])
		case errors.Is(err, perdure.ErrInvalid), errors.Is(err, perdure.ErrFormat), errors.Is(err, perdure.ErrSkew):
			if b.refused.add(records[i].ID) {
				b.opts.Logger.Error("a journalled record is refused by the session store; it stays in the journal and is tried again", "id", records[i].ID, "error", err)
			}
		default:
			failed = err
		}
	}
	return errors.Join(failed, b.forget(ctx, settled))
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
	pace := newPace(b.opts.RecoveryRate)
	for page, err := range pages(ctx, b.journal.Backend) {
		if err != nil {
			return err
		}
		if err := b.settle(ctx, front, page.Records); err != nil {
			return err
		}
		if err := pace.wait(ctx, len(page.Records)); err != nil {
			return err
		}
	}
	return nil
}

// reconcile compares what the mirror holds with the front store, ends first, and
// merges what is missing there or older: all of it, or, where the policy after a
// loss is to log in again, the ends and what was acknowledged within the window.
// It calls found before the first such merge of a page.
func (b *Backend) reconcile(ctx context.Context, front perdure.Backend, found func()) error {
	pace := newPace(b.opts.RecoveryRate)
	for page, err := range pages(ctx, b.mirror.Backend) {
		if err != nil {
			return err
		}
		merged, err := b.reconcilePage(ctx, front, page.Records, found)
		if err != nil {
			return err
		}
		// To compare a record costs the server little beside a merge.
		if err := pace.wait(ctx, merged+len(page.Records)/20); err != nil {
			return err
		}
	}
	return nil
}

func (b *Backend) reconcilePage(ctx context.Context, front perdure.Backend, records []perdure.Record, found func()) (merges int, err error) {
	ids := make([]string, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	stored, err := front.Load(ctx, ids)
	bad, err := perdure.AsUnreadable(err)
	if err != nil {
		return 0, err
	}
	unreadable := b.passOver(bad)
	now := perdure.MillisOf(b.opts.Now())
	var gone []perdure.Record
	for i, r := range records {
		if unreadable[r.ID] {
			continue
		}
		held, behind := r, !stored[i].Exists()
		if !behind {
			held, behind = b.mirror.learn(&stored[i], perdure.Version{})
		}
		if behind && (held.Kind != perdure.KindSession || held.Live(now)) && !b.forsaken(&held) {
			gone = append(gone, held)
		}
	}
	if len(gone) == 0 {
		return 0, nil
	}
	found()
	for i, merged := range b.merger(front).MergeAll(ctx, gone) {
		switch {
		case errors.Is(merged.Err, perdure.ErrFormat):
			if b.barred.add(gone[i].ID) {
				b.opts.Logger.Error("the session store has lost a record that it cannot be given back: it cannot read what that would meet", "id", gone[i].ID, "error", merged.Err)
			}
			continue
		case merged.Err != nil:
			return 0, merged.Err
		}
		b.barred.remove(gone[i].ID)
		if merged.Changed {
			b.metrics.lost.Add(1)
		}
		b.mirror.learn(&merged.Record, perdure.Version{})
	}
	return len(gone), nil
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
