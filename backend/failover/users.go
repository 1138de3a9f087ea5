package failover

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

// agreeAll puts right what a page lists, and takes out what is known to be dead.
func (b *Backend) agreeAll(ctx context.Context, st *status, page *perdure.Page) error {
	b.passOver(&perdure.UnreadableError{IDs: page.Unreadable})
	for i := range page.Records {
		r, err := b.agree(ctx, st, page.Records[i].ID, page.Records[i])
		if err != nil {
			return err
		}
		page.Records[i] = r
	}
	page.Records = slices.DeleteFunc(page.Records, func(r perdure.Record) bool { return r.Kind != perdure.KindSession })
	return nil
}

// RemoveUser ends a user's sessions. Offline, the epoch goes into the journal and ends
// what that holds: it reaches the others when they are read, and when it is merged.
func (b *Backend) RemoveUser(ctx context.Context, r perdure.UserRemoval) (perdure.UserRemoved, error) {
	removed, err := serve(ctx, b, served[perdure.UserRemoved]{
		need:  writing,
		reach: at(r.Epoch.User.Partition()),
		claim: func(ctx context.Context) error {
			if err := b.claimUser(ctx, r.Epoch.User); err != nil {
				return err
			}
			return b.synced(ctx)
		},
		online: func(ctx context.Context, st *status) (perdure.UserRemoved, error) {
			r := continued(r, frontPage)
			removed, err := st.front.RemoveUser(ctx, r)
			if err == nil {
				b.learnRemoval(&r, &removed)
			}
			return marked(removed, frontPage), err
		},
		offline: func(ctx context.Context, st *status) (perdure.UserRemoved, error) {
			if after, ok := strings.CutPrefix(r.After, mirrorPage); ok {
				return b.endMirrored(ctx, st, r, after)
			}
			return b.removeOffline(ctx, st, continued(r, heldPage))
		},
	})
	if err == nil && removed.Outcome == perdure.Applied {
		b.cutShort(ctx, idsIn(removed.Removed))
	}
	return removed, err
}

// removeOffline puts the epoch into the journal, and ends a page of what that holds of
// the user; after the last, it goes on with the mirror.
func (b *Backend) removeOffline(ctx context.Context, st *status, r perdure.UserRemoval) (perdure.UserRemoved, error) {
	none := perdure.UserRemoved{}
	if err := b.endable(st); err != nil {
		return none, err
	}
	epoch := perdure.Batch{{Op: perdure.OpPut, Record: r.Epoch}}
	if err := b.timely(st, epoch); err != nil {
		return none, err
	}
	b.stamped(epoch)
	if r.After == "" {
		if err := b.seedEpoch(ctx, st, r.Epoch.User); err != nil {
			return none, err
		}
	}
	removed, err := b.journal.RemoveUser(ctx, r)
	b.journal.ends.add(r.Epoch.ID) // an error may come after the write
	if err != nil {
		return none, b.noRoom(st, b.journalFailed(err))
	}
	b.noteFirst()
	if removed.Outcome != perdure.Applied || removed.Next != "" {
		return marked(removed, heldPage), nil
	}
	if n := len(removed.Removed); r.Limit > 0 {
		if r.Limit -= n; r.Limit == 0 {
			removed.Next = mirrorPage
			return removed, nil
		}
	}
	more, err := b.endMirrored(ctx, st, r, "")
	more.Removed = append(removed.Removed, more.Removed...)
	return more, err
}

// seedEpoch puts the user's epoch into the journal that the mirror holds, so that the
// next one is joined with it.
func (b *Backend) seedEpoch(ctx context.Context, st *status, user perdure.UserKey) error {
	var seeds []perdure.Batch
	if _, err := b.seed(ctx, st, &seeds, perdure.EpochID(user)); err != nil || len(seeds) == 0 {
		return err
	}
	seeded, err := b.journal.Apply(ctx, seeds)
	if err == nil {
		err = seeded[0].Err
	}
	if err != nil {
		return b.noRoom(st, b.journalFailed(err))
	}
	return nil
}

// endMirrored ends, in the mirror, a page of the sessions that the epoch in the journal
// kills. It is what is reported of them: the journal needs no tombstone for each.
func (b *Backend) endMirrored(ctx context.Context, st *status, r perdure.UserRemoval, after string) (perdure.UserRemoved, error) {
	removed := perdure.UserRemoved{Outcome: perdure.Applied}
	mirrored, err := b.mirror.ListUser(ctx, r.Epoch.User, after, r.Limit)
	if err != nil {
		return removed, err
	}
	var page perdure.Page
	records, err := b.notJournalled(ctx, mirrored.Records, &page)
	if err != nil {
		return removed, err
	}
	foreseen, err := b.foresee(ctx, st, records)
	if err != nil {
		return removed, err
	}
	removed.Unreadable = page.Unreadable
	for i := range foreseen {
		switch {
		case foreseen[i].Err != nil:
			removed.Unreadable = append(removed.Unreadable, records[i].ID)
		case foreseen[i].Killed && !slices.Contains(r.Except, records[i].ID):
			removed.Removed = append(removed.Removed, records[i])
		}
	}
	b.learnEnded(&r, &removed)
	if removed.Next = mirrored.Next; removed.Next != "" {
		removed.Next = mirrorPage + removed.Next
	}
	return removed, nil
}

// continued is the removal with its cursor as it was before its mark. One that was
// begun on the other side of an outage begins again, which does no harm.
func continued(r perdure.UserRemoval, origin string) perdure.UserRemoval {
	after, ok := strings.CutPrefix(r.After, origin)
	if !ok {
		after = ""
	}
	r.After = after
	return r
}

func marked(removed perdure.UserRemoved, origin string) perdure.UserRemoved {
	if removed.Next != "" {
		removed.Next = origin + removed.Next
	}
	return removed
}

func (b *Backend) learnRemoval(r *perdure.UserRemoval, removed *perdure.UserRemoved) {
	if removed.Outcome != perdure.Applied {
		b.mirror.learn(&removed.Stored, perdure.Version{})
		return
	}
	b.learnEnded(r, removed)
	b.mirror.learn(&r.Epoch, r.Base)
}

// learnEnded has the mirror take in the ends of sessions.
func (b *Backend) learnEnded(r *perdure.UserRemoval, removed *perdure.UserRemoved) {
	for i := range removed.Removed {
		session := &removed.Removed[i]
		tomb := entombed(*session, r.Reason, r.Epoch.Version)
		b.mirror.learn(&tomb, session.Version)
	}
}

// Sweep drops what is due. In an outage others may have kept alive what looks due here,
// and a full mirror must not lack it; the mirror hears of touches with a delay. If some
// of the front store is there, that is swept.
func (b *Backend) Sweep(ctx context.Context, now perdure.Millis, limit int) (expired int, more bool, err error) {
	st := b.status.Load()
	if st.partly() {
		return st.front.Sweep(ctx, now, limit)
	}
	if st.state != Healthy {
		return 0, false, nil
	}
	for m := true; m && err == nil; {
		_, m, err = b.mirror.Sweep(ctx, now-perdure.Millis(b.opts.MaxClockSkew.Milliseconds()), limit)
	}
	if err != nil {
		return 0, false, err
	}
	return st.front.Sweep(ctx, now, limit)
}

// Changes reads the feed of the front store: an outage is an ErrUnavailable, and
// the cursor goes on afterwards. If some of it is there, its changes come.
func (b *Backend) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	st := b.status.Load()
	if st.front == nil || st.away.all() {
		return perdure.ChangeBatch{}, b.unavailable(st, "its changes cannot be read")
	}
	return st.front.Changes(ctx, after, limit, wait)
}
