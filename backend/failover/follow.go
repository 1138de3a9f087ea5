package failover

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/perdure/perdure"
)

// followEvery is how long changes are left to gather between two reads of the
// feed: each read costs the server the same whether it finds one or thousands.
const (
	followLimit = 10_000
	followWait  = time.Second
	followEvery = 50 * time.Millisecond
)

// follow keeps the mirror in step with the front store until ctx ends: it reads
// the change feed, and fetches what changed of what the mirror holds, or, in a
// full mirror, all that changed.
func (b *Backend) follow(ctx context.Context) {
	cursor, fresh := perdure.FromNow, true
	for ctx.Err() == nil {
		st := b.status.Load()
		if st.front == nil || st.state == Degraded || st.state == ReadOnly {
			b.pause(ctx, st)
			continue
		}
		wait := followWait
		if fresh {
			wait = 0 // there is enough to do
		}
		batch, err := st.front.Changes(ctx, cursor, followLimit, wait)
		switch {
		case errors.Is(err, perdure.ErrFeedGap):
			fresh, cursor = true, batch.Next
			b.mirror.whole.Store(false)
			b.metrics.gaps.Add(1)
			b.doubt(feedGap)
			continue
		case err != nil:
			b.wake() // it may be an outage that nobody else has met
			b.pause(ctx, st)
			continue
		}
		if fresh {
			err = b.resync(ctx, st.front)
		}
		if err == nil {
			err = b.fetch(ctx, st.front, batch.Changes)
		}
		if err != nil {
			b.pause(ctx, st)
			continue // from the same cursor
		}
		cursor, fresh = batch.Next, false
		b.cursor.Store(&batch.Next)
		if b.moved(st) {
			b.wake()
		}
		if len(batch.Changes) < followLimit {
			b.mirror.inStep()
			rest(ctx, followEvery)
		}
	}
}

// pause waits for the next attempt, or for another state.
func (b *Backend) pause(ctx context.Context, st *status) {
	select {
	case <-st.left:
	case <-ctx.Done():
	case <-time.After(jitter(b.opts.RetryDelay)):
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// resync brings the mirror in step from nothing, or after a gap in the feed: a
// full mirror reads all there is, any mirror looks again at all that it holds.
func (b *Backend) resync(ctx context.Context, front perdure.Backend) error {
	if b.mirror.full {
		for q := (perdure.ScanQuery{Limit: recoveryPage, Dead: true}); ; {
			page, err := front.Scan(ctx, q)
			if err != nil {
				return err
			}
			b.passOver(&perdure.UnreadableError{IDs: page.Unreadable})
			for i := range page.Records {
				b.mirror.learn(&page.Records[i], perdure.Version{})
			}
			if q.After = page.Next; q.After == "" {
				break
			}
		}
	}
	if err := b.reconcile(ctx, front, func() {}); err != nil {
		return err
	}
	b.mirror.whole.Store(b.mirror.full)
	return nil
}

// fetch learns what changed. An end is learnt from the change itself: a read may
// still be answered by a near cache that has not heard of it.
func (b *Backend) fetch(ctx context.Context, front perdure.Backend, changes []perdure.Change) error {
	wanted := map[string]perdure.Version{}
	for i := range changes {
		c := &changes[i]
		if !b.wants(ctx, c) {
			continue
		}
		wanted[c.ID] = c.Version
		held, err := b.mirror.Get(ctx, c.ID)
		if err != nil || held.Kind != perdure.KindSession || c.Kind != perdure.Deleted {
			continue
		}
		if c.Reason == perdure.ReasonRotated && b.mayLack(&held) {
			continue // until it is known who gets what is held
		}
		tomb := entombed(held, c.Reason, c.Version)
		b.mirror.learn(&tomb, held.Version)
	}
	for attempt := 0; len(wanted) > 0 && attempt < staleReads; attempt++ {
		if attempt > 0 {
			rest(ctx, staleWait)
		}
		records, err := front.Load(ctx, slices.Collect(maps.Keys(wanted)))
		bad, err := perdure.AsUnreadable(err)
		if err != nil {
			return err
		}
		for id := range b.passOver(bad) {
			delete(wanted, id)
		}
		records = slices.DeleteFunc(records, func(r perdure.Record) bool { return !r.Exists() || r.Version.Before(wanted[r.ID]) })
		if err := b.takeAll(ctx, front, records); err != nil {
			return err
		}
		for i := range records {
			delete(wanted, records[i].ID)
		}
	}
	return nil
}

// staleReads and staleWait give a near cache time to hear of a change.
const (
	staleReads = 5
	staleWait  = 2 * time.Millisecond
)

// touchTolerance is how far the last access of a mirrored session may be behind
// before a touch elsewhere is worth a fetch.
const touchTolerance = perdure.Millis(1000)

// wants reports whether the mirror has to learn of the change.
func (b *Backend) wants(ctx context.Context, c *perdure.Change) bool {
	held, err := b.mirror.Get(ctx, c.ID)
	switch {
	case err != nil:
		return false
	case c.Kind == perdure.Expired: // it ends here by its own deadline, unless that is another than was known here
		return held.Kind == perdure.KindSession && held.Version.Before(c.Version)
	case !held.Exists():
		return b.mirror.full || c.Kind == perdure.UserRevoked
	case c.Kind == perdure.Touched:
		return held.LastAccess+touchTolerance < c.At
	}
	return held.Version != c.Version
}
