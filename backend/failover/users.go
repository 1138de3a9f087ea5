package failover

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

// ListUser returns a page of the user's sessions. Offline, only a full mirror
// can know all of them.
func (b *Backend) ListUser(ctx context.Context, user perdure.UserKey, after string, limit int) (perdure.Page, error) {
	return serve(ctx, b, served[perdure.Page]{
		claim: func(ctx context.Context) error { return b.claimUser(ctx, user) },
		online: func(ctx context.Context, st *status) (perdure.Page, error) {
			after, err := b.resume(st, after, frontPage)
			if err != nil {
				return perdure.Page{}, err
			}
			page, err := st.front.ListUser(ctx, user, after, limit)
			if err != nil {
				return page, err
			}
			err = b.agreeAll(ctx, st, &page)
			return mark(page, frontPage), err
		},
		offline: func(ctx context.Context, st *status) (perdure.Page, error) {
			if !b.mirror.knowsAll() {
				return perdure.Page{}, b.unavailable(st, "what this process holds of a user may not be all")
			}
			unreadable, err := b.seedUser(ctx, st, user)
			if err != nil {
				return perdure.Page{}, err
			}
			after, err := b.resume(st, after, journalPage)
			if err != nil {
				return perdure.Page{}, err
			}
			page, err := b.journal.ListUser(ctx, user, after, limit)
			if err == nil {
				err = b.vouchForAll(st, &page)
			}
			if page.Next == "" {
				page.Unreadable = unreadable
			}
			return mark(page, journalPage), err
		},
	})
}

// What a cursor of ListUser begins with says who made it.
const (
	frontPage   = "f"
	journalPage = "j"
)

func mark(p perdure.Page, origin string) perdure.Page {
	if p.Next != "" {
		p.Next = origin + p.Next
	}
	return p
}

// resume is the cursor as it was before its mark. A list that was begun on the
// other side of an outage cannot go on.
func (b *Backend) resume(st *status, after, origin string) (string, error) {
	rest, ok := strings.CutPrefix(after, origin)
	switch {
	case ok || after == "":
		return rest, nil
	case strings.HasPrefix(after, frontPage), strings.HasPrefix(after, journalPage):
		return "", b.elsewhere(st, "the list was begun before that changed: begin again")
	}
	return "", &perdure.InvalidError{Field: "cursor", Problem: "is not one of this store"}
}

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

// RemoveUser ends a user's sessions. Offline, the epoch reaches those that this
// process does not hold when the journal is merged.
func (b *Backend) RemoveUser(ctx context.Context, r perdure.UserRemoval) (perdure.UserRemoved, error) {
	return serve(ctx, b, served[perdure.UserRemoved]{
		need: writing,
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
			if err := b.writable(st); err != nil {
				return perdure.UserRemoved{}, err
			}
			unreadable, err := b.seedUser(ctx, st, r.Epoch.User)
			if err != nil {
				return perdure.UserRemoved{}, err
			}
			epoch := perdure.Batch{{Op: perdure.OpPut, Record: r.Epoch}}
			if err := b.timely(st, epoch); err != nil {
				return perdure.UserRemoved{}, err
			}
			b.stamped(epoch)
			removed, err := b.journal.RemoveUser(ctx, continued(r, journalPage))
			b.journal.ends.add(r.Epoch.ID) // an error may come after the write
			if err != nil {
				return removed, b.journalFailed(err)
			}
			b.journal.noted()
			if removed.Next == "" {
				removed.Unreadable = unreadable
			}
			return marked(removed, journalPage), nil
		},
	})
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
	for i := range removed.Removed {
		session := &removed.Removed[i]
		tomb := entombed(*session, r.Reason, r.Epoch.Version)
		b.mirror.learn(&tomb, session.Version)
	}
	b.mirror.learn(&r.Epoch, r.Base)
}

// seedUser puts what the mirror holds of the user into the journal. It returns the
// ids of sessions of which the journal holds something that cannot be read.
func (b *Backend) seedUser(ctx context.Context, st *status, user perdure.UserKey) (unreadable []string, err error) {
	var seeds []perdure.Batch
	if _, err := b.seed(ctx, st, &seeds, perdure.EpochID(user)); err != nil {
		return nil, err
	}
	for after := ""; ; {
		page, err := b.mirror.ListUser(ctx, user, after, recoveryPage)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Records {
			_, err := b.seed(ctx, st, &seeds, r.ID)
			switch {
			case errors.Is(err, perdure.ErrFormat):
				unreadable = append(unreadable, r.ID)
			case err != nil:
				return nil, err
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if len(seeds) == 0 {
		return unreadable, nil
	}
	seeded, err := b.journal.Apply(ctx, seeds)
	if err != nil {
		return nil, b.journalFailed(err)
	}
	b.journal.noted()
	for i := range seeded {
		if seeded[i].Err != nil {
			return nil, seeded[i].Err
		}
	}
	return unreadable, nil
}

// Scan returns a page of all records. Offline, only a full mirror has them.
func (b *Backend) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	return serve(ctx, b, served[perdure.Page]{
		claim: func(context.Context) error { return nil },
		online: func(ctx context.Context, st *status) (perdure.Page, error) {
			if n, _ := b.journal.depth(); n > b.refused.len() {
				return perdure.Page{}, b.elsewhere(st, "a list of all sessions must wait until what was written in the outage is merged")
			}
			return st.front.Scan(ctx, q)
		},
		offline: func(ctx context.Context, st *status) (perdure.Page, error) {
			return perdure.Page{}, b.unavailable(st, "a list of all sessions must wait")
		},
	})
}

// Sweep drops what is due. In an outage others may have kept alive what looks due here,
// and a full mirror must not lack it; the mirror hears of touches with a delay.
func (b *Backend) Sweep(ctx context.Context, now perdure.Millis, limit int) (expired int, more bool, err error) {
	st := b.status.Load()
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
// the cursor goes on afterwards.
func (b *Backend) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	st := b.status.Load()
	if st.front == nil || st.state == Degraded || st.state == ReadOnly {
		return perdure.ChangeBatch{}, b.unavailable(st, "its changes cannot be read")
	}
	return st.front.Changes(ctx, after, limit, wait)
}
