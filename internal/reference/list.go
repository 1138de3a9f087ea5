package reference

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

func invalid(what string) error { return fmt.Errorf("%w: %s", perdure.ErrInvalid, what) }

// all is what is stored, in the order of ids.
func (b *reference) all(chosen func(perdure.Record) bool) (found []perdure.Record) {
	for _, id := range slices.Sorted(maps.Keys(b.records)) {
		if r, err := b.read(id); err == nil && chosen(r) {
			found = append(found, r)
		}
	}
	return found
}

// page cuts the page after a cursor, which is the last id of the page before.
func (b *reference) page(all []perdure.Record, after string, limit int) (perdure.Page, error) {
	last, ok := strings.CutPrefix(after, "after ")
	if (after != "") != ok || ok && len(last) < 16 {
		if !b.is(cursorsAreNotChecked) {
			return perdure.Page{}, invalid("not a cursor")
		}
		last = ""
	}
	if b.is(cursorsAreLocal) && after != "" && !b.made[after] {
		return perdure.Page{}, invalid("a cursor of another process")
	}
	if b.is(cursorsAreOffsets) {
		return b.pageByOffset(all, last, limit)
	}
	start := 0
	for start < len(all) && all[start].ID <= last {
		start++
	}
	all = all[start:]
	if !b.is(pagesHaveNoSize) {
		limit = min(limit, fitting(all))
	}
	if len(all) <= limit {
		return perdure.Page{Records: all}, nil
	}
	page := perdure.Page{Records: all[:limit], Next: "after " + all[limit-1].ID}
	switch {
	case b.is(pagesSkip):
		page.Next = "after " + all[limit].ID
	case b.is(pagesOverlap) && limit > 1:
		page.Next = "after " + all[limit-2].ID
	}
	b.made[page.Next] = true
	return page, nil
}

// fitting is how many of the records make a page.
func fitting(all []perdure.Record) int {
	bytes := 0
	for i := range all {
		if bytes += all[i].EncodedSize(); bytes > perdure.MaxPageBytes && i > 0 {
			return i
		}
	}
	return len(all)
}

func (b *reference) pageByOffset(all []perdure.Record, last string, limit int) (perdure.Page, error) {
	at, _ := strconv.Atoi(strings.TrimLeft(last, "0"))
	at = min(at, len(all))
	end := min(at+limit, len(all))
	page := perdure.Page{Records: all[at:end]}
	if end < len(all) {
		page.Next = fmt.Sprintf("after %020d", end)
	}
	return page, nil
}

func (b *reference) ListUser(ctx context.Context, user perdure.UserKey, after string, limit int) (perdure.Page, error) {
	if err := b.lock(ctx); err != nil {
		return perdure.Page{}, err
	}
	defer b.mu.Unlock()
	if err := b.spoiled(); err != nil {
		return perdure.Page{}, err
	}
	if c, ok := b.lists[user]; ok && c.uses < b.stale && after == "" && len(c.records) <= limit {
		b.lists[user] = cachedList{c.records, c.uses + 1}
		return perdure.Page{Records: slices.Clone(c.records)}, nil
	}
	page, err := b.page(b.sessions(user), after, limit)
	if b.is(listSpendsPages) {
		page.Records = slices.DeleteFunc(page.Records, func(r perdure.Record) bool { return r.Kind != perdure.KindSession })
	}
	if b.stale > 0 && err == nil && after == "" && page.Next == "" {
		b.lists[user] = cachedList{records: slices.Clone(page.Records)}
	}
	return page, err
}

func (b *reference) sessions(user perdure.UserKey) []perdure.Record {
	all := b.all(func(r perdure.Record) bool {
		switch {
		case r.Kind == perdure.KindTombstone && !b.is(listShowsTheDead, listSpendsPages),
			r.Kind == perdure.KindEpoch,
			b.is(listMissesForeign) && perdure.PartitionOf(r.ID) != user.Partition(),
			b.is(listHidesExpired) && r.Deadline() <= b.clock(),
			b.is(listLosesTheCut) && r.Deadline() < b.first[r.ID]:
			return false
		case b.is(usersShareAnIndex):
			return r.User != "" && r.User[0] == user[0]
		case b.is(listIsByPartition):
			return r.User.Partition() == user.Partition()
		}
		return r.User == user
	})
	short := func(r perdure.Record) bool { return r.Expiry < b.clock() }
	if b.is(shortSessionsHideLonger) && slices.ContainsFunc(all, short) {
		return nil
	}
	return all
}

func (b *reference) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	if err := b.lock(ctx); err != nil {
		return perdure.Page{}, err
	}
	defer b.mu.Unlock()
	if q.To == 0 || b.is(scanMindsNoBounds) {
		q.From, q.To = 0, perdure.Partitions
	}
	dead := q.Dead && !b.is(scanHidesTheDead) || b.is(scanShowsTheDead)
	all := b.all(func(r perdure.Record) bool {
		p := perdure.PartitionOf(r.ID)
		return p >= q.From && p < q.To && (dead || r.Kind == perdure.KindSession)
	})
	if b.is(scanIsOnePage) {
		q.Limit = len(all)
	}
	page, err := b.page(all, q.After, q.Limit)
	page.Unreadable = b.passedOver(q, page.Next)
	return page, errors.Join(err, b.spoiled())
}

// passedOver is the ids of what cannot be read between two cursors.
func (b *reference) passedOver(q perdure.ScanQuery, next string) (ids []string) {
	for _, id := range slices.Sorted(maps.Keys(b.records)) {
		p := perdure.PartitionOf(id)
		_, err := b.read(id)
		if err != nil && p >= q.From && p < q.To && "after "+id > q.After && (next == "" || "after "+id <= next) && !b.is(unreadableIsHidden) {
			ids = append(ids, id)
		}
	}
	return ids
}

// spoiled is an error where there is anything that cannot be read.
func (b *reference) spoiled() error {
	for id := range b.records {
		if _, err := b.read(id); err != nil && b.is(unreadableEndsPages) {
			return err
		}
	}
	return nil
}

func (b *reference) RemoveUser(ctx context.Context, q perdure.UserRemoval) (perdure.UserRemoved, error) {
	if err := b.lock(ctx); err != nil {
		return perdure.UserRemoved{}, err
	}
	defer b.mu.Unlock()
	if err := b.checkSkew(q.Epoch.Version); err != nil && !b.is(revokeMindsNoSkew) {
		return perdure.UserRemoved{}, err
	}
	page, err := b.page(b.sessions(q.Epoch.User), q.After, q.Limit)
	err = errors.Join(err, b.spoiled())
	if err != nil {
		return perdure.UserRemoved{}, err
	}
	stored, err := b.read(q.Epoch.ID)
	if err != nil {
		return perdure.UserRemoved{}, err
	}
	if q.Base != stored.Version && !b.is(revokeMindsNoBase) {
		return perdure.UserRemoved{Outcome: perdure.Conflict, Stored: stored}, nil
	}
	b.breathe(revokeRaces)
	if !b.is(revokeLeavesNoEpoch) && q.After == "" {
		b.put(perdure.Write{Op: perdure.OpPut, Record: q.Epoch})
		b.wrote(q.Epoch.ID)
	}
	if n := len(page.Records); b.is(revokeMissesOne) && n > 0 {
		page.Records = page.Records[:n-1]
	}
	removed := perdure.UserRemoved{Outcome: perdure.Applied, Next: page.Next}
	if b.is(revokeStopsEarly) {
		removed.Next = ""
	}
	for _, session := range page.Records {
		if slices.Contains(q.Except, session.ID) && !b.is(revokeSparesNone) {
			continue
		}
		if !b.is(revokeHidesExpired) || session.Live(b.clock()) {
			removed.Removed = append(removed.Removed, session)
		}
		tomb := perdure.Record{Header: perdure.Header{Version: q.Epoch.Version, Reason: q.Reason}}
		if b.is(revokeGivesNoReason) {
			tomb.Reason = 0
		}
		b.bury(session, perdure.Write{Record: tomb})
		b.wrote(session.ID)
	}
	return removed, nil
}

func (b *reference) Sweep(ctx context.Context, now perdure.Millis, limit int) (expired int, more bool, err error) {
	if err := b.lock(ctx); err != nil {
		return 0, false, err
	}
	defer b.mu.Unlock()
	expired, more = b.sweep(now, limit)
	return expired, more && !b.is(sweepSaysNoMore), nil
}

func (b *reference) sweep(now perdure.Millis, limit int) (expired int, more bool) {
	if !b.is(sweepGoesByTheCaller) {
		now = min(now, b.clock())
	}
	for id := range b.records {
		if _, err := b.read(id); err != nil && b.is(unreadableIsSwept) {
			delete(b.records, id)
		}
	}
	due := b.all(func(r perdure.Record) bool { return b.isDue(r, now) })
	if more = len(due) > limit; more {
		due = due[:limit]
	}
	b.breathe(sweepersRace)
	for _, r := range due {
		delete(b.records, r.ID)
		b.wrote(r.ID)
		if b.lingers(&r, now) {
			session := r
			r = r.Lapse()
			if b.is(lapseKeepsTheVersion) {
				r.Version = session.Version
			}
			b.write(r)
			if b.is(lapseIsAnEnd) {
				b.tell(perdure.Deleted, perdure.ReasonExpired, r)
			}
			expired++
			b.tell(perdure.Expired, perdure.ReasonExpired, r)
			continue
		}
		if r.Kind == perdure.KindSession || b.is(sweepExpiresTheEnded) {
			expired++
			b.tell(perdure.Expired, perdure.ReasonExpired, r)
		}
		if b.is(sweepTellsTwice) {
			b.tell(perdure.Expired, perdure.ReasonExpired, r)
		}
	}
	return expired, more
}

// lingers reports whether a session leaves a tombstone.
func (b *reference) lingers(r *perdure.Record, now perdure.Millis) bool {
	minted := r.Kind == perdure.KindSession && len(r.ID) == 32 && r.ID[24] == '-'
	_, really := perdure.OutageTime(r.ID)
	switch {
	case b.is(sweepForgetsPromises) && r.Promised > r.Expiry, b.is(sweepForgetsTheMinted) && minted:
		return false
	case b.is(sweepMistakesTheMinted) && minted && !really, b.is(sweepLeavesAll) && r.Kind == perdure.KindSession:
		return true
	case b.is(sweepMindsNoLeaving) && minted && r.Promised == 0:
		return true
	case b.is(lapsesMindNoHorizon) && r.Kind == perdure.KindSession && r.Promised > r.Expiry:
		return true
	}
	return r.Lingers(now, skew)
}

func (b *reference) isDue(r perdure.Record, now perdure.Millis) bool {
	switch {
	case b.is(sweepExpiresTheEnded) && r.Kind == perdure.KindTombstone:
		return now >= r.Expiry
	case r.Kind == perdure.KindSession && b.is(sweepIsLate):
		return now > r.Deadline()
	case r.Kind == perdure.KindSession && b.is(sweepMindsNoIdle):
		return now >= r.Expiry
	case r.Kind == perdure.KindSession && b.is(sweepMissesTouches) && r.Idle > 0:
		return now >= min(r.Expiry, r.Born.Millis()+r.Idle)
	case r.Kind == perdure.KindSession && b.is(sweepMissesPuts):
		return now >= b.first[r.ID]
	case r.Kind == perdure.KindSession && b.is(sweepMissesTheLate):
		return now >= r.Deadline() && r.Deadline() > r.Born.Millis()
	case r.Kind == perdure.KindSession:
		return now >= r.Deadline()
	case b.is(sweepKeepsTheDead):
		return false
	case b.is(sweepDropsAtTheHorizon):
		return now >= r.Horizon
	case b.is(sweepDropsAtTheExpiry):
		return now >= r.Expiry
	}
	return now > r.Horizon+skew
}

func (b *reference) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		batch, news, err := b.changes(ctx, after, limit)
		if err != nil || len(batch.Changes) > 0 || wait == 0 || b.is(feedDoesNotWait) {
			return batch, err
		}
		after = batch.Next
		cancelled, closed, over := ctx.Done(), b.closed, deadline.C
		switch {
		case b.is(waitMindsNoCancel):
			cancelled = nil
		case b.is(waitMindsNoClose):
			closed = nil
		case b.is(waitDoesNotEnd):
			over = nil
		}
		select {
		case <-news:
		case <-cancelled:
			return perdure.ChangeBatch{}, ended(ctx)
		case <-closed:
			return perdure.ChangeBatch{}, perdure.ErrClosed
		case <-over:
			return batch, nil
		}
	}
}

// changes reads the feed after a cursor: the life of the store, and how many
// changes came before.
func (b *reference) changes(ctx context.Context, after string, limit int) (batch perdure.ChangeBatch, news chan struct{}, err error) {
	if err := b.lock(ctx); err != nil {
		return batch, nil, err
	}
	defer b.mu.Unlock()
	life, at := b.life, len(b.feed)+b.dropped
	switch {
	case after == perdure.FromOldest, after == perdure.FromNow && b.is(feedStartsAtTheOldest):
		at = b.dropped
	case after != perdure.FromNow:
		n, err := fmt.Sscanf(after, "life %d at %d", &life, &at)
		if (err != nil || n != 2) && !b.is(cursorsAreNotChecked) {
			return batch, nil, invalid("not a cursor")
		}
	}
	if at < b.dropped && b.is(feedHidesGaps) || life != b.life && b.is(feedHidesLoss) {
		at, life = b.dropped, b.life
	}
	if life != b.life || at < b.dropped {
		batch.Next = b.cursor(len(b.feed) + b.dropped)
		return batch, nil, perdure.ErrFeedGap
	}
	rest := b.feed[min(at-b.dropped, len(b.feed)):]
	if !b.is(feedMindsNoLimit) {
		rest = rest[:min(limit, len(rest))]
	}
	batch = perdure.ChangeBatch{Changes: slices.Clone(rest), Next: b.cursor(at + len(rest))}
	if b.is(feedRepeats) && len(rest) > 1 {
		batch.Next = b.cursor(at + len(rest) - 1)
	}
	return batch, b.news, nil
}

func (b *reference) cursor(at int) string { return fmt.Sprintf("life %d at %d", b.life, at) }
